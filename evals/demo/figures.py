"""The report's figures, each a function from what was measured to an ``svg`` element."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from memagent.evals.demo.asking import RETRIEVERS
from memagent.evals.demo.drawing import (
    CARD,
    COLOURS,
    INK,
    TINTS,
    as_svg,
    canvas,
    percent_axis,
    spread,
)
from memagent.records import Granularity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from memagent.evals.demo.asking import TopScore
    from memagent.evals.demo.running import DemoRun

WIDTH = 470
_BAR = 0.25
_BESIDE: Any = {"textcoords": "offset points", "va": "center", "ha": "left", "annotation_clip": False}


def recall_by_kind(demo: DemoRun, metric: str = "recall_all@5") -> str:
    """Grouped bars: recall by question kind and retriever, with intervals."""
    rows = {row["retriever"]: row for row in demo.result["rows"]}
    kinds = sorted(rows["dense"]["by_type"], key=lambda kind: -rows["dense"]["by_type"][kind]["n"])
    groups = {"all kinds": {name: rows[name]["metrics"][metric] for name in RETRIEVERS}}
    counts = [len(demo.run.questions)]
    for kind in kinds:
        groups[kind] = {name: rows[name]["by_type"][kind]["metrics"][metric] for name in RETRIEVERS}
        counts.append(rows["dense"]["by_type"][kind]["n"])
    return _grouped_bars(groups, counts, 63, "kind", f"{metric} of each retriever by question kind, with intervals")


def recall_by_user(demo: DemoRun) -> str:
    """Grouped bars: recall by user and retriever, with intervals."""
    groups = {}
    counts = []
    for user_id, figures in demo.by_user.items():
        groups[f"{user_id} ({demo.people[user_id].language})"] = {name: figures[name]._asdict() for name in RETRIEVERS}
        counts.append(sum(question.user_id == user_id for question in demo.run.questions))
    return _grouped_bars(groups, counts, 52, "user", "recall_all@5 of each retriever by user, with intervals")


def latency(demo: DemoRun) -> str:
    """Every search and every encoded question as a dot, and the medians."""
    rows: dict[str, list[float]] = {"encode": sorted(demo.encode_ms)}
    for name in RETRIEVERS:
        rows[name] = sorted(row.search_ms for row in demo.run.rows if row.retriever == name)
    # On a busy machine single searches take long; they are counted, so that the others can be told apart.
    top = 1.1 * max(times[int(0.95 * len(times))] for times in rows.values())
    with canvas(WIDTH, 215) as figure:
        axes = figure.subplots()
        names = [*RETRIEVERS, "encode"]
        for place, name in enumerate(names):
            within = [time for time in rows[name] if time <= top]
            _dots(axes, within, place, COLOURS[name], gap=top / 95, step=0.085)
            middle = median(rows[name])
            axes.plot([middle, middle], [place - 0.36, place + 0.36], color=INK, linewidth=1.4, zorder=4)
            beyond = len(rows[name]) - len(within)
            text = f"{middle:.1f} ms" + (f"\n{beyond} beyond" if beyond else "")
            axes.annotate(text, (1, place), xycoords=("axes fraction", "data"), xytext=(8, 0), **_BESIDE)
        axes.set_yticks(range(len(names)), [*(f"{name} search" for name in RETRIEVERS), "encode a question"])
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlim(0, top)
        axes.set_xlabel("milliseconds")
        axes.grid(axis="x")
        return as_svg(figure, "latency", "Distribution of search and encoding times, with medians")


def units(demo: DemoRun) -> str:
    """How many units of each granularity are stored, by user."""
    kinds = [str(granularity) for granularity in (Granularity.TURN, Granularity.SESSION, "summary", "keywords")]
    users = list(demo.stored.units)
    with canvas(WIDTH, 190) as figure:
        axes = figure.subplots()
        for place, kind in enumerate(kinds):
            left = 0
            for i, user in enumerate(users):
                count = demo.stored.units[user][kind]
                label = user if place == 0 else None
                axes.barh(place, count, left=left, height=0.58, color=TINTS[i % 4], edgecolor=CARD, label=label)
                left += count
            axes.annotate(f"{left:,}", (left, place), xytext=(5, 0), textcoords="offset points", va="center")
        axes.set_yticks(range(len(kinds)), kinds)
        axes.invert_yaxis()
        axes.set_xlim(0, demo.stored.count("turn") * 1.1)
        axes.set_xlabel("stored units")
        axes.grid(axis="x")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=4, handlelength=0.9)
        return as_svg(figure, "units", "Number of stored units of each granularity, by user")


def abstention(scores: Sequence[TopScore]) -> str:
    """The best session's score of every question, those without an answer apart; a panel a retriever."""
    panels: defaultdict[str, dict[bool, list[float]]] = defaultdict(lambda: {True: [], False: []})
    for score in scores:
        panels[score.retriever][score.answerable].append(score.score)
    with canvas(WIDTH, 300) as figure:
        figure.get_layout_engine().set(hspace=0.12)  # type: ignore[union-attr, call-arg]
        for axes, name in zip(figure.subplots(len(RETRIEVERS), 1), RETRIEVERS, strict=True):
            every = [score for group in panels[name].values() for score in group]
            low, high = min(0.0, *every), max(every) * 1.06
            _dots(axes, sorted(panels[name][True]), 0, COLOURS[name], gap=(high - low) / 80, step=0.12)
            _dots(axes, sorted(panels[name][False]), 1, INK, gap=(high - low) / 60, step=0.12, marker="D")
            axes.set_yticks([0, 1], ["answerable", "no answer"])
            axes.set_ylim(1.5, -0.75)
            axes.set_xlim(low, high)
            axes.set_title(f"{name}: score of the best session", loc="left", pad=5)
            axes.grid(axis="x")
        return as_svg(figure, "abstention", "Score of the best session for answerable and unanswerable questions")


def _dots(
    axes: Axes, values: Sequence[float], place: int, colour: str, *, gap: float, step: float, marker: str = "o"
) -> None:
    heights = [place + max(-4, min(4, level)) * step for level in spread(values, gap)]
    axes.scatter(values, heights, s=15, color=colour, alpha=0.75, linewidths=0, marker=marker, zorder=3)


def _grouped_bars(
    groups: Mapping[str, Mapping[str, Mapping[str, Any]]],
    counts: Sequence[int],
    height: float,
    name: str,
    description: str,
) -> str:
    """Three bars a group, each group ``height`` points high."""
    with canvas(WIDTH, 50 + height * len(groups)) as figure:
        axes = figure.subplots()
        for i, retriever in enumerate(RETRIEVERS):
            figures = [group[retriever] for group in groups.values()]
            places = [place + (i - 1) * _BAR for place in range(len(groups))]
            means = [figure["mean"] for figure in figures]
            axes.barh(places, means, height=_BAR * 0.88, color=COLOURS[retriever], label=retriever)
            lows, highs = [figure["low"] for figure in figures], [figure["high"] for figure in figures]
            axes.hlines(places, lows, highs, color=INK, linewidth=1.0, zorder=3)
            for ends in (lows, highs):
                axes.scatter(ends, places, marker="|", s=26, color=INK, linewidths=1.0, zorder=3, clip_on=False)
        labels = [f"{group}\n{count} questions" for group, count in zip(groups, counts, strict=True)]
        axes.set_yticks(range(len(groups)), labels)
        axes.set_ylim(len(groups) - 0.5, -0.5)
        percent_axis(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=3, handlelength=0.9)
        return as_svg(figure, name, description)
