"""The pictures of a report, as SVG."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from memagent.agents.ab.report import ExperimentReport

_WIDTH = 10.4  # inches: as wide as the page
_INK, _MUTED, _LINE, _BLUE, _GREY = "#1b2126", "#59646e", "#dfe3e7", "#0072b2", "#8a939b"
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,
    "svg.hashsalt": "memagent",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _MUTED,
    "axes.edgecolor": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "grid.color": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


def draw(report: ExperimentReport) -> dict[str, str]:
    """``arms`` (the primary metric), and ``differences`` (in units of what can be found) if there are two arms."""
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # The text stays text: whoever shows the page has the fonts, which need not be those of this machine.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        pictures = {"arms": _svg(_arms(report))}
        if report.differences:
            pictures["differences"] = _svg(_differences(report))
        return pictures


def _arms(report: ExperimentReport) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(_WIDTH, 0.9 + 0.38 * len(report.arms)), layout="constrained")
    axes = figure.subplots()
    for place, arm in enumerate(report.arms):
        found = arm.metrics.get(report.primary)
        if found:
            axes.hlines(place, found["low"], found["high"], color=_BLUE, linewidth=5, alpha=0.3)
            axes.plot(found["mean"], place, "o", color=_BLUE, markersize=6)
    names = [_label(arm.name) + (" (baseline)" if not place else "") for place, arm in enumerate(report.arms)]
    axes.set_yticks(range(len(report.arms)), names)
    axes.set_ylim(len(report.arms) - 0.5, -0.5)
    axes.set_xlabel(f"{METRICS[report.primary].label}: {METRICS[report.primary].about}")
    if METRICS[report.primary].share:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="x")
    return figure


def _differences(report: ExperimentReport) -> Figure:
    """Metrics have different scales: differences are divided by what so many users show at a power of 0.8."""
    from matplotlib.figure import Figure

    shown = [d for d in report.differences if math.isfinite(d.detectable) and d.detectable > 0]
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.3 * max(1, len(shown))), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(-1, 1, color=_LINE, alpha=0.5, linewidth=0)
    axes.axvline(0, color=_MUTED, linewidth=1)
    for place, d in enumerate(shown):
        colour = _BLUE if d.p_holm <= report.alpha else _GREY
        low, middle, high = (value / d.detectable for value in (d.low, d.difference, d.high))
        axes.hlines(place, low, high, color=colour, linewidth=4, alpha=0.35)
        axes.plot(middle, place, "o", color=colour, markersize=5)
    axes.set_yticks(range(len(shown)), [f"{_label(d.arm)}: {METRICS[d.metric].label.lower()}" for d in shown])
    axes.set_ylim(max(1, len(shown)) - 0.5, -0.5)
    axes.set_xlabel(
        f"difference to {_label(report.arms[0].name)}, in multiples of what is found four times out of five"
    )
    axes.grid(axis="x")
    return figure


def _label(name: str) -> str:
    """A name without what SVG may not hold."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in name)


def _svg(figure: Figure) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    written = io.StringIO()
    FigureCanvasSVG(figure)
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    return text[text.index("<svg") :]
