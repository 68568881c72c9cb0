"""A result file as a table: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = ("recall_all@5", "recall_any@5", "recall_all@10", "ndcg_any@10", "ndcg@10")
"""The metrics of the table, in per cent; the result file holds all."""

_FEWER = ("recall_all@5", "recall_any@5", "ndcg_any@10")
DIFFERENCE = "recall_all@5"
"""The metric in which retrievers are compared."""


class Cell(NamedTuple):
    """A figure, and the interval around it where there is one."""

    figure: str
    interval: str = ""


def markdown_table(result: Mapping[str, Any], metrics: Sequence[str] = SHOWN) -> str:
    """The table as Markdown, with a line about the data above it."""
    head, rows = _cells(result, metrics)
    align = ["---"] + ["---:"] * (len(head) - 1)
    lines = [head, align, *([" ".join(filter(None, cell)) for cell in row] for row in rows)]
    return "\n".join([title(result), "", *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


def rich_table(result: Mapping[str, Any], metrics: Sequence[str] = SHOWN, *, width: int = 160) -> Table:
    """The table for a terminal of ``width`` columns, best figure of each metric in bold.

    Where it does not fit the intervals are left out, then some metrics; the result file has them all.
    """
    fewer = [name for name in metrics if name in _FEWER] or list(metrics[:1])
    table = _table(result, metrics, intervals=True)
    for shown, intervals in ((metrics, False), (fewer, False)):
        if table_width(table) <= width:
            break
        table = _table(result, shown, intervals=intervals)
    return table


def title(result: Mapping[str, Any]) -> str:
    """What was measured, in one line."""
    data, encoder = result["dataset"], result["encoder"]
    return (
        f"{data['name']} ({data['variant']}), {result['settings']['granularity']}s, {data['questions']} questions, "
        f"encoder {encoder['name']}"
    )


def _table(result: Mapping[str, Any], metrics: Sequence[str], *, intervals: bool) -> Table:
    from rich.table import Table
    from rich.text import Text

    head, rows = _cells(result, metrics)
    # Text, not str: names may hold what Rich reads as markup.
    table = Table(
        title=Text(title(result)),
        caption=Text(_caption(result, intervals=intervals)),
        title_justify="left",
        caption_justify="left",
    )
    for i, name in enumerate(head):
        label = Text(name.replace("@", "\n@", 1).replace(" ", "\n"))
        table.add_column(label, justify="left" if i == 0 else "right", overflow="fold")
    best = _best(result, metrics)
    for place, cells in enumerate(rows):
        table.add_row(*(_styled(cell, bold=(place, i) in best, intervals=intervals) for i, cell in enumerate(cells)))
    return table


def _styled(cell: Cell, *, bold: bool, intervals: bool) -> Text:
    """A figure, and its interval dimmed on the next line."""
    from rich.text import Text

    text = Text(cell.figure, style="bold" if bold else "")
    if intervals and cell.interval:
        text.append(f"\n{cell.interval}", style="dim not bold")
    return text


def table_width(table: Table) -> int:
    """How many columns the table takes when nothing is wrapped."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=10_000)
    return Measurement.get(console, console.options, table).maximum


def _caption(result: Mapping[str, Any], *, intervals: bool) -> str:
    level = f"{result['settings']['level'] * 100:g} % bootstrap intervals over questions"
    said = f"Per cent, with {level}" if intervals else f"Per cent; {level} are in the result file"
    left_out = ", ".join(f"{count} {reason}" for reason, count in result["dataset"]["left_out"].items())
    return f"{said}. Times in ms, without query encoding." + (f"\nLeft out: {left_out}." if left_out else "")


def _cells(result: Mapping[str, Any], metrics: Sequence[str]) -> tuple[list[str], list[list[Cell]]]:
    against = next((row["paired"]["against"] for row in result["rows"] if row["paired"]), None)
    head = ["retriever", *metrics, "search p50", "p95"]
    if against:
        head.append(f"{DIFFERENCE} vs {against}")
    rows = []
    for row in result["rows"]:
        latency = row["latency_ms"]
        cells = [Cell(row["retriever"]), *(interval_cell(row["metrics"][name]) for name in metrics)]
        cells += [Cell(f"{latency['search_p50']:.1f}"), Cell(f"{latency['search_p95']:.1f}")]
        if against:
            cells.append(difference_cell(row["paired"]))
        rows.append(cells)
    return head, rows


def interval_cell(figure: Mapping[str, float]) -> Cell:
    """A mean in per cent."""
    return Cell(f"{figure['mean'] * 100:.1f}", f"[{figure['low'] * 100:.1f}, {figure['high'] * 100:.1f}]")


def difference_cell(paired: Mapping[str, Any] | None, *, none: str = "baseline") -> Cell:
    """The paired difference in :data:`DIFFERENCE`; ``none`` is what stands for that of a retriever to itself."""
    if paired is None:
        return Cell(none)
    figure = paired[DIFFERENCE]
    return Cell(f"{figure['diff'] * 100:+.1f}", f"[{figure['low'] * 100:+.1f}, {figure['high'] * 100:+.1f}]")


def _best(result: Mapping[str, Any], metrics: Sequence[str]) -> set[tuple[int, int]]:
    """Row and column of the highest figure of each metric."""
    best = set()
    for column, name in enumerate(metrics, start=1):
        means = [row["metrics"][name]["mean"] for row in result["rows"]]
        best |= {(place, column) for place, mean in enumerate(means) if mean == max(means)}
    return best
