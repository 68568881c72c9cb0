"""The angle "activity": do calibrated users of each activity level click as often as people of that level did?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.agents.ab.calibration import TARGETS, Calibration, Trial, calibrate, folded
from memagent.agents.ab.validation.findings import Finding, Table, unmeasured, with_interval
from memagent.errors import InvalidInput
from memagent.intervals import Interval, resampled_means

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.arms.port import Arm
    from memagent.agents.ab.events import Visit
    from memagent.agents.ab.validation.setting import Setting

WITHIN = 0.05
"""A mean may miss its target by this part of it."""
SKEWED = 0.5
"""From this skewness on (either sign) a distribution is not called near-Gaussian; a rule of thumb, ours."""
EXPECTED_CLICKS = (
    f"Mean clicks of a visit are within {WITHIN:.0%} of the target at each activity level, on users and seeds not used "
    "to calibrate."
)
EXPECTED_SPREAD = f"At each level the clicks of visits are spread near-Gaussian: skewness below {SKEWED} either way."
LEVELS = {1: "low", 2: "medium", 3: "high"}


def activity(
    setting: Setting,
    arm: Arm,
    *,
    targets: Mapping[int, float] = TARGETS,
    users: int = 1000,
    seeds: Sequence[int] = (0, 1, 2),
    other_seeds: Sequence[int] = (101, 102, 103),
    folds: int | None = None,
) -> tuple[Finding, Finding]:
    """Of clicks and of their spread: fit the budgets on up to ``users`` from one half, count clicks on the other half.

    With ``folds`` every user is counted once, with budgets fitted on the other folds: surer where few users have a
    level (see :func:`~memagent.agents.ab.calibration.folded`); the budgets shown are those of the first fold.
    Not measured where no budget reaches a target.
    """
    half = len(setting.everybody) // 2
    trial = Trial(
        catalogue=setting.experiment.catalogue,
        arm=arm,
        users=list(setting.everybody[:half])[:users],
        policy=setting.experiment.policy,
        seeds=seeds,
        layout=setting.experiment.layout,
    )
    try:
        fitted, visits = _visited(
            trial,
            replace(trial, users=setting.everybody[half:], seeds=other_seeds),
            setting,
            targets=targets,
            folds=folds,
        )
    except InvalidInput as error:
        why = f"{error.message}; {error.hint}"
        return unmeasured("activity: clicks", EXPECTED_CLICKS, why), unmeasured(
            "activity: spread", EXPECTED_SPREAD, why
        )
    return _findings(arm.name, fitted, visits, setting.seed)


def _visited(
    trial: Trial, other: Trial, setting: Setting, *, targets: Mapping[int, float], folds: int | None
) -> tuple[Calibration, list[Visit]]:
    """The budgets, and visits of users who had no part in them."""
    fatigue = setting.experiment.fatigue
    if folds:
        setting.say(f"activity: calibrating in {folds} folds of {len(setting.everybody)} users")
        everybody = replace(trial, users=setting.everybody)
        parts = list(folded(everybody, folds=folds, seeds=other.seeds, targets=targets, fatigue=fatigue))
        return parts[0][0], [visit for _, visits in parts for visit in visits]
    setting.say(f"activity: calibrating on {len(trial.users)} users")
    fitted = calibrate(trial, targets=targets, fatigue=fatigue)
    setting.say(f"activity: {len(other.users)} other users")
    return fitted, other.visits(fitted.fatigue)


def _findings(arm: str, fitted: Calibration, visits: Sequence[Visit], seed: int) -> tuple[Finding, Finding]:
    rows = [["activity", "target", "clicks of a visit [95 %]", "off by", "spread", "skewness", "users", "budget"]]
    figures: dict[str, Any] = {}
    for level in sorted(fitted.reached):
        clicks = clicks_by_user([visit for visit in visits if visit.activity == level])
        if not len(clicks):
            continue
        target = fitted.targets[level]
        mean, skewed = moments(clicks, seed=seed)
        off = mean.mean / target - 1
        spread = float(clicks.std())
        budget = fitted.fatigue.budgets[level]
        rows.append([
            LEVELS[level], f"{target:g}", with_interval(*mean, digits=2), f"{off:+.1%}", f"{spread:.2f}",
            with_interval(*skewed, digits=2, sign=True), str(len(clicks)), f"{budget:.1f}",
        ])  # fmt: skip
        figures[LEVELS[level]] = {"target": target, "clicks": mean._asdict(), "off": off, "spread": spread,
                                  "skewness": skewed._asdict(), "users": len(clicks), "budget": budget}  # fmt: skip
    clicked = ", ".join(f"{name} {f['clicks']['mean']:.2f} ({f['off']:+.1%})" for name, f in figures.items())
    spreads = ", ".join(f"{name} {f['skewness']['mean']:+.2f}" for name, f in figures.items())
    table = Table(title=f"Clicks in lists of {arm}", rows=rows)
    return (
        Finding(
            angle="activity: clicks",
            expected=EXPECTED_CLICKS,
            came=f"{clicked}.",
            holds=all(abs(float(f["off"])) <= WITHIN for f in figures.values()),
            tables=[table],
            figures=figures,
        ),
        Finding(
            angle="activity: spread",
            expected=EXPECTED_SPREAD,
            came=f"skewness {spreads}.",
            holds=all(abs(float(f["skewness"]["mean"])) < SKEWED for f in figures.values()),
            notes=["See the table of clicks. Budgets and the end of the list cut visits short at the upper end."],
        ),
    )


def clicks_by_user(visits: Sequence[Visit]) -> NDArray[np.float64]:
    """The clicks (users, visits) of each user's visits, of whom all have the same number of visits."""
    of_user: dict[str, list[int]] = {}
    for visit in visits:
        of_user.setdefault(visit.user, []).append(visit.clicks)
    return np.asarray(list(of_user.values()), dtype=np.float64)


def moments(clicks: NDArray[np.float64], *, seed: int = 0, resamples: int = 2_000) -> tuple[Interval, Interval]:
    """Mean and skewness of all visits' clicks, with bootstrap intervals over users."""
    powers = np.stack([np.mean(clicks**power, axis=1) for power in (1, 2, 3)], axis=1)
    drawn = resampled_means(powers, seed=seed, resamples=resamples)
    found = []
    for of in (lambda m: m[:, 0], skewness):
        low, high = np.quantile(of(drawn), [0.025, 0.975])
        found.append(Interval(float(of(powers.mean(axis=0, keepdims=True))[0]), float(low), float(high)))
    return found[0], found[1]


def skewness(moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the first three moments (n, 3) about 0; 0 where there is no spread."""
    first, second, third = moments.T
    variance = np.maximum(second - first**2, 0.0)
    central = third - 3 * first * second + 2 * first**3
    found: NDArray[np.float64] = np.divide(
        central, variance**1.5, out=np.zeros(len(first)), where=variance > 1e-12 * np.maximum(second, 1.0)
    )
    return found
