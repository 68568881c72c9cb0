"""``memagent serve``: endpoints over what memagent can search, and the cloud's side of LSRP.

Errors pass through: the command line that this is mounted on turns them into a line and an exit status.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from memagent.cli.opening import exports_folder, load, opened
from memagent.cli.options import EncoderName, Precision
from memagent.cli.output import say
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from memagent.agents.reason_rag.searching import Searcher
    from memagent.memory import Memory

app = typer.Typer(no_args_is_help=True)

_EXAMPLE = """
Example: memagent serve retrieve --corpus passages.jsonl --retriever hybrid --port 8001; or one user's memory:
memagent serve retrieve --store memagent-store --user ann
"""

_LSRP_EXAMPLE = """
Example: memagent serve lsrp-cloud --model http://127.0.0.1:8000/v1 --port 8010; then on the device:
Device(small_model, "http://127.0.0.1:8010")
"""


@app.callback()
def main() -> None:
    """Serve endpoints."""


@app.command("retrieve", epilog=_EXAMPLE)
def retrieve(
    *,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Passages to search (.json, .jsonl, either with .gz): id, title and text, or id and contents; "
            "repeatable.",
        ),
    ] = None,
    store: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder of a store, instead.")] = None,
    user: Annotated[str | None, typer.Option("--user", "-u", metavar="ID", help="Whose memory of the store.")] = None,
    retriever: Annotated[str, typer.Option("--retriever", "-r", help="NAME or 'NAME\\[param=value,...]'.")] = "hybrid",
    granularity: Annotated[
        Literal["turn", "session"], typer.Option("--granularity", "-g", help="The units of a store.")
    ] = "turn",
    top_k: Annotated[int, typer.Option(min=1, help="Documents for a query where the caller does not say.")] = 3,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port.")] = 8001,
    encoder: EncoderName = None,
    precision: Precision = "float32",
) -> None:
    """Answer POST /retrieve as Search-R1's retrieval server does, until Ctrl-C.

    Whoever reaches the port can read everything that is searched: it listens on this machine alone unless --host
    says otherwise.
    """
    from memagent.server.retrieve import serve_retrieve

    if bool(corpus) == (store is not None):
        raise InvalidInput("name a --corpus, or a --store and a --user", hint="one of the two")
    if (store is None) != (user is None):
        raise InvalidInput("--store and --user go together", hint="a store holds a memory for each user")
    with ExitStack() as stack:
        if store and user:
            memory = stack.enter_context(opened(store, encoder, precision, "windows"))
            searcher = _of_user(memory, user, retriever, granularity)
        else:
            searcher = stack.enter_context(_of_corpus(corpus or [], retriever, encoder, precision))
        say(f"listening on http://{host}:{port}/retrieve")
        serve_retrieve(searcher, host=host, port=port, top_k=top_k)


@app.command("lsrp-cloud", epilog=_LSRP_EXAMPLE)
def lsrp_cloud(
    *,
    model: Annotated[
        str,
        typer.Option(
            envvar="MEMAGENT_MODEL",
            metavar="MODEL",
            help="The leader: a server's URL, 'embedded', or PROVIDER:NAME.",
        ),
    ],
    token: Annotated[
        str | None,
        typer.Option(
            envvar="MEMAGENT_LSRP_TOKEN",
            help="What devices have to bring as a bearer token; other users of this machine see it on the command "
            "line, not in the variable.",
        ),
    ] = None,
    strategies: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Further leadership strategies (.json).")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="The most guidelines written at once.")] = 16,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8010,
) -> None:
    """Write guidelines for devices that keep their user's data, until Ctrl-C.

    It is sent tasks, and names of strategies, and keeps neither.
    """
    from memagent.agents.lsrp.cloud import Cloud
    from memagent.agents.lsrp.strategies import load_strategies, register
    from memagent.llm.model import Model
    from memagent.server.lsrp_cloud import serve_lsrp_cloud

    for strategy in load_strategies(strategies) if strategies else ():
        register(strategy)
    cloud = Cloud(Model(model, concurrency=concurrency))
    serve_lsrp_cloud(cloud, host=host, port=port, token=token, told=_announce)


def _announce(url: str) -> None:
    typer.echo(f"{url}/guideline")
    sys.stdout.flush()
    say("Ctrl-C stops it")


def _of_user(memory: Memory, user: str, retriever: str, granularity: str) -> Searcher:
    from memagent.agents.reason_rag.memory_search import MemorySearcher
    from memagent.errors import UnknownUser
    from memagent.evals.specs import parse_specs

    [spec] = parse_specs([retriever])
    if user not in memory.users():
        raise UnknownUser(f"nothing is stored for {user!r}", hint="see `memagent users`")
    return MemorySearcher(memory, user_id=user, retriever=spec.retriever, granularity=granularity)


@contextmanager
def _of_corpus(
    files: list[Path], retriever: str, encoder: str | None, precision: Literal["float32", "int8"]
) -> Iterator[Searcher]:
    from memagent.evals.measuring import cached_encoder, progress_bar
    from memagent.evals.multihop.corpus import open_corpus
    from memagent.evals.multihop.files import load_passages
    from memagent.evals.specs import parse_specs

    specs = parse_specs([retriever])
    passages = load_passages(files)
    folder = exports_folder()
    with (
        cached_encoder(load(encoder, precision, "windows"), folder, wanted=True) as used,
        progress_bar() as progress,
        open_corpus(
            passages, used, folder=folder, specs=specs, say=lambda doing: progress(0, len(passages), doing)
        ) as corpus,
    ):
        yield corpus.searcher(specs[0].retriever)
