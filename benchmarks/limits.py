"""Measured values beside the limits that the project sets itself, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One measured value and its limit: the most it may be, or with ``at_least`` the least.

    ``note`` says what it was measured against.
    """

    what: str
    value: float
    limit: float
    unit: str = ""
    at_least: bool = False
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the limit is kept."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def show(title: str, checks: Sequence[Check]) -> bool:
    """Print the checks; whether all hold."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "measured", "limit", "", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    for check in checks:
        bound = "at least" if check.at_least else "at most"
        verdict = "[green]holds[/]" if check.holds else "[red]does not hold[/]"
        table.add_row(
            check.what, _text(check.value, check.unit), f"{bound} {_text(check.limit, check.unit)}", verdict, check.note
        )
    Console().print(table)
    return all(check.holds for check in checks)


def _text(value: float, unit: str) -> str:
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return f"{shown} {unit}".strip()
