"""Differences between arms, user by user: how large, how sure, and what could have been found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from memagent.errors import InvalidInput
from memagent.intervals import bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALPHA = 0.05
POWER = 0.8
PERMUTATIONS = 10_000

_NORMAL = NormalDist()
_CELLS = 4_000_000  # signs drawn at once
_TIE = 1e-12  # sums that differ by rounding only are equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An arm less the baseline on one metric, over the ``users`` for whom both are defined.

    ``low`` and ``high`` end the bootstrap interval (level 1 - alpha) of the mean difference, ``p`` is of the
    permutation test and ``p_holm`` corrected for the family of tests it belongs to. ``detectable`` is the difference
    that so many users with such a spread show with a power of 0.8 at a single test of level alpha.
    """

    arm: str
    metric: str
    users: int
    baseline_mean: float
    arm_mean: float
    difference: float
    low: float
    high: float
    spread: float
    p: float
    p_holm: float
    detectable: float


def compare(
    values: NDArray[np.float64],
    *,
    arms: Sequence[str],
    metrics: Sequence[str],
    primary: str,
    alpha: float = ALPHA,
    seed: int = 0,
) -> list[Difference]:
    """Every arm after the first against the first, on every metric; ``values`` is (users, arms, metrics), NaN allowed.

    Two families are corrected by Holm's method, each at ``alpha``: the primary metric over the arms, and the other
    metrics over metrics and arms. A metric without a pair of defined values has NaN.
    """
    if primary not in metrics:
        raise InvalidInput(f"the primary metric {primary!r} is not measured", hint=f"one of {', '.join(metrics)}")
    found = []
    for column, arm in enumerate(arms[1:], start=1):
        for place, metric in enumerate(metrics):
            pair = values[:, (0, column), place]
            found.append(_difference(pair[~np.isnan(pair).any(axis=1)], arm, metric, alpha, seed))
    corrected: dict[tuple[str, str], float] = {}
    for family in ([d for d in found if d.metric == primary], [d for d in found if d.metric != primary]):
        for difference, p in zip(family, holm([d.p for d in family]), strict=True):
            corrected[difference.arm, difference.metric] = p
    return [_with(difference, corrected[difference.arm, difference.metric]) for difference in found]


def sign_flip_test(differences: NDArray[np.float64], *, seed: int = 0, permutations: int = PERMUTATIONS) -> float:
    """Two-sided p of the mean of paired differences, under exchange of the arms within users.

    Monte Carlo over random signs, p = (1 + those at least as far from 0) / (1 + permutations), which never rejects too
    often (Phipson and Smyth, 2010). 1 for no users. Raises InvalidInput for differences that are not defined.
    """
    users = len(differences)
    if users == 0:
        return 1.0
    if not np.isfinite(differences).all():
        raise InvalidInput("a difference is not a number", hint="leave out users for whom the metric is not defined")
    observed = abs(float(differences.sum()))
    scale = _TIE * max(1.0, float(np.abs(differences).sum()))
    random = np.random.default_rng([seed, users, 17])
    further = 0
    block = max(1, _CELLS // users)
    for first in range(0, permutations, block):
        signs = random.integers(0, 2, size=(min(block, permutations - first), users), dtype=np.int8)
        sums = differences.sum() - 2 * (signs @ differences)
        further += int(np.count_nonzero(np.abs(sums) >= observed - scale))
    return (1 + further) / (1 + permutations)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false finding in the family (Holm, 1979); NaN are not of it."""
    adjusted = [math.nan] * len(p_values)
    tested = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    highest = 0.0
    for rank, (p, place) in enumerate(tested):
        highest = max(highest, min(1.0, p * (len(tested) - rank)))
        adjusted[place] = highest
    return adjusted


def power_of(users: int, *, spread: float, difference: float, alpha: float = ALPHA) -> float:
    """The chance that so many users show a true mean difference at a two-sided level (normal approximation)."""
    if spread <= 0:
        return 1.0 if difference else alpha
    shift = abs(difference) * math.sqrt(users) / spread
    limit = _NORMAL.inv_cdf(1 - alpha / 2)
    return _NORMAL.cdf(shift - limit) + _NORMAL.cdf(-shift - limit)


def users_needed(*, spread: float, difference: float, alpha: float = ALPHA, power: float = POWER) -> int:
    """How many users show a difference with this power (normal approximation: for fewer than about 20 it is some too
    few); raises InvalidInput for no difference, and for what is not finite or no chance.
    """
    if difference == 0:
        raise InvalidInput("no number of users shows a difference of 0", hint="name the smallest that matters")
    if not (math.isfinite(spread) and math.isfinite(difference) and 0 < alpha < 1 and 0 < power < 1):
        raise InvalidInput(
            f"spread {spread}, difference {difference}, alpha {alpha}, power {power}",
            hint="finite; alpha, power 0 to 1",
        )
    return math.ceil(((_quantiles(alpha, power)) * spread / abs(difference)) ** 2)


def detectable(users: int, *, spread: float, alpha: float = ALPHA, power: float = POWER) -> float:
    """The smallest true mean difference that so many users show with this power."""
    return _quantiles(alpha, power) * spread / math.sqrt(users) if users else math.nan


def rejection_rate(
    pool: NDArray[np.float64],
    *,
    users: int,
    repetitions: int,
    planted: float = 0.0,
    alpha: float = ALPHA,
    permutations: int = 2_000,
    seed: int = 0,
) -> float:
    """How often the sign-flip test rejects in experiments of ``users`` drawn, without replacement, from stored
    sessions.

    ``pool`` holds each user's difference between two runs of the same arm. In each repetition it is drawn anew which of
    the two counts as the arm, so that the truth is no difference, and ``planted`` is added: 0 gives the rate of false
    alarms, another value the power. Raises InvalidInput for a pool that is too small.
    """
    if users > len(pool):
        raise InvalidInput(f"{users} users from a pool of {len(pool)}", hint="draw fewer, or run more sessions")
    rejected = 0
    for repetition in range(repetitions):
        random = np.random.default_rng([seed, repetition, 23])
        drawn = random.permutation(len(pool))[:users]
        differences = pool[drawn] * (1 - 2 * random.integers(0, 2, users)) + planted
        rejected += sign_flip_test(differences, seed=seed + repetition, permutations=permutations) <= alpha
    return rejected / repetitions


def _quantiles(alpha: float, power: float) -> float:
    return _NORMAL.inv_cdf(1 - alpha / 2) + _NORMAL.inv_cdf(power)


def _difference(pairs: NDArray[np.float64], arm: str, metric: str, alpha: float, seed: int) -> Difference:
    users = len(pairs)
    if users == 0:
        return _of(arm, metric, 0, *([math.nan] * 8))
    each = pairs[:, 1] - pairs[:, 0]
    spread = float(each.std(ddof=1)) if users > 1 else math.nan
    interval = bootstrap(each[:, None], seed=seed, level=1 - alpha)[0]
    return _of(
        arm,
        metric,
        users,
        float(pairs[:, 0].mean()),
        float(pairs[:, 1].mean()),
        interval.mean,
        interval.low,
        interval.high,
        spread,
        sign_flip_test(each, seed=seed),
        detectable(users, spread=spread, alpha=alpha),
    )


def _of(arm: str, metric: str, users: int, *figures: float) -> Difference:
    baseline_mean, arm_mean, difference, low, high, spread, p, found = figures
    return Difference(
        arm=arm,
        metric=metric,
        users=users,
        baseline_mean=baseline_mean,
        arm_mean=arm_mean,
        difference=difference,
        low=low,
        high=high,
        spread=spread,
        p=p,
        p_holm=p,
        detectable=found,
    )


def _with(difference: Difference, p_holm: float) -> Difference:
    return replace(difference, p_holm=p_holm)
