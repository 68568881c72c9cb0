"""One user's memory over the year: sessions, what they were about, and the hits of one question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from memagent.evals.demo.drawing import ACCENT, CARD, COLOURS, INK, LINE, MUTED, as_svg, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from memagent.evals.demo.running import DemoRun, Gist

WIDE, NARROW = 1080, 430
_LABEL = 10
_LETTER = 6.3  # points a letter of a label takes at most, on average


def wide(demo: DemoRun) -> str:
    """From left to right, labels above and below the line in several rows."""
    marks = _Marks(demo)
    with canvas(WIDE, 280) as figure:
        axes = figure.subplots()
        left, right = marks.span()
        axes.set_xlim(left, right)
        axes.axhline(0, color=LINE, linewidth=1.4, zorder=1)
        per_point = (right - left) / (WIDE - 20)
        rows = label_rows(marks.days, [_width(text) * per_point for text in marks.labels], left, right)
        axes.set_ylim(*(_height(extreme(row for _, row in rows)) * 1.5 for extreme in (min, max)))
        for day, text, (centre, row), mark in zip(marks.days, marks.labels, rows, marks.each(), strict=True):
            height = _height(row)
            axes.plot([day, day, centre], [0, height * 0.62, height * 0.94], color=LINE, linewidth=0.9, zorder=1)
            _mark(axes, (day, 0), mark)
            axes.text(
                centre,
                height,
                text,
                ha="center",
                va="bottom" if row > 0 else "top",
                fontsize=_LABEL,
                color=INK if mark["label"] else MUTED,
                linespacing=1.15,
            )
            if mark["hit"]:
                axes.text(day, 0, str(mark["hit"]), ha="center", va="center_baseline", color=CARD, fontsize=8, zorder=6)
        axes.set_xticks(*_months(left, right))
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        return as_svg(figure, "timeline-wide", marks.description)


def _height(row: int) -> float:
    """Where the labels of a row begin: 1 is next to the line."""
    return math.copysign(0.3 + 0.3 * (abs(row) - 1), row)


def narrow(demo: DemoRun) -> str:
    """From top to bottom, labels on the right."""
    marks = _Marks(demo)
    count = len(marks.days)
    with canvas(NARROW, 27 * count + 30) as figure:
        axes = figure.subplots()
        axes.set_xlim(0, 1)
        axes.set_ylim(count - 0.4, -0.6)
        axes.axvline(0.16, color=LINE, linewidth=1.4, zorder=1)
        for place, (text, when, mark) in enumerate(zip(marks.labels, marks.dates, marks.each(), strict=True)):
            _mark(axes, (0.16, place), mark)
            if mark["hit"]:
                axes.text(
                    0.16, place, str(mark["hit"]), ha="center", va="center_baseline", color=CARD, fontsize=8, zorder=6
                )
            axes.text(0.11, place, _short(when), ha="right", va="center", color=MUTED)
            colour = INK if mark["label"] else MUTED
            axes.text(0.22, place, text.replace("\n", ", "), ha="left", va="center", color=colour)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines["bottom"].set_visible(False)
        return as_svg(figure, "timeline-narrow", marks.description)


class _Marks:
    """What is drawn for each session: its day, its label, and whether the question found or needed it."""

    def __init__(self, demo: DemoRun) -> None:
        worked = demo.walkthrough.worked[0]
        self._sessions = demo.timeline
        self._scores = dict(worked.ranking)
        self._ranks = {session: rank for rank, (session, _) in enumerate(worked.ranking, start=1)}
        self._gold = set(worked.question.gold_sessions)
        self._shown = len(worked.hits)
        self.dates = [date.fromisoformat(session.date) for session in self._sessions]
        self.days = [float(day.toordinal()) for day in self.dates]
        self.labels = [_label(session) for session in self._sessions]
        self.description = (
            f"Sessions of {worked.question.user_id} over the year with their keywords; the hits of the question "
            f"“{worked.question.text}” are marked with their ranks"
        )

    def each(self) -> list[dict[str, Any]]:
        """For each session: area of its mark by score, rank if it is among the hits shown, whether it is gold."""
        best = max(self._scores.values(), default=0.0) or 1.0
        marks = []
        for session in self._sessions:
            rank = self._ranks.get(session.session_id, 0)
            hit = rank if 0 < rank <= self._shown else 0
            gold = session.session_id in self._gold
            share = max(0.0, self._scores.get(session.session_id, 0.0) / best)
            marks.append({"hit": hit, "gold": gold, "label": bool(hit or gold), "area": 18 + 150 * share**2})
        return marks

    def span(self) -> tuple[float, float]:
        """The days at both ends, with room for labels."""
        return self.days[0] - 16, self.days[-1] + 18


def _mark(axes: Axes, at: tuple[float, float], mark: dict[str, Any]) -> None:
    colour = COLOURS["hybrid"] if mark["hit"] else MUTED
    axes.scatter(*at, s=mark["area"], color=colour, edgecolors=CARD, linewidths=1.2, zorder=4)
    if mark["gold"]:
        axes.scatter(*at, s=mark["area"] + 130, facecolors="none", edgecolors=ACCENT, linewidths=1.6, zorder=5)


def _label(session: Gist) -> str:
    """The two most telling key phrases that do not repeat each other, one a line."""
    chosen: list[str] = []
    for phrase in session.phrases:
        words = set(phrase.lower().split())
        repeated = any(words & set(other.lower().split()) for other in chosen)
        if len(phrase) > 2 and not repeated and not words <= _CALENDAR:
            chosen.append(phrase)
        if len(chosen) == 2:
            break
    return "\n".join(chosen) or session.session_id


def _width(text: str) -> float:
    return max(len(line) for line in text.split("\n")) * _LETTER + 8


def label_rows(days: Sequence[float], widths: Sequence[float], left: float, right: float) -> list[tuple[float, int]]:
    """For each label its centre and row (1, 2, ... above the line, -1, -2, ... below), none over another.

    Labels take turns above and below, each in the row closest to the line that is free at its place.
    """
    ends: dict[int, float] = {}
    rows = []
    for i, (day, width) in enumerate(zip(days, widths, strict=True)):
        centre = min(max(day, left + width / 2), right - width / 2)
        sign = 1 if i % 2 == 0 else -1
        order = [sign * level for level in range(1, 4)] + [-sign * level for level in range(1, 4)]
        free = [row for row in order if ends.get(row, left - 1) <= centre - width / 2]
        row = free[0] if free else min(order, key=lambda row: ends[row])
        ends[row] = centre + width / 2
        rows.append((centre, row))
    return rows


def _months(left: float, right: float) -> tuple[list[float], list[str]]:
    day = date.fromordinal(int(left)).replace(day=1)
    ticks, names = [], []
    while day.toordinal() <= right:
        if day.toordinal() >= left:
            ticks.append(float(day.toordinal()))
            names.append(_MONTHS[day.month - 1])
        day = (day + timedelta(days=32)).replace(day=1)
    return ticks, names


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


_CALENDAR = {
    *("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november"),
    *("december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "early", "late"),
    *("today", "yesterday", "day", "days", "week", "weeks", "month", "months", "year", "years", "minutes"),
}
"""Words that say when and not what; the date is shown anyway."""


def _short(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]}"
