"""Arms that hardly learn: chance, popularity, and neighbours of items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from memagent.agents.ab.arms.scoring import Scores, Training, Weights
from memagent.agents.ab.keys import key_of
from memagent.agents.ab.ratings import by_user

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STREAM = 31  # of random numbers: no other use of a seed and a user has it


@dataclass(frozen=True, slots=True, kw_only=True)
class Random:
    """Another order of the catalogue for each user, the same at every call."""

    kind: ClassVar[str] = "random"
    needs_history: ClassVar[bool] = False

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """Nothing but the seed."""
        return {"seed": np.asarray(seed)}

    def scores(self, weights: Weights, training: Training) -> Scores:
        """Numbers drawn by seed and user."""
        seed, items = int(weights["seed"]), training.items
        return lambda user: np.random.default_rng([seed, _STREAM, key_of(user)]).random(items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Popularity:
    """What was chosen most."""

    kind: ClassVar[str] = "popularity"

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """The counts."""
        return {"counts": training.counts()}

    def scores(self, weights: Weights, training: Training) -> Scores:
        """The counts, whoever asks."""
        counts = weights["counts"].astype(np.float64)
        return lambda user: counts


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemKNN:
    """Items whose choosers also chose what the user chose (Deshpande and Karypis, 2004).

    Cosine of the columns of choices, times n / (n + ``shrinkage``) for n common choosers; each item keeps its
    ``neighbours`` most similar ones, and a score is the sum over the items of the user's history.
    """

    neighbours: int = 100
    shrinkage: float = 20.0

    kind: ClassVar[str] = "item-knn"

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """Similarities in rows of ``neighbours``: their items and their values."""
        from scipy.sparse import csr_matrix

        ratings = training.ratings
        shape = (training.users, training.items)
        chosen = csr_matrix((np.ones(len(ratings)), (ratings.users, ratings.items)), shape=shape)
        common = (chosen.T @ chosen).toarray()
        counts = np.maximum(common.diagonal(), 1.0)
        similar = common / np.sqrt(counts[:, None] * counts[None, :]) * (common / (common + self.shrinkage))
        np.fill_diagonal(similar, 0.0)
        kept = min(self.neighbours, training.items)
        items = np.argsort(-similar, axis=1, kind="stable")[:, :kept]
        return {
            "items": items.astype(np.int32),
            "values": np.take_along_axis(similar, items, axis=1).astype(np.float32),
        }

    def scores(self, weights: Weights, training: Training) -> Scores:
        """Sums over the user's history."""
        items, values, n = weights["items"], weights["values"], training.items
        history: dict[str, NDArray[np.int64]] = {
            training.dataset.user_ids[user]: training.ratings.items[rows]
            for user, rows in by_user(training.ratings.users)
        }

        def of(user: str) -> NDArray[np.float64]:
            own = history[user]
            near, how = items[own].ravel(), values[own].ravel().astype(np.float64)
            return np.bincount(near, weights=how, minlength=n).astype(np.float64)

        return of
