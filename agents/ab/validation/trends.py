"""Does a figure of the same users rise from condition to condition? And how sure is the order of arms?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.offline import kendall_tau
from memagent.agents.ab.statistics import ALPHA, Difference, compare, holm
from memagent.errors import InvalidInput
from memagent.intervals import Interval, bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAU_RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One metric over conditions in the order in which it should rise.

    ``users`` are those for whom it is defined in all conditions, ``means`` theirs. ``slope``: what it rises by from a
    condition to the next (least squares for each user, mean over users, bootstrap interval). ``p``: Page's test,
    one-sided. ``steps`` compare neighbours, ``p_holm`` over the steps.
    """

    metric: str
    conditions: tuple[str, ...]
    users: int
    means: tuple[float, ...]
    slope: Interval
    p: float
    steps: tuple[Difference, ...]

    @property
    def monotone(self) -> bool:
        """Each mean is above the one before."""
        return all(low < high for low, high in pairwise(self.means))

    @property
    def rises(self) -> bool:
        """Monotone, and the trend is significant."""
        return self.monotone and self.p <= ALPHA

    @property
    def unsure_steps(self) -> list[str]:
        """The steps that are not significant by themselves."""
        names = [f"{low} to {high}" for low, high in pairwise(self.conditions)]
        return [name for name, step in zip(names, self.steps, strict=False) if not step.p_holm <= ALPHA]


def trend(values: NDArray[np.float64], *, metric: str, conditions: Sequence[str], seed: int = 0) -> Trend:
    """The trend of ``values`` (users, conditions), NaN allowed; one that is defined for nobody has NaN and p 1.

    Raises InvalidInput for fewer than two conditions.
    """
    if len(conditions) < 2:
        raise InvalidInput(f"no trend over {len(conditions)} conditions", hint="give two or more")
    rows = values[~np.isnan(values).any(axis=1)]
    if not len(rows):
        nothing = Interval(math.nan, math.nan, math.nan)
        means = (math.nan,) * len(conditions)
        return Trend(metric=metric, conditions=tuple(conditions), users=0, means=means, slope=nothing, p=1.0, steps=())
    weights = np.arange(rows.shape[1]) - (rows.shape[1] - 1) / 2
    steps = []
    for low, high in pairwise(range(rows.shape[1])):
        names = [conditions[low], conditions[high]]
        pair = rows[:, [low, high], None]
        steps.append(compare(pair, arms=names, metrics=[metric], primary=metric, seed=seed)[0])
    corrected = holm([step.p for step in steps])
    return Trend(
        metric=metric,
        conditions=tuple(conditions),
        users=len(rows),
        means=tuple(rows.mean(axis=0).tolist()),
        slope=bootstrap((rows @ weights / np.square(weights).sum())[:, None], seed=seed)[0],
        p=pages_test(rows)[1],
        steps=tuple(replace(step, p_holm=p) for step, p in zip(steps, corrected, strict=True)),
    )


def pages_test(values: NDArray[np.float64]) -> tuple[float, float]:
    """Page's L for ordered alternatives (Page, 1963) of ``values`` (users, conditions), and its one-sided p.

    L is the sum over users of condition number times rank within the user, ties at mid-ranks. p by the normal
    approximation, with the exact mean and variance of L under exchange of each user's values, so that ties are allowed
    for. 1 where every user has the same value everywhere.
    """
    k = values.shape[1]
    order = np.arange(1, k + 1)
    ranks = _midranks(values)
    statistic = float((ranks @ order).sum())
    spread = np.square(order - order.mean()).sum() * np.square(ranks - (k + 1) / 2).sum() / (k - 1)
    if spread <= 0:
        return statistic, 1.0
    expected = len(values) * k * (k + 1) ** 2 / 4
    return statistic, 1 - NormalDist().cdf((statistic - expected) / float(np.sqrt(spread)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Kendall's tau of two orders of the same arms, and its percentile interval over users."""

    tau: float
    low: float
    high: float


def agreement(
    first: tuple[Sequence[str], NDArray[np.float64]],
    second: tuple[Sequence[str], NDArray[np.float64]],
    *,
    seed: int = 0,
    resamples: int = TAU_RESAMPLES,
) -> Agreement:
    """How two figures of the same arms agree on their order; each is (user ids, values (users, arms)), NaN allowed.

    The users of both are drawn again together: who is in both counts as often in both. An arm's mean is over the users
    for whom it is defined.
    """
    users = sorted({*first[0], *second[0]})
    place = {user: number for number, user in enumerate(users)}
    sides = [(np.asarray([place[user] for user in names]), values) for names, values in (first, second)]
    plain = [np.nanmean(values, axis=0).tolist() for _, values in sides]
    random = np.random.default_rng([seed, len(users), 71])
    drawn: tuple[list[NDArray[np.float64]], ...] = ([], [])
    for _ in range(resamples):
        counts = np.bincount(random.integers(0, len(users), len(users)), minlength=len(users)).astype(np.float64)
        for means, (rows, values) in zip(drawn, sides, strict=True):
            means.append(_weighted(values, counts[rows]))
    low, high = np.nanquantile(_taus(*(np.asarray(means) for means in drawn)), [0.025, 0.975])
    return Agreement(tau=kendall_tau(*plain), low=float(low), high=float(high))


def _taus(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kendall's tau-b of each row of two gradings (n, arms); NaN where one of them is all ties."""
    left, right = np.triu_indices(first.shape[1], k=1)
    a, b = (np.sign(values[:, left] - values[:, right]) for values in (first, second))
    pairs = np.sqrt(np.count_nonzero(a, axis=1) * np.count_nonzero(b, axis=1))
    taus: NDArray[np.float64] = np.divide((a * b).sum(axis=1), pairs, out=np.full(len(a), np.nan), where=pairs > 0)
    return taus


def _weighted(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    defined = ~np.isnan(values)
    below = counts @ defined
    above = counts @ np.where(defined, values, 0.0)
    means: NDArray[np.float64] = np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)
    return means


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    lower = (values[:, None, :] < values[:, :, None]).sum(axis=2)
    equal = (values[:, None, :] == values[:, :, None]).sum(axis=2)
    ranks: NDArray[np.float64] = lower + (equal + 1) / 2
    return ranks
