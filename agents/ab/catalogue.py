"""What a recommender recommends: items with what a page shows of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from memagent.errors import DuplicateId, InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item. The list page shows title, rating, genres and poster; the page of the item shows all of it.

    ``rating`` is the crowd's mean on the scale of 1 to 5, None where nobody rated; ``votes`` how many did.
    ``poster`` is a path or an address; it is not opened here. ``details`` are further lines for the item's page.
    """

    id: str
    title: str
    genres: tuple[str, ...] = ()
    rating: float | None = None
    votes: int = 0
    overview: str = ""
    poster: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


class Catalogue:
    """Items in a fixed order: the code of an item is its place in it."""

    def __init__(self, items: Iterable[Item]) -> None:
        """Raises InvalidInput for no items or an empty id, and DuplicateId for an id that occurs twice."""
        self.items = tuple(items)
        if not self.items:
            raise InvalidInput("the catalogue is empty", hint="give it the items that can be recommended")
        self._codes: dict[str, int] = {}
        for code, item in enumerate(self.items):
            if not item.id:
                raise InvalidInput(f"item {code} of the catalogue has no id", hint="give every item an id")
            if self._codes.setdefault(item.id, code) != code:
                raise DuplicateId(f"the catalogue has item {item.id!r} twice", hint="keep one of them")

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._codes

    def __getitem__(self, item_id: str) -> Item:
        return self.items[self.code(item_id)]

    def code(self, item_id: str) -> int:
        """The place of an item; raises InvalidInput for one that is not in the catalogue."""
        try:
            return self._codes[item_id]
        except KeyError:
            raise InvalidInput(f"no item {item_id!r} in the catalogue", hint="use its ids") from None

    def codes(self, item_ids: Iterable[str]) -> list[int]:
        """The places of those ids that are in the catalogue; others are passed over."""
        return [self._codes[item_id] for item_id in item_ids if item_id in self._codes]

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """All ids, in order."""
        return tuple(item.id for item in self.items)

    @cached_property
    def genres(self) -> tuple[str, ...]:
        """All genres, sorted."""
        return tuple(sorted({genre for item in self.items for genre in item.genres}))

    @cached_property
    def fingerprint(self) -> str:
        """A digest of everything that pages show."""
        digest = hashlib.sha256()
        for item in self.items:
            shown = [item.id, item.title, item.genres, item.rating, item.votes, item.overview, item.poster]
            digest.update(json.dumps([*shown, sorted(item.details.items())], ensure_ascii=False).encode())
        return digest.hexdigest()
