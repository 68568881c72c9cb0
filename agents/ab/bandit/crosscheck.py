"""Does a real log agree with the winner of a simulation?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memagent.agents.ab.bandit.estimators import Estimators, OffPolicy, difference, evaluate
from memagent.agents.ab.bandit.log import BanditLog
from memagent.agents.ab.statistics import users_needed
from memagent.errors import InvalidInput
from memagent.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_METHOD = "dr"  # that the finding rests on
_TO_SPREAD = 2 * 1.959964  # an interval's width in standard errors


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossCheck:
    """Two recommenders on one log, and what a simulation said of them.

    ``finding``: agrees, disagrees, or open (the interval of the doubly robust difference holds 0: the log calls no
    winner). ``rows_needed``: how many rows of such a log would show a difference of the simulated size with a power of
    0.8; None where the simulation gave no size, or a size of 0.
    """

    simulated: float
    baseline: OffPolicy
    arm: OffPolicy
    differences: dict[str, Interval]
    finding: str
    rows: int
    rewarded: int
    rows_needed: int | None

    def text(self, *, baseline: str, arm: str) -> str:
        """The finding in a sentence or two."""
        d = self.differences[_METHOD]
        measured = f"{d.mean:+.4f} [{d.low:+.4f}, {d.high:+.4f}] by the doubly robust estimator"
        said = f"The simulation has {arm} {self.simulated:+.4f} against {baseline}; the log says {measured}"
        if self.finding != "open":
            return f"{said}: it {self.finding}."
        needed = (
            f" To show a difference of that size four times out of five takes about {self.rows_needed:,} impressions."
            if self.rows_needed
            else ""
        )
        return (
            f"{said}, from {self.rewarded} clicks in {self.rows:,} impressions: too few to call a winner, so this "
            f"neither confirms nor contradicts the simulation.{needed}"
        )


def cross_check(
    log: BanditLog,
    *,
    baseline: NDArray[np.float64],
    arm: NDArray[np.float64],
    simulated: float,
    estimators: Estimators | None = None,
) -> CrossCheck:
    """Whether ``log`` agrees that ``arm`` earns ``simulated`` more per impression than ``baseline``.

    Both are chances (rows, actions). Raises InvalidInput for a simulated difference that is not finite.
    """
    if not math.isfinite(simulated):
        raise InvalidInput("the simulated difference is not defined", hint="give arm less baseline, per impression")
    found = difference(log, baseline, arm, estimators)
    d = found[_METHOD]
    finding = "open"
    if d.low > 0 or d.high < 0:
        finding = "agrees" if d.mean * simulated > 0 else "disagrees"
    spread = (d.high - d.low) / _TO_SPREAD * math.sqrt(len(log))
    evaluated = evaluate(log, arm, estimators)
    return CrossCheck(
        simulated=simulated,
        baseline=evaluate(log, baseline, estimators),
        arm=evaluated,
        differences=found,
        finding=finding,
        rows=len(log),
        rewarded=evaluated.weighing.rewarded,
        rows_needed=users_needed(spread=spread, difference=simulated) if simulated and spread > 0 else None,
    )
