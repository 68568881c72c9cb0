"""The short-term memory of a visitor: a structured log of the visit that is under way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict

from memagent.agents.ab.agent.histories import named
from memagent.agents.ab.agent.memories import Experience
from memagent.agents.ab.catalogue import Item
from memagent.agents.ab.pages import Action, DetailPage, Kind, Page

_SEEN = 8  # titles of a page that an entry names


class Entry(TypedDict):
    """One action: the page, a part of what was on it, the interest stated, and what was done.

    ``place``: "list" or "item"; ``number``: the page of the list; ``seen``: titles; ``item``: the id of the item that
    the action is about, None for those about a page; ``rating``: the stars given. ``energy``: what was left after it.
    """

    place: str
    number: int
    seen: list[str]
    item: str | None
    action: str
    rating: int | None
    interest: float
    energy: float


def entry_of(page: Page, action: Action, energy: float) -> Entry:
    """What is noted of an action that was taken on a page."""
    about: Item | None = None
    if isinstance(page, DetailPage):
        about = page.entry.item
    elif action.kind is Kind.CLICK and action.position is not None:
        about = page.entries[action.position - 1].item
    seen = _shown(page) if about is None else [about]
    return Entry(
        place="item" if isinstance(page, DetailPage) else "list",
        number=page.number,
        seen=[item.title for item in seen],
        item=about.id if about else None,
        action=str(action.kind),
        rating=action.rating if action.kind is Kind.RATE else None,
        interest=action.interest,
        energy=round(energy, 3),
    )


def _shown(page: Page) -> list[Item]:
    """Some of the items on a page."""
    return [page.entry.item] if isinstance(page, DetailPage) else [entry.item for entry in page.entries[:_SEEN]]


_TOLD = {
    "click": "opened {what}",
    "next": "went on to the next page",
    "previous": "went back to the previous page",
    "exit": "left",
    "watch": "watched {what}",
    "rate": "gave {what} {stars} of 5",
    "back": "went back to the list from {what}",
}


def lines(journal: Sequence[Entry], *, last: int) -> list[str]:
    """The log in words, the latest ``last`` entries; how many are left out stands before them."""
    left_out = max(0, len(journal) - last)
    head = [f"({left_out} earlier left out)"] if left_out else []
    return head + [f"{n}. {_line(entry)}" for n, entry in enumerate(journal[left_out:], start=left_out + 1)]


def _line(entry: Entry) -> str:
    what = f'"{entry["seen"][0]}"' if entry["seen"] else "it"
    done = _TOLD[entry["action"]].format(what=what, stars=entry["rating"])
    where = f"page {entry['number']}" if entry["place"] == "list" else "its page"
    passed = f" (saw {'; '.join(entry['seen'])})" if entry["item"] is None and entry["seen"] else ""
    return f"on {where}{passed}: {done}, interest {entry['interest']:g}"


def experiences(
    journal: Sequence[Entry], items: Sequence[Item], *, visit: int, outcome: str, after: datetime
) -> list[Experience]:
    """What is remembered of visit ``visit`` (from 0): each item opened, each page passed over, and the whole.

    ``items`` are those that the journal names by id. Times are made up: days after ``after``, by visit.
    """
    at = after + timedelta(days=1 + visit)
    by_id = {item.id: item for item in items}
    made = []
    for item_id in dict.fromkeys(entry["item"] for entry in journal if entry["item"]):
        about = [entry for entry in journal if entry["item"] == item_id]
        item = by_id.get(item_id)
        made.append(Experience(text=_of_item(item, about), at=at, item=item))
    opened_on = {entry["number"] for entry in journal if entry["action"] == "click"}
    for number in dict.fromkeys(entry["number"] for entry in journal if entry["place"] == "list"):
        passed = next(
            (e for e in journal if e["number"] == number and e["item"] is None and e["place"] == "list"), None
        )
        if passed and number not in opened_on:
            text = f"Passed over on the site, interest {passed['interest']:g}: {'; '.join(passed['seen'])}."
            made.append(Experience(text=text, at=at))
    return [*made, Experience(text=f"Visit {visit + 1} to the site: {outcome}", at=at)]


def _of_item(item: Item | None, about: Sequence[Entry]) -> str:
    actions = {entry["action"] for entry in about}
    rating = next((entry["rating"] for entry in reversed(about) if entry["rating"] is not None), None)
    done = "watched it" if "watch" in actions else "did not watch it"
    stars = f", gave it {rating} of 5" if rating is not None else ""
    what = named(item) if item else f'"{about[0]["seen"][0]}"'
    return f"Opened {what} on the site: {done}{stars}, interest {about[-1]['interest']:g} of 5."
