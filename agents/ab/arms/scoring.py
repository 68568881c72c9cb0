"""Arms that give every item a score."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from memagent.agents.ab.ratings import Dataset, Ratings

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Weights = Mapping[str, "NDArray[np.generic]"]
"""What training leaves behind, by name; stored as it is."""

Scores = Callable[[str], "NDArray[np.floating]"]
"""The scores of all items (float, in the order of the catalogue) for a user id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What an arm may learn from: the training rows of a data set."""

    dataset: Dataset
    ratings: Ratings

    @property
    def users(self) -> int:
        """Number of user codes."""
        return len(self.dataset.user_ids)

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.dataset.catalogue)

    def counts(self) -> NDArray[np.int64]:
        """How often each item was chosen."""
        return np.bincount(self.ratings.items, minlength=self.items)


class Recipe(Protocol):
    """A kind of arm with its hyper-parameters: a frozen dataclass."""

    @property
    def kind(self) -> str:
        """The name in configurations."""

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """Learn. Long training keeps its state at ``checkpoint`` after each epoch and goes on from there."""

    def scores(self, weights: Weights, training: Training) -> Scores:
        """What the weights say. Only asked for users who have training rows, if ``needs_history`` is not False."""


class ScoringArm:
    """Recommends the items with the highest scores; equal ones in the order of the catalogue.

    A user without training rows gets what is chosen most, if the recipe ``needs_history``. ``cold_users``
    counts how often that was done.
    """

    def __init__(self, name: str, training: Training, scores: Scores, *, needs_history: bool = True) -> None:
        self.name = name
        self.cold_users = 0
        self._catalogue = training.dataset.catalogue
        self._scores = scores
        self._counts = training.counts()
        seen = set(np.unique(training.ratings.users).tolist())
        self._needs_history = needs_history
        self._warm = {user for code, user in enumerate(training.dataset.user_ids) if code in seen}

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> list[str]:
        """See :class:`~memagent.agents.ab.arms.port.Arm`."""
        if user in self._warm or not self._needs_history:
            scores = np.array(self._scores(user), dtype=np.float64)
        else:
            self.cold_users += 1
            scores = self._counts.astype(np.float64)
        hidden = self._catalogue.codes(exclude)
        scores[hidden] = -np.inf
        ids = self._catalogue.ids
        return [ids[code] for code in best(scores, min(k, len(ids) - len(set(hidden))))]


def best(scores: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """The places of the ``k`` highest scores, highest first, equal ones in order of place."""
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    if k < 1:
        return np.empty(0, dtype=np.int64)
    least = np.partition(scores, -k)[-k]
    among = np.flatnonzero(scores >= least)
    return among[np.argsort(-scores[among], kind="stable")][:k]
