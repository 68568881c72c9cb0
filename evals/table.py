"""A result file as a table: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

SHOWN = ("recall_all@5", "recall_any@5", "recall_all@10", "ndcg_any@10", "ndcg@10")
"""The metrics of the table, in per cent; the result file holds all."""

_DIFFERENCE = "recall_all@5"


def markdown_table(result: Mapping[str, Any], metrics: Sequence[str] = SHOWN) -> str:
    """The table as Markdown, with a line about the data above it."""
    head, rows = _cells(result, metrics)
    align = ["---"] + ["---:"] * (len(head) - 1)
    lines = [" | ".join(cells) for cells in (head, align, *rows)]
    return "\n".join([title(result), "", *(f"| {line} |" for line in lines)]) + "\n"


def rich_table(result: Mapping[str, Any], metrics: Sequence[str] = SHOWN) -> Table:
    """The table for a terminal, best figure of each column in bold."""
    from rich.table import Table
    from rich.text import Text

    head, rows = _cells(result, metrics)
    # Text, not str: names may hold what Rich reads as markup.
    table = Table(
        title=Text(title(result)), caption=Text(_caption(result)), title_justify="left", caption_justify="left"
    )
    for i, name in enumerate(head):
        table.add_column(Text(name), justify="left" if i == 0 else "right", no_wrap=i == 0)
    best = _best(result, metrics)
    for place, cells in enumerate(rows):
        table.add_row(*(_styled(cell, bold=(place, i) in best) for i, cell in enumerate(cells)))
    return table


def _styled(cell: str, *, bold: bool) -> Text:
    """A figure, and its interval dimmed on the next line: the table then fits more terminals."""
    from rich.text import Text

    figure, bracket, interval = cell.partition(" [")
    text = Text(figure, style="bold" if bold else "")
    if bracket and interval.endswith("]"):
        text.append(f"\n[{interval}", style="dim not bold")
    return text


def title(result: Mapping[str, Any]) -> str:
    """What was measured, in one line."""
    data, encoder = result["dataset"], result["encoder"]
    return (
        f"{data['name']} ({data['variant']}), {result['settings']['granularity']}s, {data['questions']} questions, "
        f"encoder {encoder['name']}"
    )


def _caption(result: Mapping[str, Any]) -> str:
    left_out = ", ".join(f"{count} {reason}" for reason, count in result["dataset"]["left_out"].items())
    lines = ["Per cent, with 95 % bootstrap intervals over questions; times in milliseconds without query encoding."]
    return "\n".join([*lines, *([f"Left out: {left_out}."] if left_out else [])])


def _cells(result: Mapping[str, Any], metrics: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    against = next((row["paired"]["against"] for row in result["rows"] if row["paired"]), None)
    head = ["retriever", *metrics, "search p50", "p95"]
    if against:
        head.append(f"{_DIFFERENCE} vs {against}")
    rows = []
    for row in result["rows"]:
        latency = row["latency_ms"]
        cells = [row["retriever"], *(_interval(row["metrics"][name]) for name in metrics)]
        cells += [f"{latency['search_p50']:.1f}", f"{latency['search_p95']:.1f}"]
        if against:
            cells.append(_difference(row["paired"]))
        rows.append(cells)
    return head, rows


def _interval(figure: Mapping[str, float]) -> str:
    return f"{figure['mean'] * 100:.1f} [{figure['low'] * 100:.1f}, {figure['high'] * 100:.1f}]"


def _difference(paired: Mapping[str, Any] | None) -> str:
    if paired is None:
        return "baseline"
    figure = paired[_DIFFERENCE]
    return f"{figure['diff'] * 100:+.1f} [{figure['low'] * 100:+.1f}, {figure['high'] * 100:+.1f}]"


def _best(result: Mapping[str, Any], metrics: Sequence[str]) -> set[tuple[int, int]]:
    """Row and column of the highest figure of each metric."""
    best = set()
    for column, name in enumerate(metrics, start=1):
        means = [row["metrics"][name]["mean"] for row in result["rows"]]
        best |= {(place, column) for place, mean in enumerate(means) if mean == max(means)}
    return best
