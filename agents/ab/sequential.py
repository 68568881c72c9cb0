"""Stopping an experiment as soon as its answer is sure, without finding differences that are not there.

Looking again and again at an ordinary test finds something in the end. A confidence sequence may be looked at as often
as one likes: the chance that it ever leaves out the true mean is at most alpha. Used is the asymptotic one of
Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Annals of Statistics, 2024, theorem 2.2), Robbins' normal mixture with
an estimated variance:

    mean +- sd * sqrt( 2 (t rho^2 + 1) / (t^2 rho^2) * log( sqrt(t rho^2 + 1) / alpha ) )
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.agents.ab.metrics import metric_named, table
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.events import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """Stop once, on ``metric``, the sequence of every arm against the baseline leaves out 0.

    ``alpha`` is for all arms together (each has alpha / arms). Nothing is decided of an arm before ``least`` users have
    the metric in both arms, for the theorem holds for many; ``tuned_for`` is the number of users for which the sequence
    is narrowest.
    """

    metric: str = "ctr"
    alpha: float = 0.05
    least: int = 100
    tuned_for: int = 500

    def __post_init__(self) -> None:
        metric_named(self.metric)
        if not 0 < self.alpha < 1 or self.least < 2 or self.tuned_for < 1:
            raise InvalidInput(f"one cannot stop by {self}", hint="0 < alpha < 1, least from 2, tuned_for from 1")


class Bounds(NamedTuple):
    """A mean difference and the ends of its confidence sequence at the moment."""

    mean: float
    low: float
    high: float


def sequence_bounds(differences: NDArray[np.float64], *, alpha: float, tuned_for: int) -> Bounds:
    """The sequence after these differences (one a user, in the order that they came); without end for fewer than 2."""
    t = len(differences)
    if t < 2:
        return Bounds(float(differences.mean()) if t else math.nan, -math.inf, math.inf)
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / tuned_for
    factor = math.sqrt(2 * (t * rho2 + 1) / (t * t * rho2) * math.log(math.sqrt(t * rho2 + 1) / alpha))
    mean, reach = float(differences.mean()), float(differences.std()) * factor
    return Bounds(mean, mean - reach, mean + reach)


class Watch:
    """Follows an experiment block by block."""

    def __init__(self, stopping: Stopping, arms: Sequence[str], possible: int) -> None:
        self._stopping = stopping
        self._arms = list(arms)
        self._possible = possible
        self._values = np.empty((0, len(arms)))

    def decided(self, visits: Sequence[Visit]) -> bool:
        """Take a block of whole users in, and say whether that is enough."""
        _, values = table(visits, arms=self._arms, metrics=[self._stopping.metric], possible=self._possible)
        self._values = np.concatenate([self._values, values[:, :, 0]])
        return all(_sure(bounds) for bounds in comparisons(self._values, self._stopping))


def comparisons(values: NDArray[np.float64], stopping: Stopping) -> list[Bounds]:
    """The sequence of each arm after the first against the first; ``values`` is (users, arms), in order.

    Without end where fewer than ``least`` users have both values.
    """
    alpha = stopping.alpha / max(1, values.shape[1] - 1)
    found = []
    for column in range(1, values.shape[1]):
        each = values[:, column] - values[:, 0]
        each = each[~np.isnan(each)]
        bounds = sequence_bounds(each, alpha=alpha, tuned_for=stopping.tuned_for)
        found.append(bounds if len(each) >= stopping.least else Bounds(bounds.mean, -math.inf, math.inf))
    return found


def _sure(bounds: Bounds) -> bool:
    return bounds.low > 0 or bounds.high < 0
