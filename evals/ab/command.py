"""``memagent eval ab``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memagent.evals.measuring import made_folder, stoppable

if TYPE_CHECKING:
    from memagent.agents.ab.report import ExperimentReport

EXAMPLE = """
Example: memagent eval ab --config experiment.yaml --out ab-test

experiment.yaml: {data: {kind: ml-100k, path: ml-100k}, arms: \\[popularity, item-knn], users: 900, calibrate: {arm:
popularity}, position_check: true}
"""


def ab(
    *,
    config: Annotated[Path, typer.Option(help="The experiment, as YAML. Paths in it are relative to it.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write to. A stopped run keeps its sessions there.")
    ],
    cache: Annotated[
        Path | None, typer.Option(help="Where trained arms are kept. Default: the folder arms in --out.")
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(metavar="USER", help="Print the sessions of one user of the finished run, and do nothing else."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the whole report as Markdown.")] = False,
) -> None:
    """Let simulated users visit a site with recommendations of several arms, and say which arm does better.

    Every user visits every arm. Writes report.html, report.md and report.json, and the log of all sessions (JSON Lines,
    and Parquet with the extra sim) in DIR/run. Exit status: 0 done, 2 bad input, 3 stopped (the same command resumes).
    """
    with stoppable():
        from memagent.evals.ab.config import read_config
        from memagent.evals.ab.running import RUN, prepare, run

        if replay is not None:
            _replay(out / RUN, replay)
            return
        settings = read_config(config)
        folder = made_folder(out)
        prepared = prepare(settings, base=config.parent, cache=cache or folder / "arms", say=_say, out=folder)
        report = run(settings, prepared, folder, say=_say)
        report.write(folder)
        _show(report, folder, markdown=markdown)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _show(report: ExperimentReport, folder: Path, *, markdown: bool) -> None:
    from memagent.agents.ab.report_text import markdown as page

    if markdown:
        typer.echo(page(report))
    else:
        from rich.console import Console

        from memagent.evals.ab.terminal import show

        show(report, Console())
    typer.echo(f"Written to {folder / 'report.html'}, report.md and report.json", err=True)


def _replay(folder: Path, user: str) -> None:
    from memagent.agents.ab.storing import read_events
    from memagent.agents.ab.transcript import lines
    from memagent.errors import NotFound

    found = list(read_events(folder, user=user))
    if not found:
        raise NotFound(f"user {user!r} is not in this run", hint="take an id from run/visits.jsonl")
    for line in lines(found):
        typer.echo(line)
