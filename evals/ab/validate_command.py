"""``memagent eval ab-validate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memagent.evals.measuring import made_folder, stoppable

if TYPE_CHECKING:
    from memagent.agents.ab.validation.report import ValidationReport

EXAMPLE = """
Example: memagent eval ab-validate --config validation.yaml --out ab-validation --angles model,taste,off-policy

validation.yaml: {data: {kind: ml-100k, path: ml-100k}, arms: \\[random, popularity, item-knn, svd], users: 943,
off_policy: {path: open_bandit}}
"""


def ab_validate(
    *,
    config: Annotated[Path, typer.Option(help="The users to validate, as YAML: an experiment. Paths are relative.")],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder to write to. A stopped run keeps its sessions there.")
    ],
    angles: Annotated[
        str | None,
        typer.Option(help="Some of: model,data,features,taste,activity,alignment,errors,off-policy. Default: all."),
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Where trained arms are kept. Default: the folder arms in --out.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the whole report as Markdown.")] = False,
) -> None:
    """Can the simulated users be believed? Tests with a known answer: arms of known quality, lists of known taste.

    Writes validation.md and validation.json: for each angle what was expected, what came, and whether it holds. Exit
    status: 0 done (whatever holds), 2 bad input, 3 stopped (the same command resumes).
    """
    with stoppable():
        from memagent.evals.ab.config import read_config
        from memagent.evals.ab.validating import chosen_angles, report_on, suite_of
        from memagent.evals.ab.validating_config import Validation

        wanted = chosen_angles(angles)
        settings = read_config(config, Validation)
        folder = made_folder(out)
        suite = suite_of(settings, folder, base=config.parent, cache=cache or folder / "arms", say=_say)
        report = report_on(suite, wanted)
        report.write(folder)
        _show(report, folder, markdown=markdown)


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _show(report: ValidationReport, folder: Path, *, markdown: bool) -> None:
    if markdown:
        typer.echo(report.markdown())
    else:
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        from memagent.agents.ab.validation.findings import yes_no

        table = Table(title=escape(report.title), title_justify="left")
        for column in ("angle", "holds", "what came"):
            table.add_column(column)
        for finding in report.findings:
            table.add_row(escape(finding.angle), yes_no(finding.holds), escape(finding.came))
        Console().print(table)
    typer.echo(f"Written to {folder / 'validation.md'} and validation.json", err=True)
