"""From what RF-Mem found to hits: the order of the answer, what fills it up, and scores that do not rise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

from memagent.records import Hit

if TYPE_CHECKING:
    from collections.abc import Collection

    from memagent.retrievers.neighbours import Neighbours
    from memagent.retrievers.recollection import Bag

FinalOrder: TypeAlias = Literal["insertion", "kept-score", "rerank"]
"""What recollected units are ordered by; see :class:`~memagent.retrievers.rf_mem.RFMem`."""


def familiar_hits(space: Neighbours, k: int, floor: float | None) -> tuple[Hit, ...]:
    """The ``k`` nearest units, those with a cosine of at least ``floor``."""
    near = space.best(k)
    return tuple(
        Hit(key=key, score=cosine, parts={"dense": cosine})
        for key, cosine in zip(space.keys[near.rows].tolist(), near.cosines.tolist(), strict=True)
        if floor is None or cosine >= floor
    )


def recollected_hits(
    space: Neighbours, bag: Bag, k: int, order: FinalOrder, floor: float | None
) -> tuple[tuple[Hit, ...], int]:
    """The first ``k`` units of the bag in an order, filled up with the nearest others; and how many those are."""
    places = _ordered(bag, space, order)[:k]
    rows = [bag.rows[place] for place in places]
    filling = _nearest_others(space, set(rows), k - len(rows), floor)
    cosines = space.cosines[rows + filling].tolist()
    scores = [bag.kept[place] for place in places] if order == "kept-score" else cosines[: len(rows)]
    parts = [{"recollected": bag.kept[place], "round": float(bag.rounds[place])} for place in places]
    keys = space.keys[rows + filling].tolist()
    falling = _falling(keys, scores + cosines[len(rows) :])
    hits = tuple(
        Hit(key=key, score=score, parts={"dense": cosine} | part)
        for key, score, cosine, part in zip(keys, falling, cosines, parts + [{} for _ in filling], strict=True)
    )
    return hits, len(filling)


def _ordered(bag: Bag, space: Neighbours, order: FinalOrder) -> list[int]:
    """Places in the bag, in the order of the answer."""
    places = list(range(len(bag.rows)))
    if order == "insertion":
        return places
    values = bag.kept if order == "kept-score" else space.cosines[bag.rows].tolist()
    return sorted(places, key=lambda place: (-values[place], bag.rows[place]))


def _nearest_others(space: Neighbours, chosen: Collection[int], wanted: int, floor: float | None) -> list[int]:
    if wanted <= 0:
        return []
    near = space.best(wanted + len(chosen))
    return [
        row
        for row, cosine in zip(near.rows.tolist(), near.cosines.tolist(), strict=True)
        if row not in chosen and (floor is None or cosine >= floor)
    ][:wanted]


def _falling(keys: list[int], scores: list[float]) -> list[float]:
    """The scores; those that rise, or are equal out of key order, are put just below their predecessor."""
    falling: list[float] = []
    for key, score in zip(keys, scores, strict=True):
        if falling and (score > falling[-1] or (score == falling[-1] and key < keys[len(falling) - 1])):
            falling.append(math.nextafter(falling[-1], -math.inf))
        else:
            falling.append(score)
    return falling
