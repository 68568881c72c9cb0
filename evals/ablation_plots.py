"""Pictures of an ablation: a curve for each sweep, and all other variants' differences to the method in one."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.evals.table import DIFFERENCE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = {"recall_any@5": "#c76a00", "recall_all@5": "#0072b2"}
"""The metrics that are drawn, and their colours."""

DIFFERENCES = "differences.png"

_NONE = {"diff": 0.0, "low": 0.0, "high": 0.0}  # of the baseline to itself
_INK, _MUTED, _LINE = "#1b2126", "#59646e", "#dfe3e7"
_WIDTH = 7.2  # inches
_DPI = 160
_APART = 0.045  # of the width of a sweep: what lies between the labels of two values
_LABEL = 42  # letters of a variant's name in a line
_LOGARITHMIC = 12  # from this ratio of the largest to the smallest value, if all are positive
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 10,
    "axes.titlesize": 11,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _LINE,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "grid.color": _LINE,
    "grid.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "white",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


_LEGEND_WIDTH = 40
"""Longer entries stand below each other, not side by side."""


def draw(result: Mapping[str, Any]) -> dict[str, bytes]:
    """Every picture of an ablation, a PNG by the name of its file."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        pictures = {group["plot"]: _png(_sweep(result, group)) for group in result["groups"] if group["plot"]}
        if has_differences(result):
            pictures[DIFFERENCES] = _png(_differences(result))
        return pictures


def has_differences(result: Mapping[str, Any]) -> bool:
    """Whether some variants are no steps of a sweep, and so stand in :data:`DIFFERENCES`."""
    return any(not group["parameter"] for group in result["groups"])


def _png(figure: Figure) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    written = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(written, format="png", dpi=_DPI, metadata={"Software": None})
    return written.getvalue()


def _sweep(result: Mapping[str, Any], group: Mapping[str, Any]) -> Figure:
    """Both metrics over the parameter; below, their paired differences to the baseline; all with intervals."""
    from matplotlib.figure import Figure

    rows = {row["retriever"]: row for row in result["rows"]}
    values = [variant["value"] for variant in group["variants"]]
    found = [rows[variant["retriever"]] for variant in group["variants"]]
    figure = Figure(figsize=(_WIDTH, 5.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for metric, colour in METRICS.items():
        _curve(above, values, [row["metrics"][metric] for row in found], colour, metric)
        level = rows[result["baseline"]]["metrics"][metric]["mean"] * 100
        above.axhline(
            level, color=colour, linestyle=(0, (4, 3)), linewidth=1.2, label=f"{metric}, {result['baseline']}"
        )
        paired = [row["paired_to_baseline"] for row in found]
        _curve(below, values, [figures[metric] if figures else _NONE for figures in paired], colour)
    below.axhline(0, color=_MUTED, linewidth=1)
    _mark_own_value(above, group["at"], values)
    _value_axis(below, values)
    above.set_ylabel("per cent")
    below.set_ylabel("points")
    below.set_xlabel(group["parameter"])
    above.set_title(f"{result['method']}: {group['title'].lower()}", loc="left", pad=16)
    below.set_title(f"paired difference to {result['baseline']}", loc="left", fontsize=10)
    for axes in (above, below):
        axes.grid(axis="y")
        axes.margins(y=0.08)
    handles, labels = above.get_legend_handles_labels()
    columns = 2 if max(map(len, labels)) <= _LEGEND_WIDTH else 1
    figure.legend(handles, labels, loc="outside lower left", ncols=columns, handlelength=2.2)
    return figure


def _curve(
    axes: Axes, values: Sequence[float], figures: Sequence[Mapping[str, float]], colour: str, label: str = ""
) -> None:
    """Means (or differences) in per cent, and a band from the lower to the upper ends of their intervals."""
    low, high = ([figure[end] * 100 for figure in figures] for end in ("low", "high"))
    middle = [figure["mean" if "mean" in figure else "diff"] * 100 for figure in figures]
    axes.fill_between(values, low, high, color=colour, alpha=0.14, linewidth=0)
    axes.plot(values, middle, color=colour, marker="o", markersize=4.5, linewidth=1.8, label=label or None)


def _mark_own_value(axes: Axes, value: object, values: list[float]) -> None:
    """A thin line where the method itself stands, if that is within the sweep."""
    if isinstance(value, int | float) and min(values) <= value <= max(values):
        axes.axvline(value, color=_MUTED, linewidth=0.9, linestyle=":", zorder=1)
        axes.annotate(
            f"the method: {value:g}",
            (value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, 2),
            textcoords="offset points",
            color=_MUTED,
            fontsize=9,
        )


def _value_axis(axes: Axes, values: list[float]) -> None:
    """A tick at each value that has room; on a logarithmic scale where they span more than one would see on another."""
    places = values
    if min(values) > 0 and max(values) / min(values) >= _LOGARITHMIC:
        axes.set_xscale("log")
        axes.minorticks_off()
        places = [math.log(value) for value in values]
    room = (max(places) - min(places)) * _APART
    told: list[int] = []
    for i, place in enumerate(places):
        if not told or place - places[told[-1]] >= room:
            told.append(i)
    axes.set_xticks([values[i] for i in told], [f"{values[i]:g}" for i in told])


class _Line(NamedTuple):
    """A line of the picture of differences: a group's title, or a variant and its paired difference."""

    text: str
    paired: Mapping[str, float] | None = None


def _difference_lines(result: Mapping[str, Any]) -> list[_Line]:
    rows = {row["retriever"]: row for row in result["rows"]}
    lines: list[_Line] = []
    for group in result["groups"]:
        if not group["parameter"]:
            lines.append(_Line(group["title"]))
            paired = [(variant["name"], rows[variant["retriever"]]["paired"]) for variant in group["variants"]]
            lines += [_Line(fill(name, _LABEL), figures[DIFFERENCE]) for name, figures in paired if figures]
    return lines


def _differences(result: Mapping[str, Any]) -> Figure:
    """A dot and an interval for each variant that is no step of a sweep."""
    from matplotlib.figure import Figure

    lines = _difference_lines(result)
    rows = sum(line.text.count("\n") + 1 for line in lines)
    figure = Figure(figsize=(_WIDTH, 0.9 + 0.3 * rows), layout="constrained")
    axes = figure.subplots()
    axes.axvline(0, color=_MUTED, linewidth=1)
    colour = METRICS[DIFFERENCE]
    places: list[float] = []
    top = 0.0
    for line in lines:
        height = line.text.count("\n") + 1
        place = top + height / 2
        places.append(place)
        top += height
        if line.paired:
            axes.hlines(place, line.paired["low"] * 100, line.paired["high"] * 100, color=colour, alpha=0.55)
            axes.plot(line.paired["diff"] * 100, place, "o", color=colour, markersize=5.5)
    axes.set_yticks(places, [line.text for line in lines])
    for label, line in zip(axes.get_yticklabels(), lines, strict=True):
        label.set_color(_MUTED if line.paired else _INK)
        label.set_fontweight("normal" if line.paired else "bold")
    axes.set_ylim(top, 0)
    axes.set_xlabel(f"points of {DIFFERENCE}")
    axes.set_title(f"Difference to {result['method']}", loc="left")
    axes.grid(axis="x")
    return figure
