"""The report in a terminal: the verdicts, and the metrics of each arm."""

from __future__ import annotations

from typing import TYPE_CHECKING

_SHOWN = ("ctr", "cvr", "ar", "clicks", "depth", "satisfaction")

if TYPE_CHECKING:
    from rich.console import Console

    from memagent.agents.ab.report import ExperimentReport


def show(report: ExperimentReport, console: Console) -> None:
    """Means of each arm, then what can be said of the difference on the primary metric."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(report.title), title_justify="left")
    table.add_column("arm")
    offline = any(report.offline.values())
    for name in (*_SHOWN, *(["ndcg@20"] if offline else [])):
        table.add_column(name, justify="right")
    for arm in report.arms:
        cells = [f"{arm.metrics[name]['mean']:.3f}" if name in arm.metrics else "-" for name in _SHOWN]
        if offline:
            cells.append(f"{report.offline[arm.name]['ndcg@20']:.3f}")
        table.add_row(escape(arm.name), *cells)
    console.print(table)
    for verdict in report.verdicts:
        console.print(f"- {escape(verdict.text)}", highlight=False)
    for text in report.warnings:
        console.print(f"! {escape(text)}", highlight=False)
