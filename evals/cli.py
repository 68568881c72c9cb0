"""``memagent eval``: evaluation from the command line.

Errors pass through: the command line that this is mounted on turns them into a line and an exit status.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from memagent.errors import InvalidInput, Stopped

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.evals.retrieval import Progress

app = typer.Typer(no_args_is_help=True)

_RETRIEVERS = ("dense", "bm25", "hybrid")

_EXAMPLE = """
Example: memagent eval retrieval --dataset locomo --data locomo10.json --retriever dense --retriever bm25
--retriever 'dense\\[by=turn-mean]' --set bm25.k1=1.5 --baseline dense --out result.json
"""


@app.callback()
def main() -> None:
    """Measure retrieval on public data sets."""


@app.command(epilog=_EXAMPLE)
def retrieval(
    *,
    dataset: Annotated[
        Literal["longmemeval", "locomo", "personabench", "demo"],
        typer.Option(help="The data set; demo is bundled and needs no --data."),
    ],
    out: Annotated[Path, typer.Option(help="The result file to write. A stopped run keeps its rows beside it.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="A file of the data set (.json, .jsonl, either with .gz), repeatable; PersonaBench: its folder."
        ),
    ] = None,
    retriever: Annotated[
        list[str] | None,
        typer.Option(help="NAME or 'NAME\\[param=value,...]', repeatable. Default: dense, bm25 and hybrid."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME.param=value, for every retriever of that name; repeatable."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="The retriever that the others are compared with. Default: the first.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="A sentence-transformers model, by name or path. Default: all-MiniLM-L6-v2."),
    ] = None,
    precision: Annotated[Literal["float32", "int8"], typer.Option(help="Of the encoder.")] = "float32",
    long_text: Annotated[
        Literal["windows", "truncate"],
        typer.Option(
            help="Text longer than the encoder sees at once: embed all of it in windows, or cut it. Published "
            "figures, and the reference figures of this project, cut."
        ),
    ] = "windows",
    session_vectors: Annotated[
        Literal["text", "mean"],
        typer.Option(help="A session's own vector: that of its whole text, or the mean of its turns'."),
    ] = "text",
    granularity: Annotated[
        Literal["session", "turn"], typer.Option(help="The units that are ranked and scored.")
    ] = "session",
    text: Annotated[
        Literal["both_roles", "user_turns_only"],
        typer.Option(help="What is stored; user_turns_only is LongMemEval's own variant."),
    ] = "both_roles",
    summaries: Annotated[
        Literal["none", "extractive"],
        typer.Option(help="Whether summaries and keywords of sessions are stored too, for retrievers that use them."),
    ] = "none",
    categories: Annotated[
        str, typer.Option(metavar="N,N,...", help="LoCoMo: the categories of questions to score, out of 1 to 5.")
    ] = "1,2,3,4",
    as_of: Annotated[
        Literal["none", "question"],
        typer.Option(help="question: each question sees only what was said before its date."),
    ] = "none",
    noise: Annotated[str, typer.Option(help="PersonaBench: the level of noise.")] = "0.0",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Score the first N questions only.")] = None,
    per_question: Annotated[
        Path | None, typer.Option(help="Also write a row for each question and retriever, as JSON Lines.")
    ] = None,
    cache: Annotated[bool, typer.Option(help="Keep embeddings, so that a second run encodes nothing.")] = True,
    cache_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="MEMAGENT_CACHE",
            help="Where they, and the encoder's ONNX file, are kept. Default: the user's cache folder.",
        ),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
) -> None:
    """Store each history once, put its questions to every retriever, and say how often the evidence came back.

    Prints a table; writes every metric, with its interval, by question type, and compared with the baseline,
    to --out. Exit status: 0 done, 2 bad input, 3 stopped (the same command resumes).
    """
    with _stoppable():
        from memagent.encoders import load_encoder
        from memagent.encoders.files import default_cache_dir
        from memagent.evals.datasets import load_dataset
        from memagent.evals.result import build_result, encoder_facts, write_result
        from memagent.evals.retrieval import RetrievalSettings, encoding_latency, run_retrieval
        from memagent.evals.rows import write_text
        from memagent.evals.specs import baseline_label, parse_specs

        _check_places(out, per_question)
        specs = parse_specs(retriever or _RETRIEVERS, set_ or ())
        against = baseline_label(specs, baseline)
        loaded = load_dataset(dataset, data or (), text=text, categories=_numbers(categories), noise=noise)
        folder = cache_dir or default_cache_dir()
        bare = load_encoder(encoder, precision=precision, long_text=long_text, cache_dir=folder)
        partial = out.with_name(f"{out.name}.partial")
        with _cached(bare, folder, wanted=cache) as used, _progress() as progress:
            run = run_retrieval(
                loaded,
                specs,
                used,
                settings=RetrievalSettings(
                    granularity=granularity,
                    as_of=as_of,
                    session_vectors=session_vectors,
                    summaries=summaries,
                    limit=limit,
                ),
                partial=partial,
                progress=progress,
            )
        result = build_result(
            run,
            encoder=encoder_facts(bare, precision=precision, long_text=long_text),
            encode_ms=encoding_latency(bare, run.questions),
            command=["memagent", *sys.argv[1:]],
            baseline=against,
            seed=seed,
        )
        if per_question:
            write_text(per_question, "".join(row.as_json() + "\n" for row in run.rows))
        write_result(out, result)
        partial.unlink(missing_ok=True)
        _show(result, out, markdown=markdown)


@contextmanager
def _stoppable() -> Iterator[None]:
    """An interrupt outside the run itself is a stop too: nothing is lost that the same command does not make again."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("stopped", hint="run the same command to resume") from None


def _check_places(*paths: Path | None) -> None:
    """Refuse an output that could not be written, before hours of work and not after."""
    for path in filter(None, paths):
        if path.is_dir() or not path.parent.is_dir():
            raise InvalidInput(f"{path} is not a place for a file", hint="name a file in a folder that exists")


def _numbers(categories: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in categories.split(","))
    except ValueError:
        raise InvalidInput(
            f"--categories {categories!r} is not a list of numbers", hint="for example 1,2,3,4"
        ) from None


@contextmanager
def _cached(encoder: Encoder, folder: Path, *, wanted: bool) -> Iterator[Encoder]:
    """The encoder with a memory of what it encoded, kept in a file in ``folder``."""
    if not wanted:
        yield encoder
        return
    from memagent.encoders.cache import CachedEncoder

    with CachedEncoder(encoder, folder / "embeddings.sqlite") as cached:
        yield cached


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("loading", total=None)

    def tell(done: int, total: int, doing: str) -> None:
        bar.update(task, completed=done, total=total, description=doing)

    with bar:
        yield tell


def _show(result: Mapping[str, Any], out: Path, *, markdown: bool) -> None:
    from rich.console import Console

    from memagent.evals.table import markdown_table, rich_table

    if markdown:
        typer.echo(markdown_table(result), nl=False)
    else:
        console = Console()
        console.print(rich_table(result, width=console.width))
    typer.echo(f"Written to {out}", err=True)
