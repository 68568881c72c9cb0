"""Matplotlib figures as SVG that belongs to its page: the page's fonts, and its colours in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours drawn with are names in disguise: each is replaced by a variable of the page's style sheet.
INK = "#010101"
MUTED = "#010102"
LINE = "#010103"
CARD = "#010104"
ACCENT = "#010105"
COLOURS = {"dense": "#010106", "bm25": "#010107", "hybrid": "#010108", "encode": "#010109"}
TINTS = ("#01010a", "#01010b", "#01010c", "#01010d")
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    CARD: "--card",
    ACCENT: "--accent",
    **{colour: f"--{name}" for name, colour in COLOURS.items()},
    **{colour: f"--tint-{i}" for i, colour in enumerate(TINTS, start=1)},
}

SIZE = 10.5
"""Text size in points, which are the units of the picture: a figure as wide as its place shows it unchanged."""

_STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a price in dollars is not a formula
    "svg.fonttype": "none",  # text stays text: it takes the page's font, and can be selected and read aloud
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, and is wider than what pages use: labels stay apart
    "font.size": SIZE,
    "axes.titlesize": SIZE,
    "axes.labelsize": SIZE,
    "xtick.labelsize": SIZE,
    "ytick.labelsize": SIZE,
    "legend.fontsize": SIZE,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.titlecolor": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 5,
    "ytick.major.pad": 6,
    "legend.frameon": False,
}


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of a size in points, drawn in the page's style while the context is open."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02)  # type: ignore[union-attr, call-arg]
        FigureCanvasSVG(figure)
        yield figure


def as_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an ``svg`` element for a page that sets the variables; call it inside :func:`canvas`.

    ``name`` keeps its ids apart from those of other figures; ``description`` is read out instead of it.
    """
    import matplotlib as mpl

    written = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inline(written.getvalue(), name, description)


def _inline(text: str, name: str, description: str) -> str:
    body = text[text.index("<svg") :].strip()
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]+)"', body)
    content = body[body.index(">") + 1 : body.rindex("</svg>")]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', content))
    content = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", content)
    content = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", content)
    content = re.sub(r"'DejaVu Sans'(, [^;\"]*?)?(?=[;\"])", "var(--font)", content)
    for colour, variable in _VARIABLES.items():
        content = content.replace(colour, f"var({variable})")
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return f'<svg viewBox="{box[1] if box else ""}" role="img" aria-label="{label}">{content}</svg>'


def percent_axis(axes: Axes, axis: str = "x") -> None:
    """Turn an axis of shares into one of per cent, 0 to 100, with grid lines."""
    ticks = [0, 0.25, 0.5, 0.75, 1]
    labels = ["0", "25", "50", "75", "100 %"]
    if axis == "x":
        axes.set_xlim(0, 1.02)
        axes.set_xticks(ticks, labels)
    else:
        axes.set_ylim(0, 1.02)
        axes.set_yticks(ticks, labels)
    axes.grid(axis=axis)  # type: ignore[arg-type]


def spread(values: Any, gap: float) -> list[float]:
    """Heights (in steps around 0) that keep dots at ``values`` apart where they are closer than ``gap``."""
    placed: list[tuple[float, int]] = []
    levels = []
    for value in values:
        taken = {level for other, level in placed if abs(other - value) < gap}
        level = next(i for i in _alternating() if i not in taken)
        placed.append((value, level))
        levels.append(float(level))
    return levels


def _alternating() -> Iterator[int]:
    """0, 1, -1, 2, -2, ..."""
    yield 0
    step = 1
    while True:
        yield step
        yield -step
        step += 1
