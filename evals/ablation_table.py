"""An ablation as tables, one a group: for the terminal, and as a Markdown page with its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.evals.ablation_plots import DIFFERENCES, has_differences
from memagent.evals.table import DIFFERENCE, Cell, difference_cell, interval_cell, title

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN = ("recall_all@5", "recall_any@5", "recall_all@10", "ndcg_any@10")
"""The metrics of the page, in per cent; the result file holds all."""

_ON_TERMINALS = ("recall_all@5", "recall_any@5")


class _Line(NamedTuple):
    """One retriever in one group."""

    name: str
    row: Mapping[str, Any]
    is_method: bool


def markdown_page(result: Mapping[str, Any]) -> str:
    """The whole ablation; pictures are linked as files beside it."""
    parts = [
        f"# Ablation of {result['method']}",
        f"{title(result)}, summaries: {result['settings']['summaries']}.",
        _reading(result),
    ]
    if left_out := ", ".join(f"{count} {reason}" for reason, count in result["dataset"]["left_out"].items()):
        parts.append(f"Left out: {left_out}.")
    if has_differences(result):
        parts.append(f"![Differences to {result['method']}]({DIFFERENCES})")
    for group in result["groups"]:
        parts += [f"## {group['title']}", group["about"], _markdown_group(result, group)]
        if group["plot"]:
            parts.append(f"![{group['title']}]({group['plot']})")
    parts += _what_decided(result)
    if result["refused"]:
        reasons = "\n".join(f"- {spec}: {reason}" for spec, reason in result["refused"].items())
        parts += ["## Left out", "These variants do not go together with the settings given.", reasons]
    return "\n\n".join(part for part in parts if part) + "\n"


def _reading(result: Mapping[str, Any]) -> str:
    level = f"{result['settings']['level'] * 100:g} %"
    return (
        f"Per cent, with {level} bootstrap intervals over questions. Differences are paired, in {DIFFERENCE}; the "
        f"baseline is {result['baseline']}. Times in ms, without query encoding."
    )


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print a table a group, with fewer metrics than the page."""
    console.print(f"{title(result)}\n{_reading(result)}\n", markup=False, highlight=False)
    for group in result["groups"]:
        console.print(_rich_group(result, group))
        console.print()


def _lines(result: Mapping[str, Any], group: Mapping[str, Any]) -> list[_Line]:
    """The group's variants, the method above and the baseline below them unless they are among them."""
    rows = {row["retriever"]: row for row in result["rows"]}
    method, baseline = result["method"], result["baseline"]
    found = [
        _Line(variant["name"], rows[variant["retriever"]], variant["retriever"] == method)
        for variant in group["variants"]
    ]
    among = {variant["retriever"] for variant in group["variants"]}
    above = [] if method in among else [_Line(method, rows[method], is_method=True)]
    below = [] if baseline in among else [_Line(baseline, rows[baseline], is_method=False)]
    return [*above, *found, *below]


def _markdown_group(result: Mapping[str, Any], group: Mapping[str, Any]) -> str:
    lines = _lines(result, group)
    decided = any(_choice(line.row) for line in lines)
    head = ["variant", *SHOWN, f"vs {result['method']}", f"vs {result['baseline']}", "search p50"]
    align = ["---"] + ["---:"] * (len(head) - 1)
    if decided:
        head.append("decided")
        align.append("---")
    table = [head, align]
    for line in lines:
        cells = [*_figures(line.row, SHOWN), Cell(f"{line.row['latency_ms']['search_p50']:.1f}")]
        shown = [f"**{line.name}**" if line.is_method else line.name, *(" ".join(filter(None, cell)) for cell in cells)]
        table.append([*shown, _choice(line.row)] if decided else shown)
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def _figures(row: Mapping[str, Any], metrics: Sequence[str]) -> list[Cell]:
    """The metrics, and the differences to the method and to the baseline."""
    return [
        *(interval_cell(row["metrics"][name]) for name in metrics),
        difference_cell(row["paired"], none="-"),
        difference_cell(row["paired_to_baseline"], none="-"),
    ]


def _choices(row: Mapping[str, Any]) -> list[str]:
    """How often each choice was made, of each signal that is a text."""
    return [
        f"{name}: {', '.join(f'{text} {count}' for text, count in signal['counts'].items())}"
        for name, signal in row["signals"].items()
        if "counts" in signal
    ]


def _choice(row: Mapping[str, Any]) -> str:
    """The first of them, which a retriever names first for being the most important."""
    return next(iter(_choices(row)), "")


def _what_decided(result: Mapping[str, Any]) -> list[str]:
    """All signals of the method."""
    row = next(row for row in result["rows"] if row["retriever"] == result["method"])
    if not row["signals"]:
        return []
    numbers = {name: signal for name, signal in row["signals"].items() if "median" in signal}
    lines = [["signal", "p5", "median", "p95"], ["---", "---:", "---:", "---:"]]
    lines += [[name, *(f"{signal[part]:.3f}" for part in ("p5", "median", "p95"))] for name, signal in numbers.items()]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    choices = "\n".join(f"- {choice}" for choice in _choices(row))
    return [f"## What {result['method']} decided by", "Over all questions.", choices, table if numbers else ""]


def _rich_group(result: Mapping[str, Any], group: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    lines = _lines(result, group)
    notes = [group["about"], *(f"{line.name}: {decided}" for line in lines if (decided := _choice(line.row)))]
    table = Table(
        title=Text(group["title"], style="bold"),
        caption=Text("\n".join(note for note in notes if note)),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("variant", overflow="fold")
    for name in (*_ON_TERMINALS, f"vs {result['method']}", "vs baseline"):
        table.add_column(Text(name.replace("@", "\n@").replace(" ", "\n")), justify="right", no_wrap=True)
    for line in lines:
        cells = _figures(line.row, _ON_TERMINALS)
        shown = [Text(cell.figure).append(f"\n{cell.interval}" if cell.interval else "", style="dim") for cell in cells]
        table.add_row(Text(line.name, style="bold" if line.is_method else ""), *shown)
    return table
