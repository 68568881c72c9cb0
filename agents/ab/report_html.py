"""The report as one HTML file that needs nothing beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from memagent.agents.ab.metrics import METRICS
from memagent.agents.ab.report_plots import draw
from memagent.agents.ab.report_text import (
    arm_rows,
    difference_rows,
    ending_rows,
    notes,
    offline_rows,
    position_rows,
    setting_rows,
)

if TYPE_CHECKING:
    from memagent.agents.ab.report import ExperimentReport

_TEMPLATES = Path(__file__).parent / "templates"


_DIFFERENCES = (
    "Each user against themselves. The permutation test exchanges the arms within users; Holm's correction covers the "
    "arms for the primary metric, and metrics and arms for the others."
)
_REVERSED = "How much the place on a page decides: the same lists with the last item of each page first."


def html_page(report: ExperimentReport) -> str:
    """The page; everything that users or arms are called is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page: str = environment.get_template("experiment.html.j2").render(
        report=report,
        facts=report.facts,
        tables=_tables(report),
        notes=notes(report),
        pictures={name: Markup(svg) for name, svg in draw(report).items()},
        metrics=METRICS.values(),
        primary=METRICS[report.primary],
    )
    return page


def _tables(report: ExperimentReport) -> list[tuple[str, str, list[list[str]]]]:
    """Title, what it shows, and rows with the head first; those without rows are left out."""
    tables = [
        ("Arms", "Means over users, with 95 % bootstrap intervals.", arm_rows(report)),
        (f"Differences to {report.arms[0].name}", _DIFFERENCES, difference_rows(report)),
        ("Pages reversed", _REVERSED, position_rows(report)),
        ("Offline", "The same arms on held-out ratings, without simulated users.", offline_rows(report)),
        ("How visits ended", "Shares of the visits to each arm.", ending_rows(report)),
        ("How it was run", "", setting_rows(report)),
    ]
    return [table for table in tables if len(table[2]) > 1]
