"""The area under the ROC curve of point-wise scores, and how sure differences of it are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CELLS = 2_000_000  # weights held at once


def auc(scores: NDArray[np.floating], labels: NDArray[np.floating]) -> float:
    """The chance that a row with the label 1 scores higher than one with the label 0, ties counting half (the
    Mann-Whitney statistic).

    Raises InvalidInput when one of the labels does not occur.
    """
    return float(Curve(scores, labels).area(np.ones((1, len(labels))))[0])


class Curve:
    """Scores and labels (n,), sorted once, for the area under many weightings of the rows."""

    def __init__(self, scores: NDArray[np.floating], labels: NDArray[np.floating]) -> None:
        """Raises InvalidInput when one of the labels does not occur, or a score is NaN."""
        if not (labels > 0).any() or (labels > 0).all():
            raise InvalidInput("AUC needs rows with the label 1 and rows with the label 0", hint="test on more rows")
        if np.isnan(scores).any():
            raise InvalidInput("a score is not a number", hint="the model diverged: lower its learning rate")
        self._order = np.argsort(scores, kind="stable")
        self._liked = labels[self._order] > 0
        ranked = scores[self._order]
        self._first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))

    def area(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The area (m,) for each row of weights (m, n); NaN where one label has no weight."""
        sorted_ = weights[:, self._order]
        above = np.add.reduceat(np.where(self._liked, sorted_, 0.0), self._first, axis=1)
        below = np.add.reduceat(np.where(self._liked, 0.0, sorted_), self._first, axis=1)
        won = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
        with np.errstate(invalid="ignore"):
            areas: NDArray[np.float64] = won / (above.sum(axis=1) * below.sum(axis=1))
        return areas


class Change(NamedTuple):
    """A mean difference of AUC and the ends of its interval."""

    mean: float
    low: float
    high: float


def over_seeds(differences: Sequence[float], *, level: float = 0.95) -> Change:
    """Student's interval of the mean of paired differences, one a seed; without end for fewer than 2."""
    from scipy.stats import t

    each = np.asarray(differences, dtype=np.float64)
    mean = float(each.mean())
    if len(each) < 2:
        return Change(mean, -np.inf, np.inf)
    reach = float(t.ppf((1 + level) / 2, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
    return Change(mean, mean - reach, mean + reach)


def over_users(
    pairs: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]],
    labels: NDArray[np.floating],
    users: NDArray[np.int64],
    *,
    seed: int = 0,
    resamples: int = 1000,
    level: float = 0.95,
) -> Change:
    """Bootstrap interval of the mean difference of AUC, resampling users with all their rows.

    ``pairs`` holds for each seed the scores without and with (n,), of the same rows; a resample is of the same users in
    all of them.
    """
    codes, place = np.unique(users, return_inverse=True)
    random = np.random.default_rng([seed, len(codes), 53])
    curves = [(Curve(without, labels), Curve(with_, labels)) for without, with_ in pairs]
    everybody = np.ones((1, len(labels)))
    mean = float(np.mean([after.area(everybody) - before.area(everybody) for before, after in curves]))
    block = max(1, _CELLS // len(labels))
    found = []
    for first in range(0, resamples, block):
        drawn = random.multinomial(len(codes), np.full(len(codes), 1 / len(codes)), size=min(block, resamples - first))
        weights = drawn[:, place].astype(np.float64)
        found.append(np.mean([after.area(weights) - before.area(weights) for before, after in curves], axis=0))
    low, high = np.nanquantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return Change(mean, float(low), float(high))
