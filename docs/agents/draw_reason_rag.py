"""Draws reason_rag.svg: the nodes and edges of the compiled graph, at places chosen by hand.

python docs/agents/draw_reason_rag.py docs/agents/reason_rag.svg
"""

from __future__ import annotations

import math
import sys
from html import escape
from pathlib import Path

from memagent.agents.reason_rag import NoSearcher, build_graph
from memagent.llm import Model

PLACES = {
    "__start__": (50, 110),
    "begin": (160, 110),
    "reason": (310, 110),
    "retrieve": (480, 110),
    "ground": (650, 110),
    "answer": (310, 250),
    "__end__": (310, 325),
}
LABELS = {
    ("reason", "retrieve"): ("query", 395, 102),
    ("retrieve", "ground"): ("documents", 565, 102),
    ("ground", "reason"): ("evidence, or None", 480, 36),
    ("reason", "answer"): ("answer, or forced", 318, 182),
    ("ground", "answer"): ("budget spent: forced", 535, 262),
    ("begin", "answer"): ("budget 0", 140, 190),
}
BENDS = {("ground", "reason"): (480, -5), ("ground", "answer"): (560, 255), ("begin", "answer"): (175, 235)}
WIDTH, HEIGHT, HALF, TALL = 710, 355, 46, 17

HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" \
font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 L8 4 L0 8 z" fill="#444"/></marker></defs>"""


def drawn() -> str:
    """The picture of the graph as it is compiled now; raises KeyError for a node that has no place."""
    graph = build_graph(Model("embedded"), NoSearcher()).get_graph()
    parts = [HEAD]
    for source, target, conditional in sorted((edge.source, edge.target, edge.conditional) for edge in graph.edges):
        parts.append(edge_of(source, target, dashed=conditional))
    parts += [node_of(name) for name in sorted(graph.nodes)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def edge_of(source: str, target: str, *, dashed: bool) -> str:
    """An arrow, dashed where the graph decides, with its label."""
    bend = BENDS.get((source, target))
    begin = border(PLACES[source], bend or PLACES[target])
    end = border(PLACES[target], bend or PLACES[source])
    way = f"Q{bend[0]} {bend[1]} " if bend else "L"
    style = ' stroke-dasharray="5 4"' if dashed else ""
    line = (
        f'<path d="M{begin[0]:.0f} {begin[1]:.0f} {way}{end[0]:.0f} {end[1]:.0f}" fill="none" stroke="#444"{style} '
        'marker-end="url(#tip)"/>'
    )
    text, x, y = LABELS.get((source, target), ("", 0, 0))
    anchor = "start" if (source, target) == ("reason", "answer") else "middle"
    label = f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#444">{escape(text)}</text>' if text else ""
    return line + label


def border(place: tuple[int, int], towards: tuple[int, int]) -> tuple[float, float]:
    """Where a line from the middle of a node leaves it."""
    across, down = towards[0] - place[0], towards[1] - place[1]
    shrink = min(HALF / abs(across) if across else math.inf, TALL / abs(down) if down else math.inf)
    return place[0] + across * shrink, place[1] + down * shrink


def node_of(name: str) -> str:
    """A box with its name."""
    x, y = PLACES[name]
    edge = name.startswith("__")
    fill = "#eee" if edge else {"answer": "#d9ead3", "retrieve": "#d0e0f0"}.get(name, "#fff2cc")
    text = f'<text x="{x}" y="{y + 4}" text-anchor="middle">{escape(name.strip("_"))}</text>'
    box = (
        f'<rect x="{x - HALF}" y="{y - TALL}" width="{2 * HALF}" height="{2 * TALL}" rx="{TALL if edge else 5}" '
        f'fill="{fill}" stroke="#444"/>'
    )
    return box + text


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn(), encoding="utf-8")
