"""Draws the pictures of the agents' graphs: the nodes and edges of the compiled graphs, at places chosen by hand.

python docs/agents/draw_graphs.py docs/agents
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from memagent.agents.ab.agent import build_graph as ab_graph
from memagent.agents.reason_rag import NoSearcher
from memagent.agents.reason_rag import build_graph as rag_graph
from memagent.llm import Model

Place = tuple[int, int]
Edge = tuple[str, str]

HALF, TALL = 46, 17
STORED, DONE, ELSE = "#d0e0f0", "#d9ead3", "#fff2cc"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A graph and where its parts stand.

    ``labels``: text and place for an edge, those in ``left`` begin there, the others are centred. ``bends``: the point
    that draws an edge aside. ``fills``: colours of nodes.
    """

    graph: Callable[[], Any]
    size: Place
    places: Mapping[str, Place]
    labels: Mapping[Edge, tuple[str, int, int]]
    bends: Mapping[Edge, Place]
    left: frozenset[Edge] = frozenset()
    fills: Mapping[str, str] = field(default_factory=dict)

    def drawn(self) -> str:
        """The picture of the graph as it is compiled now; raises KeyError for a node that has no place."""
        width, height = self.size
        graph = self.graph().get_graph()
        parts = [HEAD.format(width=width, height=height)]
        for source, target, conditional in sorted((edge.source, edge.target, edge.conditional) for edge in graph.edges):
            parts.append(self._edge(source, target, dashed=conditional))
        parts += [self._node(name) for name in sorted(graph.nodes)]
        return "\n".join([*parts, "</svg>"]) + "\n"

    def _edge(self, source: str, target: str, *, dashed: bool) -> str:
        """An arrow, dashed where the graph decides, with its label."""
        bend = self.bends.get((source, target))
        begin = border(self.places[source], bend or self.places[target])
        end = border(self.places[target], bend or self.places[source])
        way = f"Q{bend[0]} {bend[1]} " if bend else "L"
        style = ' stroke-dasharray="5 4"' if dashed else ""
        line = (
            f'<path d="M{begin[0]:.0f} {begin[1]:.0f} {way}{end[0]:.0f} {end[1]:.0f}" fill="none" stroke="#444"{style} '
            'marker-end="url(#tip)"/>'
        )
        text, x, y = self.labels.get((source, target), ("", 0, 0))
        anchor = "start" if (source, target) in self.left else "middle"
        label = f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#444">{escape(text)}</text>' if text else ""
        return line + label

    def _node(self, name: str) -> str:
        """A box with its name."""
        x, y = self.places[name]
        edge = name.startswith("__")
        fill = "#eee" if edge else self.fills.get(name, ELSE)
        text = f'<text x="{x}" y="{y + 4}" text-anchor="middle">{escape(name.strip("_"))}</text>'
        box = (
            f'<rect x="{x - HALF}" y="{y - TALL}" width="{2 * HALF}" height="{2 * TALL}" rx="{TALL if edge else 5}" '
            f'fill="{fill}" stroke="#444"/>'
        )
        return box + text


HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" \
font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 L8 4 L0 8 z" fill="#444"/></marker></defs>"""


def border(place: Place, towards: Place) -> tuple[float, float]:
    """Where a line from the middle of a node leaves it."""
    across, down = towards[0] - place[0], towards[1] - place[1]
    shrink = min(HALF / abs(across) if across else math.inf, TALL / abs(down) if down else math.inf)
    return place[0] + across * shrink, place[1] + down * shrink


PICTURES: Mapping[str, Picture] = {
    "reason_rag": Picture(
        graph=lambda: rag_graph(Model("embedded"), NoSearcher()),
        size=(710, 355),
        places={
            "__start__": (50, 110),
            "begin": (160, 110),
            "reason": (310, 110),
            "retrieve": (480, 110),
            "ground": (650, 110),
            "answer": (310, 250),
            "__end__": (310, 325),
        },
        labels={
            ("reason", "retrieve"): ("query", 395, 102),
            ("retrieve", "ground"): ("documents", 565, 102),
            ("ground", "reason"): ("evidence, or None", 480, 36),
            ("reason", "answer"): ("answer, or forced", 318, 182),
            ("ground", "answer"): ("budget spent: forced", 535, 262),
            ("begin", "answer"): ("budget 0", 140, 190),
        },
        bends={("ground", "reason"): (480, -5), ("ground", "answer"): (560, 255), ("begin", "answer"): (175, 235)},
        left=frozenset({("reason", "answer")}),
        fills={"answer": DONE, "retrieve": STORED},
    ),
    "ab_agent": Picture(
        graph=ab_graph,
        size=(860, 250),
        places={
            "__start__": (50, 110),
            "observe": (175, 110),
            "recall": (325, 110),
            "decide": (495, 110),
            "act": (650, 110),
            "fatigue": (790, 110),
            "__end__": (790, 215),
        },
        labels={
            ("observe", "recall"): ("page", 250, 102),
            ("recall", "decide"): ("memories", 410, 102),
            ("decide", "act"): ("decision", 572, 128),
            ("act", "decide"): ("not possible, once", 572, 62),
            ("act", "fatigue"): ("taken", 720, 102),
            ("fatigue", "observe"): ("energy left", 485, 182),
            ("fatigue", "__end__"): ("over", 798, 166),
        },
        bends={("act", "decide"): (572, 55), ("fatigue", "observe"): (485, 250)},
        left=frozenset({("fatigue", "__end__")}),
        fills={"recall": STORED, "act": DONE, "fatigue": DONE},
    ),
}


if __name__ == "__main__":
    for name, picture in PICTURES.items():
        (Path(sys.argv[1]) / f"{name}.svg").write_text(picture.drawn(), encoding="utf-8")
