"""``memagent llm``: model servers.

Errors pass through: the command line that this is mounted on turns them into a line and an exit status.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from memagent.cli.output import say, write_fields
from memagent.errors import InvalidInput, ServerFailed

if TYPE_CHECKING:
    from memagent.llm.vllm import VLLMServer

app = typer.Typer(no_args_is_help=True)

_EXAMPLE = """
Example: memagent llm serve Qwen/Qwen3-4B --max-model-len 16384; or with vLLM in an environment of its own and an
adapter: memagent llm serve my-model --python vllm-env --lora tuned=adapters/tuned; or without vLLM:
memagent llm serve --embedded
"""
_CHECK = """
Example: memagent llm check http://127.0.0.1:8000
"""
_LOOK = 0.5  # seconds between two looks at a running server
_EMBEDDED = "The embedded model is very small: it shows that everything works, and its answers are poor."


@app.callback()
def main() -> None:
    """Start and look at language model servers."""


@app.command("serve", epilog=_EXAMPLE, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(
    context: typer.Context,
    *,
    model: Annotated[str | None, typer.Argument(help="A model folder, or a name on the hub.")] = None,
    embedded: Annotated[bool, typer.Option("--embedded", help="Serve the small packaged model, without vLLM.")] = False,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8000,
    name: Annotated[str | None, typer.Option(help="What the model is called in requests.")] = None,
    python: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            envvar="MEMAGENT_VLLM_PYTHON",
            help="The Python that has vLLM, or its environment's folder. Default: the running one.",
        ),
    ] = None,
    max_model_len: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Tokens of prompt and answer together.")
    ] = None,
    lora: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="An adapter to load; repeatable.")
    ] = None,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the server's messages in this file.")] = None,
) -> None:
    """Serve a model until Ctrl-C, over OpenAI's protocol. What follows -- goes to vLLM as it is."""
    if embedded == (model is not None):
        raise InvalidInput("name a model, or use --embedded", hint="one of the two")
    if embedded:
        if context.args or lora or max_model_len is not None or log is not None:
            raise InvalidInput("the embedded model takes --host, --port and --name only", hint="leave the others out")
        _serve_embedded(host, port, name)
        return
    from memagent.llm.vllm import VLLMServer

    with _terminable():
        server = VLLMServer(
            str(model),
            lora=_adapters(lora),
            max_model_len=max_model_len,
            extra_args=context.args,
            python=python,
            host=host,
            port=port or None,
            name=name,
            log=log,
            progress=_progress,
        )
        with server:
            _announce(server.url, server.name)
            _watch(server)


@app.command("check", epilog=_CHECK)
def check(
    url: Annotated[str, typer.Argument(help="The server's address.")],
    *,
    model: Annotated[str | None, typer.Option(help="One of its models; by default its first.")] = None,
) -> None:
    """Show what a running server offers and what it can do, found out by asking it."""
    from memagent.llm.server import connect

    server = connect(url, model=model)
    found = server.capabilities
    words = {True: "yes", False: "no", None: "unknown"}
    write_fields(
        {
            "server": server.url,
            "vLLM": server.version() or "no",
            "models": ", ".join(server.models()),
            "tokens": str(found.max_model_len or "unknown"),
            "JSON schema": words[found.json_schema],
            "log probabilities": words[found.logprobs],
            "adapters": words[found.lora],
            "pictures": words[found.vision],
        }
    )


def _serve_embedded(host: str, port: int, name: str | None) -> None:
    from memagent.llm.embedded import EmbeddedChat
    from memagent.llm.embedded_server import ChatServer

    chat = EmbeddedChat()
    say("loading the embedded model ...")
    chat.load()
    server = ChatServer(chat, name or chat.model_name, host=host, port=port)
    say(_EMBEDDED)
    with server, _terminable():
        _announce(server.url, server.name)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _LOOK}, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(_LOOK)
        finally:
            server.shutdown()


def _announce(url: str, name: str) -> None:
    typer.echo(f"{url}/v1  {name}")
    sys.stdout.flush()
    say("Ctrl-C stops it")


def _watch(server: VLLMServer) -> None:
    """Return never; raise when the server ends by itself."""
    while server.running:
        time.sleep(_LOOK)
    raise ServerFailed(f"vLLM has ended. The end of its log, {server.log}:\n{server.log_tail()}", hint="start it again")


def _adapters(given: list[str] | None) -> dict[str, Path] | None:
    if not given:
        return None
    found: dict[str, Path] = {}
    for entry in given:
        name, _, place = entry.partition("=")
        if not name or not place:
            raise InvalidInput(f"--lora {entry!r} names no adapter", hint="write NAME=FOLDER")
        found[name] = Path(place)
    return found


def _progress(line: str) -> None:
    """One line that is written over and over on a terminal, and line by line elsewhere."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{line}" + ("\n" if "ready" in line else ""))
        sys.stderr.flush()
    else:
        say(line)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that the server is stopped in order."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
