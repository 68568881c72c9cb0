"""The result file of ``memagent eval lsrp``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent._version import __version__
from memagent.evals.lsrp.arms import STRATEGIES, Made
from memagent.evals.lsrp.choosing import Worth
from memagent.evals.lsrp.data import LsrpSet, reference_udrr
from memagent.evals.lsrp.splits import LsrpSplit, shared_by
from memagent.evals.lsrp.systems import System
from memagent.intervals import LEVEL, RESAMPLES, Interval, resampled_means
from memagent.machine import machine

if TYPE_CHECKING:
    from memagent.llm.meter import Totals

SCHEMA = 1
METRICS = ("udrr", "fluency", "relevance", "personalization", "leakage", "regret", "words")
"""``fluency`` is the mean log probability; ``ppl`` is made of it. ``words``: the length of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LsrpRun:
    """All that was made of one data set: see the modules of the parts. ``learnt``: what U-U-RAG learned, as JSON."""

    data: LsrpSet
    split: LsrpSplit
    made: Mapping[tuple[str, str], Made]
    systems: tuple[System, ...]
    worth: Worth | None
    weights: tuple[float, ...]
    learnt: Mapping[str, Any] | None = None

    def rows(self, system: System) -> Iterator[tuple[str, str | None, Made | None]]:
        """For each case its id, what the system picked, and what that made."""
        for case in self.split.test:
            arm = system.picked(case.id)
            yield case.id, arm, self.made[case.id, arm] if arm else None


def build_result(
    run: LsrpRun,
    *,
    models: Mapping[str, Any],
    guard: str,
    baseline: str,
    totals: Totals | None = None,
    encoder: Mapping[str, Any] | None = None,
    command: Sequence[str] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> dict[str, Any]:
    """The result of a finished run, ready for JSON.

    Each system has a row: every metric with its interval over the cases that have it (``metrics``; ``ppl`` is exp(-mean
    fluency), with the ends of its interval), what was picked (``picked``), how often that is the oracle's style
    (``agrees``), failures, answers without a rating, and the paired difference of each metric to the system
    ``baseline`` over the cases that both have. Intervals are over users, drawn with all their cases.
    """
    columns = {system.label: _columns(run, system) for system in run.systems}
    rows = [
        _row(run, system, columns[system.label], columns.get(baseline), baseline, seed=seed, resamples=resamples)
        for system in run.systems
    ]
    return {
        "schema": SCHEMA,
        "command": list(command),
        "version": __version__,
        "dataset": _dataset(run),
        "encoder": dict(encoder) if encoder else None,
        "machine": machine(),
        "seed": seed,
        "settings": {"resamples": resamples, "level": LEVEL, "guard": guard},
        "models": dict(models),
        "weights": dict(zip(("udrr", "fluency", "relevance"), map(_short, run.weights), strict=True)),
        "learnt": dict(run.learnt) if run.learnt else None,
        "this_run": totals.as_dict() if totals else None,
        "rows": rows,
    }


def per_case(run: LsrpRun) -> Iterator[dict[str, Any]]:
    """A row for each system and case: what was picked and why, and all that was made."""
    for system in run.systems:
        for case, arm, made in run.rows(system):
            choice = system.choices.get(case)
            regret = run.worth.regret(case, arm) if run.worth and arm in STRATEGIES else None
            yield {
                "system": system.label,
                **(made.to_json() if made else {"case": case, "arm": None, "failed": "no style was picked"}),
                "reason": choice.reason if choice else "",
                "votes": dict(choice.votes) if choice else {},
                "regret": regret,
            }


def _dataset(run: LsrpRun) -> dict[str, Any]:
    return {
        "name": run.data.name,
        "files": [asdict(file) for file in run.data.files],
        "cases": len(run.split.test),
        "training": len(run.split.train),
        "users": len({case.user for case in run.split.test}),
        "left_out": dict(run.split.left_out),
        "on_both_sides": shared_by(run.split),
        "reference_udrr": _maybe(reference_udrr(run.split.test)),
    }


_Columns = dict[str, dict[str, float]]


def _columns(run: LsrpRun, system: System) -> _Columns:
    """Each metric by case, where it is known."""
    found: _Columns = {name: {} for name in METRICS}
    for case, arm, made in run.rows(system):
        if made is not None and made.failed and made.sent:  # it has left the device for nothing
            found["leakage"][case] = made.leaked
        if made is None or arm is None or made.failed:
            continue
        values: dict[str, float | None] = {
            "udrr": made.udrr,
            "fluency": made.fluency,
            "relevance": made.relevance,
            "personalization": made.personalization,
            "leakage": made.leaked,
            "regret": run.worth.regret(case, arm) if run.worth and arm in STRATEGIES else None,
            "words": float(len(made.answer.split())),
        }
        for name, value in values.items():
            if value is not None:
                found[name][case] = value
    return found


def _row(
    run: LsrpRun,
    system: System,
    own: _Columns,
    other: _Columns | None,
    baseline: str,
    *,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    made = [one for _, _, one in run.rows(system)]
    metrics: dict[str, dict[str, float]] = {}
    for name in METRICS:
        if own[name]:
            interval = _over_users(run, own[name], seed, resamples)
            metrics[name] = {"n": len(own[name]), **_rounded(interval._asdict())}
    if fluency := metrics.get("fluency"):
        ends = {"mean": fluency["mean"], "low": fluency["high"], "high": fluency["low"]}
        metrics["ppl"] = {"n": fluency["n"], **{end: _short(_exp(-value)) for end, value in ends.items()}}
    answered = [one for one in made if one is not None and not one.failed]
    paired = None if other is None or system.label == baseline else _paired(run, own, other, seed, resamples)
    return {
        "system": system.label,
        "n": len(made),
        "metrics": metrics,
        "picked": dict(Counter(one.arm for one in made if one is not None).most_common()),
        "agrees": _agrees(run, system),
        "unrated": {
            name: sum(getattr(one, name) is None for one in answered) for name in ("relevance", "personalization")
        },
        "failures": dict(Counter(one.failed if one else "no style was picked" for one in made if not _ok(one))),
        "tokens": dict(sum((Counter(one.tokens) for one in answered), Counter[str]())),
        "paired": None if paired is None else {"against": baseline, **paired},
    }


def _ok(made: Made | None) -> bool:
    return made is not None and not made.failed


def _agrees(run: LsrpRun, system: System) -> float | None:
    """The share of cases in which the oracle's style is picked; None for what picks nothing."""
    if run.worth is None or not system.choices:
        return None
    best = run.worth.oracle()
    same = [system.picked(case) == choice.strategy for case, choice in best.items()]
    return _short(sum(same) / len(same)) if same else None


def _paired(run: LsrpRun, own: _Columns, other: _Columns, seed: int, resamples: int) -> dict[str, Any]:
    """Differences over the cases for which both have the metric."""
    found: dict[str, Any] = {}
    for name in METRICS:
        both = {case: own[name][case] - other[name][case] for case in own[name] if case in other[name]}
        if both:
            mean, low, high = _over_users(run, both, seed, resamples)
            found[name] = {"n": len(both), **_rounded({"diff": mean, "low": low, "high": high})}
    return found


def _over_users(run: LsrpRun, values: Mapping[str, float], seed: int, resamples: int) -> Interval:
    """The mean over cases and its bootstrap interval over users, who are drawn with all their cases."""
    sums: dict[str, list[float]] = {}
    for case in run.split.test:
        if case.id in values:
            of_user = sums.setdefault(case.user, [0.0, 0.0])
            of_user[0] += values[case.id]
            of_user[1] += 1.0
    totals = np.array(list(sums.values()))
    drawn = resampled_means(totals, seed=seed, resamples=resamples)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(mean=sum(values.values()) / len(values), low=float(low), high=float(high))


def _exp(value: float) -> float:
    """The exponential, at most the greatest number that JSON can hold."""
    return math.exp(min(value, 700.0))


def _short(value: float) -> float:
    return round(float(value), 6)


def _maybe(value: float | None) -> float | None:
    return None if value is None else _short(value)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: _short(value) for name, value in figures.items()}
