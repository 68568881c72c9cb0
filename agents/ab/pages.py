"""What a visitor sees and what they can do: values that pass between the sandbox and a policy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from memagent.agents.ab.catalogue import Item

LEAST_INTEREST, MOST_INTEREST = 1.0, 5.0
LEAST_RATING, MOST_RATING = 1, 5


class Kind(StrEnum):
    """The actions. On the list page: click, next, previous, exit. On an item's page: watch, rate, back."""

    CLICK = "click"
    NEXT = "next"
    PREVIOUS = "previous"
    EXIT = "exit"
    WATCH = "watch"
    RATE = "rate"
    BACK = "back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action and how interested the visitor is in what it is about, 1 to 5 (which decides what it costs them).

    ``position`` is the place on the page, from 1, of what is clicked; ``rating`` is 1 to 5, for a rating.
    """

    kind: Kind
    position: int | None = None
    rating: int | None = None
    interest: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An item on the list page. ``position`` counts from 1 on its page, ``rank`` from 1 over all pages."""

    position: int
    rank: int
    item: Item
    opened: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePage:
    """A page of the list. ``energy`` is what is left of the budget, as a part of 1."""

    number: int
    of: int
    entries: tuple[Entry, ...]
    energy: float

    @property
    def actions(self) -> frozenset[Kind]:
        """What can be done here; a click only on what has not been opened before."""
        can = {Kind.EXIT}
        if any(not entry.opened for entry in self.entries):
            can.add(Kind.CLICK)
        if self.number < self.of:
            can.add(Kind.NEXT)
        if self.number > 1:
            can.add(Kind.PREVIOUS)
        return frozenset(can)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailPage:
    """The page of one item. It can be watched once, and rated once after that."""

    number: int
    entry: Entry
    watched: bool
    rated: int | None
    energy: float

    @property
    def actions(self) -> frozenset[Kind]:
        """What can be done here."""
        if not self.watched:
            return frozenset({Kind.WATCH, Kind.BACK})
        return frozenset({Kind.BACK} if self.rated is not None else {Kind.RATE, Kind.BACK})


Page = HomePage | DetailPage


def problem_with(action: Action, page: Page) -> str:
    """Why an action cannot be taken on a page; empty if it can."""
    if action.kind not in page.actions:
        return f"{action.kind} is not possible here; possible are {', '.join(sorted(page.actions))}"
    if action.kind is Kind.CLICK and isinstance(page, HomePage):
        open_ = [entry.position for entry in page.entries if not entry.opened]
        if action.position not in open_:
            return f"position {action.position} cannot be clicked; possible are {', '.join(map(str, open_))}"
    if action.kind is Kind.RATE and not _within(action.rating, LEAST_RATING, MOST_RATING):
        return f"a rating of {action.rating} is not possible; possible are {LEAST_RATING} to {MOST_RATING}"
    if not _within(action.interest, LEAST_INTEREST, MOST_INTEREST):
        return f"an interest of {action.interest} is not possible; possible are 1 to 5"
    return ""


def clamped(action: Action, page: Page) -> Action:
    """The possible action nearest to one that is not.

    Interest and rating are brought into 1 to 5 (a missing one is 3); what cannot be done on the page becomes the way
    on: the next page or the exit from a list, back from an item.
    """
    interest = _brought(action.interest)
    if action.kind is Kind.RATE and Kind.RATE in page.actions:
        return Action(kind=Kind.RATE, rating=round(_brought(action.rating)), interest=interest)
    if not problem_with(Action(kind=action.kind, position=action.position), page):
        return Action(kind=action.kind, position=action.position, interest=interest)
    if isinstance(page, DetailPage):
        return Action(kind=Kind.BACK, interest=interest)
    return Action(kind=Kind.NEXT if Kind.NEXT in page.actions else Kind.EXIT, interest=interest)


def _within(value: float | None, low: float, high: float) -> bool:
    return value is not None and low <= value <= high  # false for NaN


def _brought(value: float | None) -> float:
    if value is None or math.isnan(value):
        return 3.0
    return min(max(float(value), LEAST_INTEREST), MOST_INTEREST)
