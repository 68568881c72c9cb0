"""The angle "off-policy": do estimators find the truth, and does a real log agree with a simulated winner?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.agents.ab.bandit.crosscheck import CrossCheck, cross_check
from memagent.agents.ab.bandit.estimators import METHODS, WITH_INTERVAL, Estimators, OffPolicy, evaluate
from memagent.agents.ab.bandit.log import BanditLog, by_position, shown_shares, uniform
from memagent.agents.ab.bandit.made_up import World, quality
from memagent.agents.ab.bandit.open_bandit import load_open_bandit
from memagent.agents.ab.bandit.rewards import SmoothedRates
from memagent.agents.ab.validation.findings import Finding, Table, with_interval, yes_no
from memagent.intervals import Interval, bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

Logs = Mapping[str, BanditLog]

EXPECTED_MADE_UP = (
    "IPS and DR are unbiased, 95 % intervals hold the truth in 92 to 98 % of logs, and DR's spread is below IPS's."
)
EXPECTED_ACROSS = (
    "The value of each recommender, estimated from the log of the other, does not differ significantly from its own "
    "click rate (95 %, weights as they are)."
)
EXPECTED_WINNER = (
    "A simulator that learned click rates from one half of the uniform log names a winner; the doubly robust "
    "difference on the other half agrees, or cannot tell."
)
COVERAGE = (0.92, 0.98)
_ROWS = 1000
_CLIP = 3.0  # of the made-up logs' weights, which are at most 8 or so: low enough to show its bias
_FEW = 0.05  # of the rows: with a smaller effective sample an estimate says nothing


def made_up(*, repetitions: int, seed: int) -> Finding:
    """The estimators on logs whose truth is known, with weights as they are and clipped."""
    world = World.drawn(seed=seed)
    sides = {
        "as they are": quality(world, rows=_ROWS, repetitions=repetitions, seed=seed),
        f"at most {_CLIP:g}": quality(world, rows=_ROWS, repetitions=repetitions, clip=_CLIP, seed=seed),
    }
    rows = [["weights", "estimator", "bias", "standard error of it", "spread", "coverage of 95 % intervals"]]
    for weights, found in sides.items():
        rows += [
            [weights, name.upper(), f"{q.bias:+.5f}", f"{q.bias_error:.5f}", f"{q.spread:.4f}", f"{q.coverage:.1%}"]
            for name, q in found.items()
        ]
    plain = sides["as they are"]
    covered = {name: COVERAGE[0] <= q.coverage <= COVERAGE[1] for name, q in plain.items()}
    biases = ", ".join(f"{name.upper()} {q.bias:+.4f}" for name, q in plain.items())
    coverages = ", ".join(f"{name.upper()} {q.coverage:.1%}" for name, q in plain.items())
    narrowed = plain["dr"].spread / plain["ips"].spread
    return Finding(
        angle="off-policy: estimators",
        expected=EXPECTED_MADE_UP,
        came=f"bias {biases}; coverage {coverages}; spread of DR {narrowed:.2f} of IPS's.",
        holds=plain["ips"].unbiased and plain["dr"].unbiased and all(covered.values()) and narrowed < 1,
        tables=[Table(title=f"{repetitions} made-up logs of {_ROWS} rows, true value {world.value:.4f}", rows=rows)],
        figures={weights: {n: {"bias": q.bias, "bias_error": q.bias_error, "spread": q.spread, "coverage": q.coverage}
                           for n, q in found.items()} for weights, found in sides.items()},
    )  # fmt: skip


def logs_of(folder: str | PathLike[str], campaign: str) -> dict[str, BanditLog]:
    """Both logs of a campaign of Open Bandit, by who showed. Raises DataError."""
    return {
        "random": load_open_bandit(folder, behaviour="random", campaign=campaign),
        "bts": load_open_bandit(folder, behaviour="bts", campaign=campaign),
    }


def across_logs(campaigns: Mapping[str, Logs], *, clip: float, seed: int) -> Finding:
    """Each recommender's value from the other's log, beside its own click rate."""
    rows = [["campaign", "value of", "log of", "weights", *(name.upper() for name in METHODS), "own click rate",
             "agree", "effective rows", "mean weight", "clipped"]]  # fmt: skip
    figures: dict[str, Any] = {}
    agreeing: list[bool] = []
    notes = []
    for campaign, logs in campaigns.items():
        for target, source in (("bts", "random"), ("random", "bts")):
            log = logs[source]
            own = bootstrap(logs[target].rewards[:, None], resamples=2_000, seed=seed + 1)[0]
            for weights, limit in (("as they are", None), (f"at most {clip:g}", clip)):
                found = evaluate(log, _chances(target, log, logs), Estimators(clip=limit, seed=seed))
                agree = {name: _same(found.values[name], own) for name in WITH_INTERVAL}
                agreeing += agree.values() if limit is None else ()
                rows.append([campaign, target, source, weights, *_cells(found, own, agree)])
                figures[f"{campaign}: {target} from {source}, weights {weights}"] = {
                    "values": {name: one._asdict() for name, one in found.values.items()},
                    "own": own._asdict(),
                    "agree": agree,
                    "effective": found.weighing.effective,
                }
                if limit is None and found.weighing.effective < _FEW * len(log):
                    notes.append(
                        f"{campaign}, {target} from {source}: {found.weighing.effective:.0f} effective rows of "
                        f"{len(log):,}, weights up to {found.weighing.largest:,.0f}. Without clipping this log says "
                        "nothing of that recommender."
                    )
    return Finding(
        angle="off-policy: across logs",
        expected=EXPECTED_ACROSS,
        came=f"{sum(agreeing)} of {len(agreeing)} estimates agree with the recommender's own click rate.",
        holds=all(agreeing),
        tables=[Table(title="Open Bandit, clicks per impression", rows=rows)],
        notes=[*notes, "Clipped estimates are biased, and are not judged. DM has no interval of its own."],
        figures=figures,
    )


def winner(campaigns: Mapping[str, Logs], *, seed: int) -> Finding:
    """A simulated winner, uniform against Thompson sampling, on a part of a log that the simulation has not seen."""
    rows = [["campaign", "simulated", *(f"{name.upper()} on the log" for name in WITH_INTERVAL), "clicks", "rows",
             "rows needed", "own click rates", "finding"]]  # fmt: skip
    checks: dict[str, CrossCheck] = {}
    figures = {}
    for campaign, logs in campaigns.items():
        check = checks[campaign] = _checked(logs, seed)
        apart = _apart(
            *(bootstrap(logs[who].rewards[:, None], resamples=2_000, seed=seed)[0] for who in ("bts", "random"))
        )
        shown = [with_interval(*check.differences[name], digits=4, sign=True) for name in WITH_INTERVAL]
        needed = f"{check.rows_needed:,}" if check.rows_needed else "-"
        rows.append([campaign, f"{check.simulated:+.4f}", *shown, str(check.rewarded), f"{check.rows:,}", needed,
                     with_interval(*apart, digits=4, sign=True), check.finding])  # fmt: skip
        figures[campaign] = {
            "simulated": check.simulated,
            "differences": {name: one._asdict() for name, one in check.differences.items()},
            "finding": check.finding,
            "rows_needed": check.rows_needed,
            "own": apart._asdict(),
        }
    found = {check.finding for check in checks.values()}
    return Finding(
        angle="off-policy: winner",
        expected=EXPECTED_WINNER,
        came=", ".join(f"{campaign}: {check.finding}" for campaign, check in checks.items()) + ".",
        holds=False if "disagrees" in found else None if "open" in found else True,
        tables=[Table(title="Thompson sampling less uniform, clicks per impression", rows=rows)],
        notes=[
            *(f"{campaign}: {check.text(baseline='uniform', arm='bts')}" for campaign, check in checks.items()),
            "`own click rates` compares the two whole logs, as the A/B test that they were, campaign by campaign.",
        ],
        figures=figures,
    )


def _checked(logs: Logs, seed: int) -> CrossCheck:
    log = logs["random"]
    learning = np.random.default_rng([seed, 79]).permutation(len(log)) % 2 == 0
    first, second = log.rows(learning), log.rows(~learning)
    believed = SmoothedRates().fit(first)(second)
    chances = _chances("bts", second, logs)
    simulated = float(((chances - uniform(second)) * believed).sum(axis=1).mean())
    return cross_check(
        second, baseline=uniform(second), arm=chances, simulated=simulated, estimators=Estimators(seed=seed)
    )


def _chances(target: str, log: BanditLog, logs: Logs) -> NDArray[np.float64]:
    """Thompson sampling learned on its way: what is estimated is its mean over the time of its log."""
    return uniform(log) if target == "random" else by_position(log, shown_shares(logs["bts"]))


def _cells(found: OffPolicy, own: Interval, agree: Mapping[str, bool]) -> list[str]:
    weighing = found.weighing
    said = ", ".join(name.upper() for name, same in agree.items() if same)
    return [
        *(with_interval(*found.values[name], digits=4) for name in METHODS),
        with_interval(*own, digits=4),
        yes_no(all(agree.values())) if all(agree.values()) or not said else said,
        f"{weighing.effective:,.0f} of {weighing.rows:,}",
        f"{weighing.mean:.2f}",
        f"{weighing.clipped:.1%}",
    ]


def _apart(first: Interval, second: Interval) -> Interval:
    """The difference of two independent means, by the normal approximation."""
    error = math.hypot(first.high - first.low, second.high - second.low) / 2
    difference = first.mean - second.mean
    return Interval(difference, difference - error, difference + error)


def _same(first: Interval, second: Interval) -> bool:
    difference = _apart(first, second)
    return difference.low <= 0 <= difference.high
