"""``memagent bench``: latency, throughput and memory from the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memagent.errors import InvalidInput, Stopped

if TYPE_CHECKING:
    from memagent.bench.figures import BenchSettings
    from memagent.bench.run import Progress


def bench(
    *,
    out: Annotated[
        Path, typer.Option(help="The folder for bench.json and bench.md; the stores are made on its disk.")
    ] = Path("bench-out"),
    units: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Turns of one user. Default: 100,1000,10000.")
    ] = None,
    users: Annotated[str | None, typer.Option(metavar="N,N,...", help="Numbers of users. Default: 1,1000.")] = None,
    units_per_user: Annotated[int, typer.Option(min=1, help="Turns of each of them.")] = 100,
    quick: Annotated[bool, typer.Option("--quick", help="Small sizes and few calls: about a minute.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="search, add, ingest, open, users or startup; repeatable. Default: all."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the synthetic conversations.")] = 0,
    cache_dir: Annotated[
        Path | None, typer.Option(envvar="MEMAGENT_CACHE", help="Where the encoder keeps its export of the model.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
) -> None:
    """Measure search, add, ingestion, opening, memory and start-up on synthetic conversations.

    Each time is set against a plain alternative measured in the same run, in turns with it: on a busy machine look
    at the ratios. Texts and vectors are synthetic; where encoding is included the default encoder does it.
    """
    import json

    from memagent.bench.run import run_bench
    from memagent.bench.table import markdown_table, rich_table

    settings = replace(_settings(units, users, only, quick=quick), units_per_user=units_per_user, seed=seed)
    if out.exists() and not out.is_dir():
        raise InvalidInput(f"{out} is a file", hint="name a folder with --out")
    with _progress() as progress:
        result = run_bench(settings, out=out, cache_dir=cache_dir, progress=progress)
    (out / "bench.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "bench.md").write_text(markdown_table(result), encoding="utf-8")
    if markdown:
        typer.echo(markdown_table(result), nl=False)
    else:
        from rich.console import Console

        Console().print(rich_table(result))
    typer.echo(f"Written to {out / 'bench.json'} and {out / 'bench.md'}", err=True)
    if not result["complete"]:
        raise Stopped("the run was stopped", hint="what was measured is written; measure the rest with --only")


def _settings(units: str | None, users: str | None, only: list[str] | None, *, quick: bool) -> BenchSettings:
    from memagent.bench.figures import GROUPS, QUICK, BenchSettings

    settings = QUICK if quick else BenchSettings()
    if units is not None:
        settings = replace(settings, units=_numbers("--units", units))
    if users is not None:
        settings = replace(settings, users=_numbers("--users", users))
    for name in only or ():
        if name not in GROUPS:
            raise InvalidInput(f"--only {name!r} is no part of the benchmark", hint=f"use {', '.join(GROUPS)}")
    return replace(settings, only=tuple(group for group in GROUPS if not only or group in only))


def _numbers(option: str, text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidInput(f"{option} {text!r} is not a list of numbers", hint="for example 100,1000") from None


@contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on stderr, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
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
