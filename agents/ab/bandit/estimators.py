"""The value of a recommender from the log of another: IPS, SNIPS, the direct method, and doubly robust.

With w_i = target(a_i | x_i) / propensity_i, the reward r_i and the predicted reward q:

    IPS    mean of w_i r_i                                            (Horvitz and Thompson, 1952)
    SNIPS  sum of w_i r_i / sum of w_i                                (Swaminathan and Joachims, 2015)
    DM     mean of sum_a target(a | x_i) q(x_i, a)
    DR     mean of sum_a target(a | x_i) q(x_i, a) + w_i (r_i - q(x_i, a_i))     (Dudik, Langford and Li, 2011)

q is cross-fitted: no row's reward is part of its own prediction. Weights above ``clip`` are cut to it, which trades
variance for bias. Intervals are percentile bootstraps over rows; with few rewards they are too narrow. DM has none: its
error is that of the model, which rows drawn again do not show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.bandit.log import BanditLog, checked_target
from memagent.agents.ab.bandit.rewards import RewardModel, SmoothedRates, cross_fitted
from memagent.errors import InvalidInput
from memagent.intervals import Interval, resampled_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("ips", "snips", "dm", "dr")
WITH_INTERVAL = ("ips", "snips", "dr")
RESAMPLES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimators:
    """How values are estimated; see the module. ``clip`` None: weights stay as they are."""

    clip: float | None = None
    model: RewardModel = field(default_factory=SmoothedRates)
    folds: int = 5
    resamples: int = RESAMPLES
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.clip is not None and not self.clip > 0:
            raise InvalidInput(f"weights cannot be clipped at {self.clip}", hint="a number above 0, or None")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """What the weights look like, which says whether an estimate can be believed.

    ``effective``: the effective sample size (sum w)^2 / sum w^2 (Kish, 1965). ``mean`` is near 1 where the log covers
    the target. ``clipped``: the share of rows whose weight was cut. ``unseen``: the part of the target that goes to
    actions which the log never shows at that position; no weight can make up for it.
    """

    rows: int
    rewarded: int
    effective: float
    mean: float
    largest: float
    clipped: float
    unseen: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicy:
    """The values by method (:data:`METHODS`), each with its interval, and the weights they rest on."""

    values: Mapping[str, Interval]
    weighing: Weighing


def evaluate(log: BanditLog, target: NDArray[np.float64], estimators: Estimators | None = None) -> OffPolicy:
    """The value of ``target`` (rows, actions: chances) from a log. Raises InvalidInput for a target that is none."""
    how = estimators or Estimators()
    predicted = cross_fitted(log, how.model, folds=how.folds, seed=how.seed)
    columns, weighing = terms(log, target, predicted, clip=how.clip)
    point, drawn = estimates(columns.mean(axis=0, keepdims=True)), _drawn(columns, how)
    values = {name: interval_of(name, float(point[name][0]), drawn[name], how.level) for name in METHODS}
    return OffPolicy(values=values, weighing=weighing)


def difference(
    log: BanditLog, first: NDArray[np.float64], second: NDArray[np.float64], estimators: Estimators | None = None
) -> dict[str, Interval]:
    """The value of ``second`` less that of ``first`` by method, both on the same rows of each resample."""
    how = estimators or Estimators()
    predicted = cross_fitted(log, how.model, folds=how.folds, seed=how.seed)
    sides = [terms(log, target, predicted, clip=how.clip)[0] for target in (first, second)]
    joint = np.concatenate(sides, axis=1)
    drawn = resampled_means(joint, seed=how.seed, resamples=how.resamples)
    means = joint.mean(axis=0, keepdims=True)
    width = sides[0].shape[1]
    found = {}
    for name in METHODS:
        (a, b), (x, y) = ([estimates(values[:, part])[name] for part in (np.s_[:width], np.s_[width:])]
                          for values in (means, drawn))  # fmt: skip
        found[name] = interval_of(name, float(b[0] - a[0]), y - x, how.level)
    return found


def terms(
    log: BanditLog, target: NDArray[np.float64], predicted: NDArray[np.float64], *, clip: float | None
) -> tuple[NDArray[np.float64], Weighing]:
    """The columns (rows, 4) w r, w, sum_a target q, and DR's term, whose means make the estimates."""
    chances = checked_target(log, target)
    rows = np.arange(len(log))
    raw = chances[rows, log.actions] / log.propensities
    weights = raw if clip is None else np.minimum(raw, clip)
    direct = (chances * predicted).sum(axis=1)
    robust = direct + weights * (log.rewards - predicted[rows, log.actions])
    shown = np.zeros((log.places, len(log.action_ids)), dtype=bool)
    shown[log.positions, log.actions] = True
    squares = float(np.square(weights).sum())
    weighing = Weighing(
        rows=len(log),
        rewarded=int(np.count_nonzero(log.rewards)),
        effective=float(weights.sum()) ** 2 / squares if squares else 0.0,
        mean=float(weights.mean()),
        largest=float(weights.max()),
        clipped=float((raw > weights).mean()),
        unseen=float((chances * ~shown[log.positions]).sum(axis=1).mean()),
    )
    return np.stack([weights * log.rewards, weights, direct, robust], axis=1), weighing


def estimates(means: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The estimates (n,) by method from means (n, 4) of :func:`terms`; SNIPS is NaN where all weights are 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        snips = means[:, 0] / means[:, 1]
    return {"ips": means[:, 0], "snips": snips, "dm": means[:, 2], "dr": means[:, 3]}


def interval_of(name: str, value: float, drawn: NDArray[np.float64], level: float) -> Interval:
    """A value with the percentiles of what was drawn of it; NaN where they are not defined."""
    defined = drawn[np.isfinite(drawn)]
    if name not in WITH_INTERVAL or not len(defined):
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def _drawn(columns: NDArray[np.float64], how: Estimators) -> dict[str, NDArray[np.float64]]:
    return estimates(resampled_means(columns, seed=how.seed, resamples=how.resamples))
