"""A result of question answering as a table: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from memagent.evals.table import interval_cell

if TYPE_CHECKING:
    from rich.table import Table

_HEAD = ("questions", "n", "accuracy", "f1", "rougeL", "said unknown", "evidence shown")
_METRICS = ("accuracy", "f1", "rougeL", "said_unknown", "evidence_shown")


def markdown_page(result: Mapping[str, Any]) -> str:
    """The table as Markdown, with what was measured above it and what was used below."""
    lines = [
        _HEAD,
        ["---"] + ["---:"] * (len(_HEAD) - 1),
        *([" ".join(filter(None, cell)) for cell in row] for row in _rows(result)),
    ]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([title(result), "", *table, "", *notes(result)]) + "\n"


def rich_table(result: Mapping[str, Any], *, width: int = 160) -> Table:
    """The table for a terminal of ``width`` columns.

    Where there is no room for the intervals they stand below the figures, or are left out; the result file has them.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=10_000)
    for between in (" ", "\n", None):
        table = _table(result, between)
        if Measurement.get(console, console.options, table).maximum <= width:
            break
    _describe(table, result)
    return table


def _table(result: Mapping[str, Any], between: str | None) -> Table:
    """The figures; ``between`` separates each from its interval, None leaves that out."""
    from rich.table import Table
    from rich.text import Text

    # Text, not str: names may hold what Rich reads as markup.
    table = Table(title_justify="left", caption_justify="left")
    for place, name in enumerate(_HEAD):
        label = Text(name.replace(" ", "\n"))
        table.add_column(label, justify="left" if place == 0 else "right", overflow="fold")
    for row in _rows(result):
        cells = [Text(figure) for figure, _ in row]
        for cell, (_, interval) in zip(cells, row, strict=True):
            if interval and between is not None:
                cell.append(f"{between}{interval}", style="dim")
        table.add_row(*cells)
    return table


def _describe(table: Table, result: Mapping[str, Any]) -> None:
    from rich.text import Text

    table.title = Text(title(result))
    table.caption = Text("\n".join(notes(result)))


def title(result: Mapping[str, Any]) -> str:
    """What was measured, in one line."""
    data, settings, row = result["dataset"], result["settings"], result["rows"][0]
    return (
        f"{data['name']} ({data['variant']}), {data['questions']} questions, {row['retriever']}, "
        f"top {settings['top_k']} {settings['granularity']} units, filter {settings['filter']}, "
        f"reader {result['reader']['name']}, scored by {result['scored_by']}"
    )


def notes(result: Mapping[str, Any]) -> list[str]:
    """What stands below the table."""
    row = result["rows"][0]
    averaged = row["task_averaged"].get("accuracy")
    bleu = row["corpus"].get("bleu")
    figures = [f"task-averaged accuracy {averaged * 100:.1f}" if averaged is not None else ""]
    figures.append(f"corpus BLEU {bleu * 100:.2f}" if bleu is not None else "")
    said = ["Per cent, with 95 % bootstrap intervals over questions. " + "; ".join(filter(None, figures))]
    said += [f"{who}: {_used(row['spent'][who])}" for who in ("reader", "judge") if row["spent"][who]]
    this_run = result["this_run"]
    said.append(f"This run: {this_run['calls']:,} calls, {this_run['cached_replies']:,} replies from the cache")
    said += [
        f"Prefix cache of the {role}'s server: {served['hit_rate'] * 100:.1f} % of "
        f"{served['prompt_tokens']:,} prompt tokens"
        for role, served in this_run["prefix_cache"].items()
    ]
    said += [f"Left out: {name}, {why}" for name, why in result["metrics_left_out"].items()]
    said += [f"Failed: {count} x {reason}" for reason, count in row["failures"].items()]
    return said


def _used(spent: Mapping[str, Any]) -> str:
    latency = spent["latency_ms"]
    parts = [
        f"{spent['input_tokens']:,} tokens in, {spent['output_tokens']:,} out",
        f"cost {spent['cost']:.4g}" if spent["cost"] is not None else "",
        f"latency p50 {latency['p50']:,.0f} ms, p95 {latency['p95']:,.0f} ms" if latency else "",
    ]
    return ", ".join(filter(None, parts))


def _rows(result: Mapping[str, Any]) -> Iterator[list[tuple[str, str]]]:
    row = result["rows"][0]
    groups = {"all": row, **row["by_type"]}
    if len(row["populations"]) > 1:
        groups |= row["populations"]
    for name, group in groups.items():
        figures = [_cell(group["metrics"].get(metric)) for metric in _METRICS]
        yield [(name, ""), (str(group["n"]), ""), *figures]


def _cell(figure: Mapping[str, float] | None) -> tuple[str, str]:
    return tuple(interval_cell(figure)) if figure else ("", "")  # type: ignore[return-value]  # a Cell has two fields
