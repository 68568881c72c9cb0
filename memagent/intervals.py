"""How sure a mean is: bootstrap intervals, and differences of two systems on the same cases.

Cases (questions, users) are resampled with replacement, the percentile interval is taken (Efron and Tibshirani, 1993,
chapter 13). For cases that share something, as questions do that share a conversation, the intervals are too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95

_BLOCK_CELLS = 2_000_000
"""Resampling counts held at once (16 MB as float64)."""


class Interval(NamedTuple):
    """A mean and the ends of its interval."""

    mean: float
    low: float
    high: float


def bootstrap(
    values: NDArray[np.float64], *, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL
) -> list[Interval]:
    """Mean and percentile interval of each column of ``values`` (questions, metrics).

    The same seed and number of questions give the same resamples, whatever the values: columns and
    calls are resampled together. Raises :class:`InvalidInput` without questions.
    """
    drawn = resampled_means(values, seed=seed, resamples=resamples)
    means = values.mean(axis=0)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return [Interval(*(float(end) for end in ends)) for ends in zip(means, low, high, strict=True)]


def resampled_means(values: NDArray[np.float64], *, seed: int = 0, resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """The means (resamples, metrics) of the columns in each of the resamples that :func:`bootstrap` takes.

    For what is no mean but is made of means, such as a ratio. Raises :class:`InvalidInput` without questions.
    """
    questions = values.shape[0]
    if questions == 0:
        raise InvalidInput("no questions to take a mean of", hint="check what was left out")
    drawn: NDArray[np.float64] = np.concatenate([counts @ values for counts in _counts(questions, resamples, seed)])
    drawn /= questions
    return drawn


def paired_difference(
    values: NDArray[np.float64],
    baseline: NDArray[np.float64],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> list[Interval]:
    """Mean of ``values - baseline`` and its interval, a column each; row i of both is the same question."""
    if values.shape != baseline.shape:
        raise InvalidInput(f"{values.shape} cannot be paired with {baseline.shape}", hint="score the same questions")
    return bootstrap(values - baseline, seed=seed, resamples=resamples, level=level)


def group_means(values: NDArray[np.float64], groups: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """The mean of each column over the questions of each group, groups in order of appearance."""
    names = np.asarray(groups)
    return {name: values[names == name].mean(axis=0) for name in dict.fromkeys(groups)}


def _counts(questions: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """How often each question is drawn in each resample, in blocks of shape (some, questions)."""
    random = np.random.default_rng([seed, questions])
    block = max(1, _BLOCK_CELLS // questions)
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = random.integers(0, questions, size=(rows, questions))
        drawn += np.arange(rows)[:, None] * questions
        yield np.bincount(drawn.ravel(), minlength=rows * questions).reshape(rows, questions).astype(np.float64)
