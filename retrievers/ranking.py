"""Arithmetic on score arrays: ranking with stable ties, groups, and normalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores: TypeAlias = NDArray[np.float64]
    """One score for each candidate, shape (n,), float64, finite."""
    Rows: TypeAlias = NDArray[np.int64]
    """Positions in a score array."""

Norm: TypeAlias = Literal["max", "min-max", "z"]
"""How a channel's scores are brought to a common scale; see :func:`normalised`."""


def top_k(scores: NDArray[np.floating[Any]], k: int) -> Rows:
    """Rows of the ``k`` highest scores, best first; equal scores in position order; all rows if k > n."""
    n = len(scores)
    if k >= n:
        return np.argsort(-scores, kind="stable").astype(np.int64, copy=False)
    last = np.partition(scores, n - k)[n - k]
    above = np.flatnonzero(scores > last)
    # Exactly as many of the units that share the last score as there is room for, the earliest ones.
    level = np.flatnonzero(scores == last)[: k - len(above)]
    above = above[np.argsort(-scores[above], kind="stable")]
    return np.concatenate([above, level]).astype(np.int64, copy=False)


def group_max(scores: NDArray[np.floating[Any]], index: Rows, groups: int) -> Scores:
    """The highest score of each group, (groups,); row i belongs to group ``index[i]``. -inf for an empty group."""
    best = np.full(groups, -np.inf)
    np.maximum.at(best, index, scores.astype(np.float64, copy=False))
    return best


def group_sum(scores: NDArray[np.floating[Any]], index: Rows, groups: int) -> Scores:
    """The sum of each group's scores, (groups,)."""
    return np.bincount(index, weights=scores, minlength=groups).astype(np.float64, copy=False)


def group_top_sum(scores: NDArray[np.floating[Any]], index: Rows, groups: int, m: int) -> Scores:
    """The sum of each group's ``m`` highest scores (of all of them if it has fewer), (groups,)."""
    order = np.lexsort((-scores, index))
    members = index[order]
    begins = np.searchsorted(members, np.arange(groups))
    place = np.arange(len(members)) - begins[members]
    kept = order[place < m]
    return group_sum(scores[kept], index[kept], groups)


def positions_among(order: NDArray[np.int64], wanted: NDArray[np.int64]) -> Rows:
    """Where each of ``wanted`` stands in ``order``, -1 for one that does not; shaped as ``wanted``.

    Both hold numbers of sessions or the like: not negative, hardly larger than their count; ``order`` none twice.
    """
    places = np.full(1 + max(order.max(initial=-1), wanted.max(initial=-1)), -1, dtype=np.int64)
    places[order] = np.arange(len(order))
    return places[wanted]


def min_max(scores: Scores) -> Scores:
    """Scores moved to 0..1; zeros if they are all equal."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def over_maximum(scores: Scores) -> Scores:
    """Scores divided by their largest magnitude; zeros if all are zero.

    For scores that are not negative, and for cosines whose maximum exceeds the depth of their minimum, this
    is division by the maximum; for the rest it keeps the order and the range -1..1 where that would not.
    """
    largest = np.abs(scores).max() if len(scores) else 0.0
    return scores / largest if largest > 0 else np.zeros_like(scores)


def z_scores(scores: Scores) -> Scores:
    """Scores less their mean, in standard deviations; zeros if they are all equal."""
    if not len(scores) or scores.min() == scores.max():
        return np.zeros_like(scores)
    spread = scores.std()
    return (scores - scores.mean()) / spread if spread > 0 else np.zeros_like(scores)


def normalised(scores: Scores, how: Norm) -> Scores:
    """Scores on a common scale: ``max`` (0 stays 0), ``min-max`` (0..1) or ``z`` (mean 0, deviation 1)."""
    if how == "max":
        return over_maximum(scores)
    return min_max(scores) if how == "min-max" else z_scores(scores)


def reciprocal_ranks(scores: Scores, rrf_k: float, *, only_positive: bool) -> Scores:
    """1 / (rrf_k + rank), rank 1 being the best; equal scores rank in position order.

    With ``only_positive`` candidates that score 0 have no rank and get 0: not matching a word is no evidence.
    Source: Cormack, Clarke & Buettcher, "Reciprocal rank fusion", SIGIR 2009.
    """
    ranked = np.flatnonzero(scores > 0) if only_positive else np.arange(len(scores))
    order = ranked[np.argsort(-scores[ranked], kind="stable")]
    values = np.zeros(len(scores))
    values[order] = 1.0 / (rrf_k + np.arange(1, len(order) + 1))
    return values
