"""A result of ``memagent eval lsrp`` as a table: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memagent.evals.table import table_width

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = {
    "udrr": ("UDRR", 100, 1),
    "ppl": ("PPL", 1, 2),
    "relevance": ("relevance", 1, 2),
    "personalization": ("personal", 1, 2),
    "leakage": ("leaked", 100, 2),
    "regret": ("regret", 1, 2),
}
"""What stands in the head, the factor, the decimals."""
_FIRST = ("relevance", "udrr")
"""The metrics in which systems are compared, the first that there is."""


def markdown_page(result: Mapping[str, Any]) -> str:
    """The table as Markdown, with what was measured above it and what was used below."""
    head = _head(result)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *_rows(result)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([title(result), "", *table, "", *notes(result)]) + "\n"


def rich_table(result: Mapping[str, Any], *, width: int = 160) -> Table:
    """The table for a terminal of ``width`` columns.

    Where it does not fit, all intervals but those of the comparison are left out, then one column after the other.
    """
    head, rows = _head(result), list(_rows(result))
    table = _table(result, head, rows)
    if table_width(table) <= width:
        return table
    rows = [[*(cell.split(" [")[0] for cell in row[:-1]), row[-1]] for row in rows]
    for left_out in ((), ("personal",), ("personal", "PPL")):
        kept = [place for place, name in enumerate(head) if name not in left_out]
        table = _table(result, [head[at] for at in kept], [[row[at] for at in kept] for row in rows])
        if table_width(table) <= width:
            break
    return table


def _table(result: Mapping[str, Any], head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    # Text, not str: names may hold what Rich reads as markup.
    table = Table(
        title=Text(title(result)),
        caption=Text("\n".join(notes(result))),
        title_justify="left",
        caption_justify="left",
    )
    for place, name in enumerate(head):
        label = Text(name.replace(" ", "\n"))
        table.add_column(label, justify="left" if place == 0 else "right", overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*(Text(cell.replace(" [", "\n[")) for cell in row))
    return table


_FEW_USERS = 10
"""Resampling fewer says little of how they were drawn."""


def title(result: Mapping[str, Any]) -> str:
    """What was measured, in one line."""
    data, models = result["dataset"], result["models"]
    named = ", ".join(f"{role} {name}" for role, name in models.items() if name)
    return (
        f"{data['name']}, {data['cases']} tasks of {data['users']} users, {named}, guard {result['settings']['guard']}"
    )


def notes(result: Mapping[str, Any]) -> list[str]:
    """What stands below the table."""
    level = f"{result['settings']['level'] * 100:g} % bootstrap intervals over users"
    said = [
        f"UDRR: share of the profile's tokens in the answer, in per cent. Relevance, personal: judged, of 10. {level}.",
        "PPL: of the small model over its own text: repeating itself is rewarded. UDRR: copying is.",
        "Leaked: share of the user's private facts that left the device, in per cent.",
    ]
    if any("regret" in row["metrics"] for row in result["rows"]):
        weights = ", ".join(f"{name} {weight:.2f}" for name, weight in result["weights"].items())
        source = "learnt (knee)" if len(set(result["weights"].values())) > 1 else "not learnt, equal"
        said.append(
            f"Regret: worth lost against the best style of each task, in standard deviations; {source}: {weights}."
        )
    said += _shortcomings(result)
    return said


def _shortcomings(result: Mapping[str, Any]) -> Iterator[str]:
    data = result["dataset"]
    if data["users"] < _FEW_USERS:
        yield f"The intervals are over {data['users']} users only: too few to go by, and too narrow."
    if data["reference_udrr"] is not None:
        yield f"UDRR of the reference answers: {data['reference_udrr'] * 100:.1f}."
    left_out = ", ".join(f"{count} {reason}" for reason, count in data["left_out"].items())
    if left_out:
        yield f"Left out: {left_out}."
    shared = ", ".join(f"{count} {what}" for what, count in data["on_both_sides"].items() if count)
    if shared:
        yield f"On both sides of this split: {shared}: figures of u-u-rag flatter."
    if index := (result.get("learnt") or {}).get("index"):
        yield f"u-u-rag votes from {index}, learned before; that nobody in it is tested is not checked."
        if tested := result["learnt"]["tested_too"]:
            yield f"{tested} of the tested tasks are in it, word for word: figures of u-u-rag flatter."
    for row in result["rows"]:
        if failed := ", ".join(f"{count} x {reason}" for reason, count in row["failures"].items()):
            yield f"{row['system']}, no answer: {failed}"
        if unrated := row["unrated"]["relevance"] if result["models"].get("judge") else 0:
            yield f"{row['system']}, rating not readable: {unrated}"


def _shown(result: Mapping[str, Any]) -> list[str]:
    return [name for name in _SHOWN if any(name in row["metrics"] for row in result["rows"])]


def _compared(result: Mapping[str, Any]) -> str:
    """The metric in which systems are compared: what a judge says, or UDRR where nobody judges."""
    return next((name for name in _FIRST if name in _shown(result)), "udrr")


def _head(result: Mapping[str, Any]) -> list[str]:
    head = ["system", *(_SHOWN[name][0] for name in _shown(result))]
    against = next((row["paired"]["against"] for row in result["rows"] if row["paired"]), None)
    return [*head, f"{_SHOWN[_compared(result)][0]} vs {against}"] if against else head


def _rows(result: Mapping[str, Any]) -> Iterator[list[str]]:
    compared = _compared(result)
    pairs = any(row["paired"] for row in result["rows"])
    for row in result["rows"]:
        cells = [row["system"], *(_figure(name, row["metrics"].get(name)) for name in _shown(result))]
        yield [*cells, _difference(compared, row["paired"])] if pairs else cells


def _figure(name: str, figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return ""
    _, factor, places = _SHOWN[name]
    mean, low, high = (figure[end] * factor for end in ("mean", "low", "high"))
    return f"{mean:.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def _difference(name: str, paired: Mapping[str, Any] | None) -> str:
    if paired is None:
        return "baseline"
    if name not in paired:
        return ""
    _, factor, places = _SHOWN[name]
    diff, low, high = (paired[name][end] * factor for end in ("diff", "low", "high"))
    return f"{diff:+.{places}f} [{low:+.{places}f}, {high:+.{places}f}]"
