"""The log of sessions as lines to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from memagent.agents.ab.catalogue import Catalogue
from memagent.agents.ab.events import Event


def lines(events: Iterable[Event], catalogue: Catalogue | None = None) -> Iterator[str]:
    """A line for each event; with the catalogue, items by title."""
    for event in events:
        if event.event == "start":
            yield f"{event.user} visits {event.arm} (visit {event.visit + 1}; {event.note})"
            continue
        told = [event.event]
        if event.item is not None:
            title = catalogue[event.item].title if catalogue and event.item in catalogue else event.item
            told.append(f"{title!r} at place {event.position} of page {event.page}")
        elif event.page is not None:
            told.append(f"page {event.page}")
        told += [f"{name} {value:g}" for name, value in _figures(event) if value is not None]
        if event.note:
            told.append(f"({event.note})")
        yield "  " + ", ".join(told)


def _figures(event: Event) -> list[tuple[str, float | None]]:
    return [("rating", event.rating), ("interest", event.interest), ("cost", event.cost), ("energy", event.energy)]
