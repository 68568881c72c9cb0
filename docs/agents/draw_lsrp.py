"""Draws lsrp.svg: the nodes and edges of the two compiled graphs, and what passes between them.

python docs/agents/draw_lsrp.py docs/agents/lsrp.svg
"""

from __future__ import annotations

import math
import sys
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Any

from memagent.agents.lsrp import Cloud, Device, Guideline, GuidelineRequest, build_cloud
from memagent.llm import Model

Point = tuple[int, int]

DEVICE: dict[str, Point] = {
    "__start__": (55, 120),
    "begin": (165, 120),
    "choose": (285, 120),
    "guard": (405, 120),
    "lead": (525, 120),
    "recall": (525, 215),
    "write": (405, 215),
    "restore": (285, 215),
    "__end__": (165, 215),
}
CLOUD: dict[str, Point] = {
    "__start__": (740, 70),
    "receive": (740, 120),
    "guideline": (740, 170),
    "__end__": (740, 220),
}
LABELS = {
    ("begin", "recall"): ("no leader", 245, 178),
    ("guard", "recall"): ("refused", 490, 162),
}
BENDS: dict[tuple[str, str], Point] = {("begin", "recall"): (270, 172)}
NOTES = {
    "guard": "what may leave",
    "lead": "the only way out",
    "recall": "the user's own memory",
    "write": "small model, private data",
    "restore": "placeholders back",
    "choose": "strategy",
    "begin": "task, profile, history",
}
WIDTH, HEIGHT, HALF, TALL = 830, 300, 44, 15

HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" \
font-family="sans-serif" font-size="13">
<rect width="100%" height="100%" fill="white"/>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">\
<path d="M0 0 L8 4 L0 8 z" fill="#444"/></marker></defs>
<rect x="4" y="4" width="586" height="290" rx="8" fill="#f3f8f0" stroke="#8a8"/>
<text x="16" y="284" fill="#585">device: profile, earlier texts and memory stay inside</text>
<rect x="660" y="4" width="166" height="290" rx="8" fill="#f0f4fa" stroke="#88a"/>
<text x="672" y="284" fill="#558">cloud: task and strategy</text>"""


def drawn() -> str:
    """The picture of the graphs as they are compiled now; raises KeyError for a node that has no place."""
    device = Device(Model("embedded"), Cloud(Model("embedded"))).graph.get_graph()
    cloud = build_cloud(Model("embedded")).get_graph()
    parts = [HEAD, *graph_of(device, DEVICE), *graph_of(cloud, CLOUD), *messages()]
    return "\n".join([*parts, "</svg>"]) + "\n"


def graph_of(graph: Any, places: dict[str, Point]) -> list[str]:
    """The edges and nodes of a graph, a note under those that have one."""
    parts = []
    for source, target, conditional in sorted((edge.source, edge.target, edge.conditional) for edge in graph.edges):
        bend = BENDS.get((source, target))
        parts.append(arrow(places[source], places[target], bend, dashed=conditional))
        text, x, y = LABELS.get((source, target), ("", 0, 0))
        if text:
            parts.append(label(text, x, y))
    for name in sorted(graph.nodes):
        parts.append(node_of(name, places[name]))
        if places is DEVICE and name in NOTES:
            x, y = places[name]
            parts.append(label(NOTES[name], x, y + (TALL + 14 if y > 150 else -TALL - 6), size=10))
    return parts


def messages() -> list[str]:
    """The two messages with the names of their fields, over the gap between device and cloud."""
    up, down = ((", ".join(field.name for field in fields(kind))) for kind in (GuidelineRequest, Guideline))
    (x, y), (far, top) = DEVICE["lead"], CLOUD["receive"]
    gap = (x + far) // 2 - 6
    return [
        arrow((x, y - 6), (far, top - 6), None, dashed=False, colour="#b00"),
        arrow((far, CLOUD["guideline"][1]), (x, y + 8), None, dashed=False, colour="#b00"),
        label("GuidelineRequest", gap, 62, colour="#b00"),
        *(label(word.strip(), gap, 77 + 12 * row, size=10, colour="#b00") for row, word in enumerate(up.split(","))),
        label("Guideline", gap, 178, colour="#b00"),
        label(down, gap, 192, size=10, colour="#b00"),
    ]


def arrow(source: Point, target: Point, bend: Point | None, *, dashed: bool, colour: str = "#444") -> str:
    """An arrow between two nodes, dashed where the graph decides."""
    begin, end = border(source, bend or target), border(target, bend or source)
    way = f"Q{bend[0]} {bend[1]} " if bend else "L"
    style = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<path d="M{begin[0]:.0f} {begin[1]:.0f} {way}{end[0]:.0f} {end[1]:.0f}" fill="none" stroke="{colour}"{style} '
        'marker-end="url(#tip)"/>'
    )


def border(place: Point, towards: Point) -> tuple[float, float]:
    """Where a line from the middle of a node leaves it."""
    across, down = towards[0] - place[0], towards[1] - place[1]
    shrink = min(HALF / abs(across) if across else math.inf, TALL / abs(down) if down else math.inf)
    return place[0] + across * shrink, place[1] + down * shrink


def label(text: str, x: int, y: int, *, size: int = 12, colour: str = "#444") -> str:
    """A line of text, its middle at x."""
    return f'<text x="{x}" y="{y}" text-anchor="middle" font-size="{size}" fill="{colour}">{escape(text)}</text>'


def node_of(name: str, place: Point) -> str:
    """A box with its name."""
    x, y = place
    edge = name.startswith("__")
    fill = "#eee" if edge else {"lead": "#f4cccc", "guard": "#f4cccc", "guideline": "#d0e0f0"}.get(name, "#fff2cc")
    box = (
        f'<rect x="{x - HALF}" y="{y - TALL}" width="{2 * HALF}" height="{2 * TALL}" rx="{TALL if edge else 5}" '
        f'fill="{fill}" stroke="#444"/>'
    )
    return box + f'<text x="{x}" y="{y + 4}" text-anchor="middle">{escape(name.strip("_"))}</text>'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(drawn(), encoding="utf-8")
