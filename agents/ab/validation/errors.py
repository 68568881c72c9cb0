"""The angle "errors": do the tests of an experiment err as often as they say?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.metrics import table
from memagent.agents.ab.statistics import ALPHA, power_of, rejection_rate
from memagent.agents.ab.validation.findings import Finding, Table

if TYPE_CHECKING:
    from memagent.agents.ab.arms.port import Arm
    from memagent.agents.ab.validation.setting import Setting

WITHIN = (0.035, 0.065)
"""Where the rate of false alarms at 5 % may lie."""
POINTS = 0.05
"""By which the power found may differ from the power promised."""
PLANTED = (0.1, 0.15, 0.2, 0.25, 0.3)
"""Differences, in standard deviations of a user's difference."""
EXPECTED = (
    f"Equal arms are told apart at the 5 % level in {WITHIN[0]:.1%} to {WITHIN[1]:.1%} of experiments, and planted "
    f"differences are found with the power that was promised, within {100 * POINTS:.0f} points."
)


@dataclass(frozen=True, slots=True)
class Named:
    """An arm by another name."""

    arm: Arm
    name: str

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> Sequence[str]:
        """That of the arm."""
        return self.arm.recommend(user, k, exclude)


def errors(
    setting: Setting, arm: Arm, *, metric: str = "ctr", users: int = 200, repetitions: int = 2000, planted: int = 1000
) -> Finding:
    """A/A tests by ``repetitions`` experiments of ``users`` from a pool of stored sessions, on one metric.

    The pool: everybody visits the arm twice, with luck of their own each time; in it are those for whom the metric is
    defined both times. ``planted`` is the number of experiments for each planted difference. Raises InvalidInput for
    fewer users than an experiment takes.
    """
    twin = Named(arm, f"{arm.name} again")
    apart = replace(setting, experiment=replace(setting.experiment, common_random_numbers=False))
    outcome = apart.simulated([arm, twin], test="errors", users=setting.everybody)
    _, values = table(outcome.visits, arms=outcome.arms, metrics=[metric], possible=outcome.experiment.visits)
    each = values[:, 1, 0] - values[:, 0, 0]
    each = each[~np.isnan(each)]
    spread = float(each.std(ddof=1)) if len(each) > 1 else 0.0
    setting.say(f"errors: {repetitions} A/A tests")
    alarms = rejection_rate(each, users=users, repetitions=repetitions, seed=setting.seed)
    powers = {}
    for share in PLANTED:
        promised = power_of(users, spread=spread, difference=share * spread)
        found = rejection_rate(each, users=users, repetitions=planted, planted=share * spread, seed=setting.seed + 1)
        powers[share] = (promised, found)
    rows = [["planted difference", "in standard deviations", "power promised", "found"]]
    rows += [[f"{share * spread:.4f}", f"{share:g}", f"{p:.1%}", f"{f:.1%}"] for share, (p, f) in powers.items()]
    worst = max(abs(promised - found) for promised, found in powers.values())
    return Finding(
        angle="errors",
        expected=EXPECTED,
        came=f"{alarms:.2%} of {repetitions} A/A tests of {users} users reject at {ALPHA:.0%}; the power found is at "
        f"most {100 * worst:.1f} points off.",
        holds=WITHIN[0] <= alarms <= WITHIN[1] and worst <= POINTS,
        tables=[Table(title=f"Planted differences in {metric}, {planted} experiments each", rows=rows)],
        notes=[f"Drawn from a pool of {len(each)} users who visited {arm.name} twice."],
        figures={
            "pool": len(each),
            "false_alarms": alarms,
            "power": {str(share): {"promised": p, "found": f} for share, (p, f) in powers.items()},
        },
    )
