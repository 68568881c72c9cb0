"""A run's figures as a table: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

HEAD = ("what", "turns", "users", "median", "p95", "ratio", "against")
_TITLES = {
    "search": "Search (five results)",
    "add": "Changing a memory",
    "ingest": "Taking in histories",
    "open": "Opening a user",
    "users": "Many users",
    "startup": "Starting",
}


def markdown_table(result: Mapping[str, Any]) -> str:
    """A Markdown table for each part of the run, below a line about the machine."""
    lines = [title(result), ""]
    for group, rows in _groups(result):
        align = ["---" if name in ("what", "against") else "---:" for name in HEAD]
        lines += [f"**{_TITLES[group]}**", "", *(f"| {' | '.join(cells)} |" for cells in (HEAD, align, *rows)), ""]
    return "\n".join(lines)


def rich_table(result: Mapping[str, Any]) -> Table:
    """One table for a terminal, a section for each part of the run."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title(result), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in HEAD:
        table.add_column(
            name, justify="left" if name in ("what", "against") else "right", no_wrap=name not in ("what", "against")
        )
    for group, rows in _groups(result):
        table.add_section()
        table.add_row(Text(_TITLES[group], style="bold"))
        for cells in rows:
            *plain, against = cells
            table.add_row(*(Text(cell) for cell in plain), Text(against, style="dim"))
    return table


def title(result: Mapping[str, Any]) -> str:
    """What was measured on what, in one line."""
    machine = result["machine"]
    unfinished = "" if result["complete"] else " (stopped before its end)"
    return f"memagent {result['memagent']}, {machine['cpus']} x {machine['processor']}, {machine['system']}{unfinished}"


def _groups(result: Mapping[str, Any]) -> Iterator[tuple[str, list[list[str]]]]:
    for group, figures in groupby(result["figures"], key=lambda figure: str(figure["group"])):
        yield group, [_cells(figure) for figure in figures]


def _cells(figure: Mapping[str, Any]) -> list[str]:
    unit = figure["unit"]
    against = figure["against"] or ""
    if against and figure["other"] is not None:
        against = f"{against}: {_number(figure['other'])} {unit}"
    return [
        figure["what"],
        *("" if figure[name] is None else f"{figure[name]:,}" for name in ("units", "users")),
        f"{_number(figure['value'])} {unit}",
        "" if figure["p95"] is None else _number(figure["p95"]),
        "" if figure["ratio"] is None else f"{figure['ratio']:.2f}",
        against,
    ]


def _number(value: float) -> str:
    """Three significant digits; whole numbers from 100 on."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
