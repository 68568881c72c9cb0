"""What can be said of an arm against the baseline, in words, and when nothing can."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memagent.agents.ab.amounts import amount, change, p_value
from memagent.agents.ab.metrics import METRICS
from memagent.agents.ab.statistics import detectable, users_needed

if TYPE_CHECKING:
    from memagent.agents.ab.events import Visit
    from memagent.agents.ab.sequential import Bounds, Stopping
    from memagent.agents.ab.statistics import Difference

UNUSABLE = 0.5
"""From this share of visits in which nothing was tried out, an arm is not judged. Ours."""

_UNTRIED = {
    "arm_failed": "the recommender failed",
    "nothing_shown": "nothing could be shown",
    "policy_failed": "the user model gave no answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What can be said of an arm against the baseline on the primary metric.

    ``finding``: better, worse, open (no difference shown), or failed (not tried out, so not judged).
    ``users_for_half``: how many users would show a difference half as large as the one measured, with a power of 0.8
    (normal approximation, at the level that Holm's method leaves to the first of the arms).
    """

    arm: str
    baseline: str
    metric: str
    finding: str
    text: str
    users_for_half: int | None = None


def verdicts_of(
    differences: Sequence[Difference],
    visits: Mapping[str, Sequence[Visit]],
    *,
    baseline: str,
    alpha: float,
    stopping: Stopping | None = None,
    sequence: Mapping[str, Bounds] | None = None,
) -> list[Verdict]:
    """One for each of ``differences`` (those of the primary metric); ``visits`` are those of each arm."""
    found = []
    strict = alpha / max(1, sum(not math.isnan(d.p) for d in differences))  # what Holm's method asks of the first arm
    for d in differences:
        untried = [text for arm in (baseline, d.arm) if (text := _untried(arm, visits.get(arm, ())))]
        if untried:
            finding, text = "failed", f"{d.arm} cannot be judged against {baseline}: {'; '.join(untried)}."
        elif d.users < 2:
            finding = "open"
            text = f"{d.arm} cannot be compared with {baseline}: {d.users} users have the {_label(d)} in both arms."
        elif stopping and sequence:
            finding, text = _by_sequence(d, baseline, stopping, sequence[d.arm])
        else:
            finding, text = _by_test(d, baseline, alpha, strict)
        needed = None
        if finding in ("better", "worse"):
            needed = users_needed(spread=d.spread, difference=d.difference / 2, alpha=strict)
        found.append(
            Verdict(
                arm=d.arm, baseline=baseline, metric=d.metric, finding=finding, text=text, users_for_half=needed or None
            )
        )
    return found


def _untried(arm: str, visits: Sequence[Visit]) -> str:
    """Why an arm was hardly tried out; empty if it was."""
    counts = {ending: sum(visit.ending == ending for visit in visits) for ending in _UNTRIED}
    if sum(counts.values()) < UNUSABLE * len(visits):
        return ""
    told = [f"{why} in {counts[ending]} of {len(visits)} visits" for ending, why in _UNTRIED.items() if counts[ending]]
    return f"in {arm} {', '.join(told)}"


def _by_test(d: Difference, baseline: str, alpha: float, strict: float) -> tuple[str, str]:
    sure = f"[{100 * (1 - alpha):g} % interval {_interval(d, d.low, d.high)}, p {p_value(d.p_holm)}]"
    if d.p_holm <= alpha:
        return _finding(d), f"{_means(d, baseline)}, {change(d.metric, d.difference)} {sure}, over {d.users} users."
    measured = change(d.metric, d.difference)
    open_ = f"No difference between {d.arm} and {baseline} in {_label(d)} is shown: {measured} {sure}."
    if 2.0 ** (1 - d.users) > strict:  # the smallest p, where all differences have one sign
        return "open", f"{open_} So few users can show none, however large it is."
    smallest = change(d.metric, detectable(d.users, spread=d.spread, alpha=strict)).lstrip("+")
    return "open", (
        f"{open_} With {d.users} users a difference of {smallest} is found four times out of five; a smaller one may "
        "be there."
    )


def _by_sequence(d: Difference, baseline: str, stopping: Stopping, bounds: Bounds) -> tuple[str, str]:
    if not math.isfinite(bounds.low):
        return "open", (
            f"Nothing is decided about {d.arm} and {baseline}: {d.users} users have the {_label(d)} in both arms, and "
            f"{stopping.least} are needed."
        )
    sure = f"[confidence sequence of {100 * (1 - stopping.alpha):g} % {_interval(d, bounds.low, bounds.high)}]"
    if bounds.low > 0 or bounds.high < 0:
        return _finding(d), f"{_means(d, baseline)}, {change(d.metric, d.difference)} {sure}, over {d.users} users."
    return "open", (
        f"No difference between {d.arm} and {baseline} in {_label(d)} is shown: {change(d.metric, d.difference)} "
        f"{sure}, over {d.users} users."
    )


def _finding(d: Difference) -> str:
    return "better" if d.difference > 0 else "worse"


def _means(d: Difference, baseline: str) -> str:
    arm, base = amount(d.metric, d.arm_mean), amount(d.metric, d.baseline_mean)
    relative = f" ({d.difference / d.baseline_mean:+.0%})" if d.baseline_mean > 0 else ""
    return f"{d.arm} does {_finding(d)} than {baseline} in {_label(d)}: {arm} against {base}{relative}"


def _interval(d: Difference, low: float, high: float) -> str:
    return f"{change(d.metric, low, unit=False)} to {change(d.metric, high)}"


def _label(d: Difference) -> str:
    return METRICS[d.metric].label.lower()
