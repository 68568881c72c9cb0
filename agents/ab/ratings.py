"""Who rated what: arrays of codes, and their division into what arms learn from and what they are judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from memagent.agents.ab.catalogue import Catalogue
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = (0.7, 0.2, 0.1)
"""Training, validation, test (the paper's 7:2:1)."""

By = Literal["user-time", "user-random", "time"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratings:
    """Row i: user ``users[i]`` gave item ``items[i]`` the rating ``ratings[i]`` (1 to 5) at ``times[i]``.

    Users and items are codes (int64): places in the data set's users and in its catalogue. ``times`` are seconds of
    any epoch, or None where nobody wrote them down.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    ratings: NDArray[np.float64]
    times: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.users)

    def rows(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Ratings:
        """Some of the rows, in the order given."""
        return Ratings(
            users=self.users[chosen],
            items=self.items[chosen],
            ratings=self.ratings[chosen],
            times=None if self.times is None else self.times[chosen],
        )

    def fingerprint(self) -> str:
        """A digest of all rows in their order."""
        digest = hashlib.sha256()
        for column in (self.users, self.items, self.ratings, self.times):
            digest.update(b"none" if column is None else np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A catalogue, who rated what, and what is known of each user (``profiles``: gender, age, occupation ...).

    ``counted``: ids of the items whose rating and votes were counted from ``ratings``, all of them, those that somebody
    is judged by among them; see :meth:`catalogue_by`.
    """

    name: str
    catalogue: Catalogue
    user_ids: tuple[str, ...]
    ratings: Ratings
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    counted: frozenset[str] = frozenset()

    def catalogue_by(self, ratings: Ratings) -> Catalogue:
        """The catalogue as a site shows it that knows these ratings only, usually the training part.

        Items that are ``counted`` have the mean and the number of these; None and 0 where nobody rated.
        """
        votes, means = means_of(ratings, len(self.catalogue))
        return Catalogue(
            replace(item, rating=mean, votes=n) if item.id in self.counted else item
            for item, n, mean in zip(self.catalogue.items, votes, means, strict=True)
        )

    def items_of(self, ratings: Ratings) -> dict[str, frozenset[str]]:
        """The items that each user has rows for; users without any are left out."""
        ids = self.catalogue.ids
        return {
            self.user_ids[user]: frozenset(ids[item] for item in ratings.items[rows])
            for user, rows in by_user(ratings.users)
        }


class Split(NamedTuple):
    """Three disjoint parts of the ratings."""

    train: Ratings
    validation: Ratings
    test: Ratings


def split(
    ratings: Ratings, *, by: By | None = None, shares: Sequence[float] = SHARES, seed: int = 0, data_share: float = 1.0
) -> Split:
    """Training, validation and test.

    ``by``: "user-time" cuts each user's rows in the order of time, "user-random" in a random order, "time" cuts all
    rows at two moments (users who came later then have nothing to learn from). Default: user-time, or user-random where
    there are no times. ``data_share`` keeps that part of the training rows only, drawn at random.
    Raises InvalidInput for times asked for and not there, and for shares that are not three parts of 1.
    """
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9 or not 0 < data_share <= 1:
        raise InvalidInput(f"shares {tuple(shares)}, data share {data_share}", hint="three parts of 1; above 0, to 1")
    by = by or ("user-random" if ratings.times is None else "user-time")
    if by not in ("user-time", "user-random", "time"):
        raise InvalidInput(f"ratings cannot be split by {by!r}", hint="user-time, user-random or time")
    if by != "user-random" and ratings.times is None:
        raise InvalidInput(f"these ratings have no times to split {by}", hint="split them user-random")
    place = _places(ratings, by, seed)
    train, held_out = shares[0], shares[0] + shares[1]
    parts = [place < train, (place >= train) & (place < held_out), place >= held_out]
    if data_share < 1:
        parts[0] &= np.random.default_rng([seed, 2]).random(len(ratings)) < data_share
    order = np.lexsort((np.arange(len(ratings)) if ratings.times is None else ratings.times, ratings.users))
    return Split(*(ratings.rows(order[part[order]]) for part in parts))


def joined(*parts: Ratings) -> Ratings:
    """The rows of several parts."""
    timed = [part.times for part in parts if part.times is not None]
    return Ratings(
        users=np.concatenate([part.users for part in parts]),
        items=np.concatenate([part.items for part in parts]),
        ratings=np.concatenate([part.ratings for part in parts]),
        times=np.concatenate(timed) if len(timed) == len(parts) else None,
    )


def means_of(ratings: Ratings, items: int) -> tuple[list[int], list[float | None]]:
    """How often each item code was rated, and its mean rating to four decimals; None where nobody rated."""
    votes = np.bincount(ratings.items, minlength=items).tolist()
    sums = np.bincount(ratings.items, weights=ratings.ratings, minlength=items).tolist()
    return votes, [round(total / n, 4) if n else None for n, total in zip(votes, sums, strict=True)]


def by_user(users: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
    """Each user code that occurs, with the rows it occurs in, in the order of the rows."""
    order = np.argsort(users, kind="stable")
    codes, starts = np.unique(users[order], return_index=True)
    return list(zip(codes.tolist(), np.split(order, starts[1:]), strict=True)) if len(codes) else []


def _places(ratings: Ratings, by: str, seed: int) -> NDArray[np.float64]:
    """Where each row lies between 0 (first) and 1, among all rows or among its user's."""
    drawn = np.random.default_rng([seed, 1]).random(len(ratings))
    first = drawn if ratings.times is None or by == "user-random" else ratings.times
    place = np.empty(len(ratings))
    if by == "time":
        place[np.lexsort((drawn, first))] = np.arange(len(ratings)) / max(1, len(ratings))
        return place
    order = np.lexsort((drawn, first, ratings.users))
    for _, rows in by_user(ratings.users[order]):
        place[order[rows]] = np.arange(len(rows)) / len(rows)
    return place
