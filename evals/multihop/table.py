"""A result of ``memagent eval agentic-rag`` as a table: for the terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memagent.evals.table import table_width

if TYPE_CHECKING:
    from rich.table import Table

_PERCENT = {"em": "EM", "f1": "F1", "recall_all": "recall_all", "recall": "recall"}
_COUNTS = {"searches": "searches", "passages": "passages", "tokens": "tokens"}


def markdown_page(result: Mapping[str, Any]) -> str:
    """The table as Markdown, with what was measured above it and what was used below."""
    head = _head(result)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *_rows(result)]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([title(result), "", *table, "", *notes(result)]) + "\n"


def rich_table(result: Mapping[str, Any], *, width: int = 160) -> Table:
    """The table for a terminal of ``width`` columns.

    Where it does not fit, all intervals but those of differences are left out, then what a question takes.
    """
    head, rows = _head(result), list(_rows(result))
    table = _table(result, head, rows)
    for left_out in (frozenset[str](), frozenset({*_COUNTS.values(), "p50 s"} - {"searches"})):
        if table_width(table) <= width:
            break
        kept = [place for place, name in enumerate(head) if name not in left_out]
        figures = [[row[0], *(cell.split(" [")[0] for cell in row[1:-1]), row[-1]] for row in rows]
        table = _table(result, [head[place] for place in kept], [[row[place] for place in kept] for row in figures])
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
        label = Text(name.replace("_", "_\n").replace(" ", "\n", 1))
        table.add_column(label, justify="left" if place == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell.replace(" [", "\n[")) for cell in row))
    return table


def title(result: Mapping[str, Any]) -> str:
    """What was measured, in one line."""
    data = result["dataset"]
    asked = f"model {result['model']['name']}" if result["model"] else "no model"
    return f"{data['name']} ({data['variant']}), {data['questions']} questions, {data['passages']:,} passages, {asked}"


def notes(result: Mapping[str, Any]) -> list[str]:
    """What stands below the table."""
    level = f"{result['settings']['level'] * 100:g} % bootstrap intervals over questions"
    said = [
        f"EM, F1 and recall in per cent with {level}; searches, passages and tokens a question.",
        "recall: of the gold passages, over the whole trajectory; recall_all: all of them.",
    ]
    for row in result["rows"]:
        failed = ", ".join(f"{count} x {reason}" for reason, count in row["failures"].items())
        said += [f"{row['system']}, no answer: {failed}"] if failed else []
    said += _pairs(result)
    left_out = ", ".join(f"{count} {reason}" for reason, count in result["dataset"]["left_out"].items())
    said += [f"Left out: {left_out}."] if left_out else []
    if this_run := result["this_run"]:
        said.append(f"This run: {this_run['calls']:,} calls, {this_run['cached_replies']:,} replies from the cache.")
    return said


def _pairs(result: Mapping[str, Any]) -> list[str]:
    """Who is compared with whom, unless it is one for all, whom the head names, or its label says for whom it is."""
    if not result["model"]:
        return []
    pairs: dict[str, list[str]] = {}
    for row in result["rows"]:
        if row["paired"]:
            pairs.setdefault(row["paired"]["against"], []).append(row["system"])
    told = [f"with {other}: {', '.join(systems)}" for other, systems in pairs.items()]
    return [f"Compared {'; '.join(told)}."] if len(pairs) > 1 else []


def _shown(result: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    """Those of these metrics that some system has."""
    return [name for name in names if any(name in row["metrics"] for row in result["rows"])]


def _difference_in(result: Mapping[str, Any]) -> str:
    """The metric in which systems are compared: right answers, or what was found where nobody answers."""
    return "em" if result["model"] else "recall_all"


def _head(result: Mapping[str, Any]) -> list[str]:
    head = ["system", *(_PERCENT[name] for name in _shown(result, _PERCENT))]
    head += [_COUNTS[name] for name in _shown(result, _COUNTS)]
    head += ["p50 s"] if result["model"] else []
    others = {row["paired"]["against"] for row in result["rows"] if row["paired"]}
    if others:
        with_what = f" vs {others.pop()}" if len(others) == 1 else ", paired"
        head.append(f"{_PERCENT[_difference_in(result)]}{with_what}")
    return head


def _rows(result: Mapping[str, Any]) -> Iterator[list[str]]:
    for row in result["rows"]:
        metrics = row["metrics"]
        cells = [row["system"], *(_share(metrics.get(name)) for name in _shown(result, _PERCENT))]
        cells += [_count(name, metrics.get(name)) for name in _shown(result, _COUNTS)]
        if result["model"]:
            latency = row["spent"]["latency_ms"]
            cells.append(f"{latency['p50'] / 1000:.2f}" if latency else "")
        if any(other["paired"] for other in result["rows"]):
            cells.append(_difference(row["paired"], _difference_in(result)))
        yield cells


def _share(figure: Mapping[str, float] | None) -> str:
    if figure is None:
        return ""
    return f"{figure['mean'] * 100:.1f} [{figure['low'] * 100:.1f}, {figure['high'] * 100:.1f}]"


def _count(name: str, figure: Mapping[str, float] | None) -> str:
    return f"{figure['mean']:,.{0 if name == 'tokens' else 1}f}" if figure else ""


def _difference(paired: Mapping[str, Any] | None, metric: str) -> str:
    if paired is None:
        return "baseline"
    if metric not in paired:
        return ""
    figure = paired[metric]
    return f"{figure['diff'] * 100:+.1f} [{figure['low'] * 100:+.1f}, {figure['high'] * 100:+.1f}]"
