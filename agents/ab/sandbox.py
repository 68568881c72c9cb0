"""A recommendation site with a list page and a page for each item, as an environment with ``reset`` and ``step``.

The calls and what they return are Gymnasium's; observations are values instead of arrays, so Gymnasium itself is not
needed. Nothing here is random: the same items and the same actions give the same pages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from memagent.agents.ab.catalogue import Catalogue
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.pages import Action, DetailPage, Entry, HomePage, Kind, Page, problem_with
from memagent.errors import InvalidInput

PAGE_SIZE = 4
MAX_PAGES = 10
MAX_STEPS = 400


class Ending(StrEnum):
    """Why a session ended."""

    CHOSE = "chose"  # the visitor left before the last page
    END_OF_LIST = "end_of_list"  # ... or on the last page
    FATIGUE = "fatigue"  # the budget was used up
    STEP_LIMIT = "step_limit"  # the visitor never stopped
    NOTHING_SHOWN = "nothing_shown"  # the arm recommended nothing that could be shown
    ARM_FAILED = "arm_failed"
    POLICY_FAILED = "policy_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the list is cut into pages, and after how many actions a session is ended."""

    page_size: int = PAGE_SIZE
    max_pages: int = MAX_PAGES
    max_steps: int = MAX_STEPS

    def __post_init__(self) -> None:
        if min(self.page_size, self.max_pages, self.max_steps) < 1:
            raise InvalidInput(f"a layout cannot be {self}", hint="page size, pages and steps are at least 1")

    @property
    def shown(self) -> int:
        """How many items can be shown at most."""
        return self.page_size * self.max_pages


REWARDS: Mapping[Kind, float] = {Kind.CLICK: 1.0}
"""What ``step`` returns as reward of an action; 0 for the others."""


class Sandbox:
    """One visitor's visit to the site.

    >>> page, info = sandbox.reset(options={"items": ["1", "2", "3"], "activity": 2})
    >>> page, reward, terminated, truncated, info = sandbox.step(Action(kind=Kind.CLICK, position=1))

    ``terminated``: the visitor left or their budget is used up; ``truncated``: the step limit. ``info`` says ``cost``,
    ``energy`` (what is left of the budget), ``new`` (the entries seen for the first time) and, at the end, ``ending``.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        layout: Layout | None = None,
        fatigue: Fatigue | None = None,
        rewards: Mapping[Kind, float] = REWARDS,
    ) -> None:
        self._catalogue = catalogue
        self.layout = layout or Layout()
        self._fatigue = fatigue or Fatigue()
        self._rewards = rewards
        self._entries: list[Entry] = []
        self._ending: Ending | None = Ending.NOTHING_SHOWN

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[HomePage, dict[str, Any]]:
        """Open the first page.

        ``options``: ``items`` (ids, best first), and ``activity`` (1 to 3, default 2) or ``budget``. ``seed`` is taken
        for Gymnasium's sake; nothing here is drawn. Raises InvalidInput for no items, unknown ones, or one twice (an
        arm's list goes through :func:`~memagent.agents.ab.shelf.shelf` first), and for a budget that is not above 0.
        """
        del seed
        given = options or {}
        items: Sequence[str] = given.get("items", ())
        if not items or len(set(items)) != len(items):
            raise InvalidInput("the list is empty or has an item twice", hint="give different ids as options['items']")
        budget = float(given["budget"] if "budget" in given else self._fatigue.budget(given.get("activity", 2)))
        if not 0 < budget < math.inf:
            raise InvalidInput(f"a budget of {budget:g}", hint="give one above 0")
        self._entries = [
            Entry(position=place % self.layout.page_size + 1, rank=place + 1, item=self._catalogue[item])
            for place, item in enumerate(items[: self.layout.shown])
        ]
        self._budget = budget
        self._left = self._budget
        self._number, self._seen, self._steps = 1, 0, 0
        self._detail: DetailPage | None = None
        self._ending = None
        page = self._home()
        return page, self._info(0.0, self._unseen(page))

    @property
    def page(self) -> Page:
        """What the visitor sees now."""
        return self._detail or self._home()

    def step(self, action: Action) -> tuple[Page, float, bool, bool, dict[str, Any]]:
        """Take an action; raises InvalidInput, changing nothing, for one that the page does not offer."""
        if self._ending is not None:
            raise InvalidInput("the session is over", hint="call reset first")
        problem = problem_with(action, self.page)
        if problem:
            raise InvalidInput(problem, hint="choose one of page.actions")
        cost = self._fatigue.cost(action.kind, action.interest)
        self._left = max(0.0, self._left - cost)
        self._steps += 1
        on_last_page = self._number == self._pages
        self._apply(action)
        self._ending = self._ended(action, on_last_page=on_last_page)
        page = self.page
        new = self._unseen(page) if isinstance(page, HomePage) and self._ending is None else ()
        over = self._ending is not None
        truncated = self._ending is Ending.STEP_LIMIT
        reward = self._rewards.get(action.kind, 0.0)
        return page, reward, over and not truncated, truncated, self._info(cost, new)

    @property
    def _pages(self) -> int:
        return -(-len(self._entries) // self.layout.page_size)

    def _home(self) -> HomePage:
        first = (self._number - 1) * self.layout.page_size
        return HomePage(
            number=self._number,
            of=self._pages,
            entries=tuple(self._entries[first : first + self.layout.page_size]),
            energy=self._left / self._budget,
        )

    def _unseen(self, page: HomePage) -> tuple[Entry, ...]:
        """The entries that come into view for the first time, counted as impressions once."""
        new = tuple(entry for entry in page.entries if entry.rank > self._seen)
        self._seen += len(new)
        return new

    def _apply(self, action: Action) -> None:
        kind = action.kind
        if kind is Kind.CLICK and action.position is not None:
            place = (self._number - 1) * self.layout.page_size + action.position - 1
            old = self._entries[place]
            self._entries[place] = Entry(position=old.position, rank=old.rank, item=old.item, opened=True)
            self._open(self._entries[place], watched=False, rated=None)
        elif kind in (Kind.NEXT, Kind.PREVIOUS):
            self._number += 1 if kind is Kind.NEXT else -1
        elif kind is Kind.BACK:
            self._detail = None
        elif self._detail is not None:  # watch or rate; what is left over is the exit
            self._open(self._detail.entry, watched=True, rated=action.rating if kind is Kind.RATE else None)

    def _open(self, entry: Entry, *, watched: bool, rated: int | None) -> None:
        energy = self._left / self._budget
        self._detail = DetailPage(number=self._number, entry=entry, watched=watched, rated=rated, energy=energy)

    def _ended(self, action: Action, *, on_last_page: bool) -> Ending | None:
        if action.kind is Kind.EXIT:
            return Ending.END_OF_LIST if on_last_page else Ending.CHOSE
        if self._left <= 0:
            return Ending.FATIGUE
        return Ending.STEP_LIMIT if self._steps >= self.layout.max_steps else None

    def _info(self, cost: float, new: Sequence[Entry]) -> dict[str, Any]:
        return {"cost": cost, "energy": self._left, "new": tuple(new), "ending": self._ending}
