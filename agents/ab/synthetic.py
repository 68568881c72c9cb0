"""A made-up data set with known structure: for demonstrations and tests, where no real one may be shipped."""

from __future__ import annotations

import numpy as np

from memagent.agents.ab.catalogue import Item
from memagent.agents.ab.movielens import assembled
from memagent.agents.ab.ratings import Dataset
from memagent.errors import InvalidInput

GENRES = ("Comedy", "Drama", "Thriller", "Romance", "Animation", "Documentary", "War", "Western")
_DAY = 86_400
_TASTE = 1.8  # how much a user's genres count beside popularity, in the log of the odds of a choice
_DRIFT = 0.5  # of taste towards another genre over a user's history: what a sequential arm can learn


def synthetic(*, users: int = 300, items: int = 240, seed: int = 0) -> Dataset:
    """Users who like some genres, items of one or two genres and very unequal popularity, ratings with times.

    Each user rates 20 to 80 items: the next one is drawn by popularity and taste, which drifts to another genre on the
    way. Raises InvalidInput for fewer than 10 users or 100 items.
    """
    if users < 10 or items < 100:
        raise InvalidInput(f"{users} users and {items} items are too few", hint="at least 10 and 100")
    random = np.random.default_rng([seed, 41])
    belongs = np.zeros((items, len(GENRES)))
    belongs[np.arange(items), random.integers(0, len(GENRES), items)] = 1
    belongs[np.arange(items), random.integers(0, len(GENRES), items)] = 1
    popularity = 1.2 * random.normal(size=items)
    quality = random.normal(scale=0.5, size=items)
    rows: list[tuple[str, str, float, int]] = []
    for user in range(users):
        first, last = random.normal(size=(2, len(GENRES)))
        count = int(random.integers(20, 81))
        liking = belongs @ np.linspace(first, (1 - _DRIFT) * first + _DRIFT * last, count).T  # (items, count)
        gumbel = random.gumbel(size=items)
        start = int(random.integers(0, 300)) * _DAY
        left = np.ones(items, dtype=bool)
        for step in range(count):
            odds = np.where(left, popularity + _TASTE * liking[:, step] + gumbel, -np.inf)
            item = int(np.argmax(odds))
            left[item] = False
            rating = np.clip(round(3.3 + 0.7 * liking[item, step] + quality[item] + 0.6 * random.normal()), 1, 5)
            rows.append((f"u{user}", f"i{item}", float(rating), start + step * _DAY))
    listed = [
        Item(
            id=f"i{item}",
            title=f"{' and '.join(names)} no. {item}",
            genres=names,
            overview=f"A made-up film: {', '.join(names).lower()}.",
        )
        for item, names in enumerate(_named(row) for row in belongs)
    ]
    names, rated, ratings, times = zip(*rows, strict=True)
    profiles = {
        f"u{user}": {"gender": "FM"[int(random.integers(2))], "age": str(int(random.integers(16, 75)))}
        for user in range(users)
    }
    return assembled("synthetic", listed, (names, rated, ratings, times), profiles)


def _named(row: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[str, ...]:
    return tuple(genre for genre, belongs in zip(GENRES, row, strict=True) if belongs)
