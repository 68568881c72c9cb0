"""From a command's options to a finished run: what commands that run retrievers over a data set do alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, Stopped

if TYPE_CHECKING:
    from rich.table import Table

    from memagent.encoders.port import Encoder
    from memagent.evals.options import Measuring
    from memagent.evals.retrieval import Progress, RetrievalRun
    from memagent.evals.specs import RetrieverSpec
    from memagent.llm.cache import ReplyCache
    from memagent.llm.meter import Prices


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A finished run, what its result says about the encoder, and the median time to encode a question in ms."""

    run: RetrievalRun
    encoder: dict[str, Any]
    encode_ms: float


def measure(measuring: Measuring, specs: Sequence[RetrieverSpec], partial: Path) -> Measured:
    """Run ``specs`` as the options say, with a progress bar; rows are kept in ``partial`` as they are made.

    Raises what :func:`~memagent.evals.retrieval.run_retrieval` and the loaders raise.
    """
    from memagent.encoders import load_encoder
    from memagent.evals.datasets import load_dataset
    from memagent.evals.result import encoder_facts
    from memagent.evals.retrieval import RetrievalSettings, encoding_latency, run_retrieval
    from memagent.evals.specs import units_used

    settings = RetrievalSettings(
        granularity=measuring.granularity,
        as_of=measuring.as_of,
        session_vectors=measuring.session_vectors,
        summaries=measuring.summaries or ("extractive" if units_used(specs) else "none"),
        limit=measuring.limit,
    )
    loaded = load_dataset(
        measuring.dataset,
        measuring.data or (),
        text=measuring.text,
        categories=category_numbers(measuring.categories),
        noise=measuring.noise,
    )
    folder = cache_folder(measuring.cache_dir)
    bare = load_encoder(
        measuring.encoder, precision=measuring.precision, long_text=measuring.long_text, cache_dir=folder
    )
    with cached_encoder(bare, folder, wanted=measuring.cache) as used, progress_bar() as progress:
        run = run_retrieval(loaded, specs, used, settings=settings, partial=partial, progress=progress)
    return Measured(
        run=run,
        encoder=encoder_facts(bare, precision=measuring.precision, long_text=measuring.long_text),
        encode_ms=encoding_latency(bare, run.questions),
    )


@contextmanager
def stoppable() -> Iterator[None]:
    """An interrupt outside the run itself is a stop too: nothing is lost that the same command does not make again."""
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped("stopped", hint="run the same command to resume") from None


def check_places(*paths: Path | None) -> None:
    """Refuse an output that could not be written, or would be written over, before hours of work and not after."""
    places: set[str] = set()
    for path in filter(None, paths):
        if path.is_dir() or not path.parent.is_dir():
            raise InvalidInput(f"{path} is not a place for a file", hint="name a file in a folder that exists")
        place = os.path.realpath(path)  # Path.resolve raises RuntimeError for links that lead in a circle
        if place in places:
            raise InvalidInput(f"{path} is named for two outputs", hint="name a file for each")
        places.add(place)


def made_folder(path: Path) -> Path:
    """A folder for outputs, made if need be, before any work is done; raises InvalidInput."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{path} is not a place for a folder: {error.strerror}", hint="name another") from error
    return path


def write_rows(path: Path | None, run: RetrievalRun) -> None:
    """Write a line for each question and retriever, if there is a place for them."""
    from memagent.evals.rows import write_text

    if path:
        write_text(path, "".join(row.as_json() + "\n" for row in run.rows))


def category_numbers(categories: str) -> tuple[int, ...]:
    """The categories named on the command line; raises InvalidInput."""
    try:
        return tuple(int(part) for part in categories.split(","))
    except ValueError:
        raise InvalidInput(
            f"--categories {categories!r} is not a list of numbers", hint="for example 1,2,3,4"
        ) from None


def prices_of(text: str | None) -> Prices | None:
    """The prices of ``IN,OUT``, for a million tokens each; None where none are given. Raises InvalidInput."""
    from memagent.llm.meter import Prices

    if text is None:
        return None
    try:
        sent, received = (float(part) for part in text.split(","))
    except ValueError:
        raise InvalidInput(f"{text!r} is not two prices", hint="for example 0.15,0.6") from None
    return Prices(input=sent, output=received)


def cache_folder(given: Path | None) -> Path:
    """Where embeddings, replies and corpora are kept: the folder given, or the user's cache folder."""
    from memagent.encoders.files import default_cache_dir

    return given or default_cache_dir()


@contextmanager
def reply_cache(folder: Path | None) -> Iterator[ReplyCache | None]:
    """The replies of models kept in a folder, which is made if need be; None where none are to be kept."""
    if folder is None:
        yield None
        return
    from memagent.llm.cache import ReplyCache

    folder.mkdir(parents=True, exist_ok=True)
    with ReplyCache(folder / "replies.sqlite") as cache:
        yield cache


def show_result(
    result: Mapping[str, Any],
    out: Path,
    *,
    markdown: bool,
    page: Callable[[Mapping[str, Any]], str],
    table: Callable[..., Table],
) -> None:
    """Print a result as the Markdown of ``page``, or as ``table`` (given the terminal's width), and where it is."""
    import typer
    from rich.console import Console

    if markdown:
        typer.echo(page(result), nl=False)
    else:
        console = Console()
        console.print(table(result, width=console.width))
    typer.echo(f"Written to {out}", err=True)


@contextmanager
def cached_encoder(encoder: Encoder, folder: Path, *, wanted: bool) -> Iterator[Encoder]:
    """The encoder with a memory of what it encoded, kept in a file in ``folder``."""
    if not wanted:
        yield encoder
        return
    from memagent.encoders.cache import CachedEncoder

    with CachedEncoder(encoder, folder / "embeddings.sqlite") as cached:
        yield cached


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("loading", total=None)

    def tell(done: int, total: int, doing: str) -> None:
        bar.update(task, completed=done, total=total, description=doing)

    with bar:
        yield tell
