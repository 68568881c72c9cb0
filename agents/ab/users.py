"""The people who are simulated, and the traits that their ratings show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.agents.ab.ratings import Dataset, Ratings, by_user

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from memagent.agents.ab.catalogue import Catalogue

ACTIVITY_CUTS = (60, 90)
DIVERSITY_CUTS = (33, 66)
CONFORMITY_CUTS = (25, 80)
"""Percentiles between level 1 and 2, and 2 and 3 (Agent4Rec's)."""

GENRE_SHARE = 0.8
"""A user's diversity is the number of genres that make up this share of what they rated."""


class Traits(NamedTuple):
    """Levels 1 (low) to 3 (high). Conformity 3: the ratings lie close to everybody's."""

    activity: int = 1
    diversity: int = 2
    conformity: int = 2


DEFAULT_TRAITS = Traits()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Someone who visits the sandbox. ``known`` are the items they have seen: no arm is to recommend those."""

    id: str
    traits: Traits = DEFAULT_TRAITS
    known: frozenset[str] = frozenset()
    profile: Mapping[str, str] = field(default_factory=dict)

    @property
    def cold(self) -> bool:
        """Nothing is known of this user's history."""
        return not self.known


def traits_of(ratings: Ratings, catalogue: Catalogue, users: int) -> list[Traits]:
    """The traits of user codes 0 to ``users - 1``; users without ratings have the defaults.

    Activity by number of ratings; diversity by the number of genres that make up 80 % of them; conformity by the mean
    squared distance to the item's mean rating, the smallest distances being the highest level.
    """
    table = np.zeros((len(catalogue), max(1, len(catalogue.genres))))
    of_genre = {genre: column for column, genre in enumerate(catalogue.genres)}
    for code, item in enumerate(catalogue.items):
        table[code, [of_genre[genre] for genre in item.genres]] = 1
    counts = np.bincount(ratings.items, minlength=len(catalogue))
    means = np.bincount(ratings.items, weights=ratings.ratings, minlength=len(catalogue)) / np.maximum(counts, 1)
    measured = np.full((users, 3), np.nan)
    for user, rows in by_user(ratings.users):
        items = ratings.items[rows]
        measured[user] = (
            len(rows),
            _genres_needed(table[items].sum(axis=0)),
            -np.mean((ratings.ratings[rows] - means[items]) ** 2),
        )
    cuts = (ACTIVITY_CUTS, DIVERSITY_CUTS, CONFORMITY_CUTS)
    levels = [_levels(measured[:, i], _mirrored(cut) if i == 2 else cut) for i, cut in enumerate(cuts)]
    known = ~np.isnan(measured[:, 0])
    return [Traits(*(int(level[user]) for level in levels)) if known[user] else Traits() for user in range(users)]


def users_of(dataset: Dataset, train: Ratings, *, ids: Sequence[str] | None = None) -> list[User]:
    """The data set's users (or those with ``ids``) with traits and known items from ``train``.

    An id that the data set does not have makes a user without history.
    """
    traits = dict(zip(dataset.user_ids, traits_of(train, dataset.catalogue, len(dataset.user_ids)), strict=True))
    known = dataset.items_of(train)
    return [
        User(
            id=user,
            traits=traits.get(user, Traits()),
            known=known.get(user, frozenset()),
            profile=dataset.profiles.get(user, {}),
        )
        for user in (dataset.user_ids if ids is None else ids)
    ]


def _genres_needed(views: NDArray[np.float64]) -> int:
    largest = np.sort(views)[::-1].cumsum()
    return int(np.searchsorted(largest, GENRE_SHARE * largest[-1])) + 1 if largest[-1] else 1


def _mirrored(cuts: tuple[int, int]) -> tuple[int, int]:
    """Percentiles of a distance, as percentiles of its negative."""
    return 100 - cuts[1], 100 - cuts[0]


def _levels(values: NDArray[np.float64], cuts: tuple[int, int]) -> NDArray[np.int64]:
    """1 up to the first percentile, 2 up to the second, else 3."""
    if np.isnan(values).all():
        return np.ones(len(values), dtype=np.int64)
    low, high = np.nanpercentile(values, cuts)
    levels: NDArray[np.int64] = 1 + (values > low).astype(np.int64) + (values > high).astype(np.int64)
    return levels
