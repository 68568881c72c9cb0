"""The command itself: options, progress, files."""

from __future__ import annotations

import sys
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memagent.errors import StoreReadOnly

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.evals.demo.running import DemoRun
    from memagent.evals.retrieval import Progress

REPORT, RESULT, QUESTIONS = "report.html", "result.json", "questions.jsonl"


app = typer.Typer(add_completion=False)


@app.command(epilog="Example: memagent demo --out demo-out --open")
def demo(
    *,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write the report, the figures and the store to.")
    ] = Path("demo-out"),
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder of the store. Default: store, in the folder above.")
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(envvar="MEMAGENT_CACHE", help="Where the encoder keeps its export of the model.")
    ] = None,
    open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the report in a web browser.")] = False,
) -> None:
    """Store three invented users' year of conversations, compare retrievers on 70 questions, and write a report.

    Needs no network and no language model. What an earlier demo stored is replaced; other users of a store stay.
    """
    from rich.console import Console

    begun = time.perf_counter()
    folder = _folder(out)
    console = Console()
    with progress() as tell:
        from memagent.encoders import load_encoder

        tell(0, 1, "loading the encoder (its first use converts the model, once)")
        encoder = load_encoder(cache_dir=cache_dir)
        encoder.encode_queries(["ready"])  # loads it now, so that no time below has that in it
        loaded = time.perf_counter() - begun
        found = make_demo(folder, encoder, store=store, tell=tell, command=["memagent", *sys.argv[1:]])

    from memagent.evals.demo.terminal import show

    show(found, console)
    report = folder / REPORT
    console.print()
    took = f"Took {time.perf_counter() - begun:.1f} s, {loaded:.1f} s of it to load the encoder."
    console.print(took, style="dim", highlight=False)
    typer.echo(f"Report: {report}")
    if open_:
        webbrowser.open(report.resolve().as_uri())


def make_demo(
    folder: Path,
    encoder: Encoder,
    *,
    store: Path | None = None,
    tell: Progress | None = None,
    command: list[str] | None = None,
) -> DemoRun:
    """Run the demo and write its files to ``folder``, which must exist.

    Raises a :class:`~memagent.errors.StoreError` or :class:`~memagent.errors.InvalidInput` when they, or the store,
    cannot be written.
    """
    from memagent.evals.demo.report import render
    from memagent.evals.demo.running import run_demo
    from memagent.evals.result import write_result
    from memagent.evals.rows import write_text

    told = tell or _silent
    found = run_demo(store or folder / "store", encoder, tell=told, command=command or ["memagent", "demo"])
    told(0, 1, "writing the report")
    write_result(folder / RESULT, found.result)
    write_text(folder / QUESTIONS, "".join(row.as_json() + "\n" for row in found.run.rows))
    write_text(folder / REPORT, render(found))
    return found


def _folder(out: Path) -> Path:
    """The folder, made if need be, before any work is done."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreReadOnly(f"{out} cannot be made: {error.strerror}", hint="give --out another folder") from error
    return out


def _silent(done: int, total: int, doing: str) -> None:
    """Tell nobody."""


@contextmanager
def progress() -> Iterator[Progress]:
    """A progress bar on stderr, if that is a terminal, gone when the work is done."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("starting", total=None)

    def tell(done: int, total: int, doing: str) -> None:
        bar.update(task, completed=done, total=total, description=doing)

    with bar:
        yield tell
