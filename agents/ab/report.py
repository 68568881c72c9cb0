"""What an experiment says: a verdict with its uncertainty, tables, and what a simulation cannot know."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent._version import __version__
from memagent.agents.ab.experiment import Outcome
from memagent.agents.ab.metrics import METRICS, table
from memagent.agents.ab.report_verdicts import Verdict, verdicts_of
from memagent.agents.ab.sequential import Bounds, comparisons
from memagent.agents.ab.statistics import ALPHA, Difference, compare
from memagent.errors import InvalidInput
from memagent.files import directory_to_use, replacing
from memagent.intervals import bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.agents.ab.events import Visit

LIMITS = (
    (
        "These are simulated users. The figures tell arms apart under the stated model of a user; they do not forecast "
        "what real users would click."
    ),
    (
        "Simulated users are too agreeable and too alike: rates are higher and spreads smaller than real ones, so a "
        "real test needs more users than are printed here."
    ),
    (
        "Simulated users prefer the first places of a page, by construction or by habit; see the check with reversed "
        "pages."
    ),
    (
        "Taste comes from ratings of items that people chose to rate. An arm that shows what nobody has rated is "
        "judged by what the crowd thinks of it."
    ),
    "The world is closed: no news, no friends, no competing site, and no arm learns from the clicks.",
)

ALWAYS_EXITS = 0.95
"""From this share of visits that end on the first page without a click, the policy is reported as one that leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmFigures:
    """One arm: mean and 95 % bootstrap interval of every metric over users, totals, endings and faults."""

    name: str
    metrics: Mapping[str, Mapping[str, float]]
    visits: int
    totals: Mapping[str, int]
    endings: Mapping[str, int]
    faults: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReport:
    """Everything that is shown; :meth:`write` makes ``report.json``, ``report.md`` and ``report.html``.

    ``position`` holds, where reversed pages were run, each arm's difference on the primary metric of reversed to normal
    pages; ``offline`` the recall and nDCG of arms; ``extra`` whatever the caller adds (calibration, tau).
    """

    title: str
    primary: str
    alpha: float
    users: int
    facts: Mapping[str, Any]
    arms: Sequence[ArmFigures]
    differences: Sequence[Difference]
    verdicts: Sequence[Verdict]
    warnings: Sequence[str]
    limits: Sequence[str] = LIMITS
    stopped_early: bool = False
    sequence: Mapping[str, Bounds] = field(default_factory=dict)
    position: Sequence[Difference] = ()
    offline: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON would have it; undefined figures are None."""
        sequence = {arm: bounds._asdict() for arm, bounds in self.sequence.items()}
        shown = {**asdict(self), "sequence": sequence, "version": __version__, "schema": 1}
        cleaned: dict[str, Any] = _without_nan(shown)
        return cleaned

    def write(self, folder: str | PathLike[str]) -> None:
        """Write the three files into a folder, which is made."""
        from memagent.agents.ab.report_html import html_page
        from memagent.agents.ab.report_text import markdown

        place = directory_to_use(folder, "folder")
        place.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n"
        for name, content in (("report.json", text), ("report.md", markdown(self)), ("report.html", html_page(self))):
            with replacing(Path(place) / name, mode=0o666) as temporary:
                temporary.write_text(content, encoding="utf-8")


def report_of(
    outcome: Outcome,
    *,
    primary: str = "ctr",
    alpha: float = ALPHA,
    title: str = "A/B test in the sandbox",
    reversed_: Outcome | None = None,
    offline: Mapping[str, Mapping[str, float]] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> ExperimentReport:
    """Compare the arms of an outcome; ``reversed_`` is the same experiment with reversed pages.

    For an experiment that could stop early the verdict is that of the confidence sequence, and only for the metric that
    it watched: raises InvalidInput for another primary metric.
    """
    experiment = outcome.experiment
    stopping = experiment.stopping
    if stopping and stopping.metric != primary:
        raise InvalidInput(f"the experiment watched {stopping.metric}", hint="take it as the primary metric")
    names, values = table(outcome.visits, arms=outcome.arms, metrics=list(METRICS), possible=experiment.visits)
    found = compare(
        values, arms=outcome.arms, metrics=list(METRICS), primary=primary, alpha=alpha, seed=experiment.seed
    )
    sequence: dict[str, Bounds] = {}
    if stopping:
        bounds = comparisons(values[:, :, list(METRICS).index(primary)], stopping)
        sequence = dict(zip(outcome.arms[1:], bounds, strict=True))
    visits = {arm: [visit for visit in outcome.visits if visit.arm == arm] for arm in outcome.arms}
    verdicts = verdicts_of(
        [d for d in found if d.metric == primary],
        visits,
        baseline=outcome.arms[0],
        alpha=alpha,
        stopping=stopping,
        sequence=sequence,
    )
    return ExperimentReport(
        title=title,
        primary=primary,
        alpha=alpha,
        users=len(names),
        facts=outcome.experiment.facts(),
        arms=[_figures(arm, values[:, i], outcome, experiment.seed) for i, arm in enumerate(outcome.arms)],
        differences=found,
        verdicts=verdicts,
        warnings=_warnings(outcome),
        stopped_early=outcome.stopped_early,
        sequence=sequence,
        position=_position(outcome, reversed_, primary, alpha) if reversed_ else (),
        offline=offline or {},
        extra=extra or {},
    )


def _figures(arm: str, values: NDArray[np.float64], outcome: Outcome, seed: int) -> ArmFigures:
    visits = [visit for visit in outcome.visits if visit.arm == arm]
    metrics = {}
    for place, name in enumerate(METRICS):
        defined = values[:, place][~np.isnan(values[:, place])]
        if len(defined):
            mean, low, high = bootstrap(defined[:, None], seed=seed)[0]
            metrics[name] = {"mean": mean, "low": low, "high": high, "users": len(defined)}
    faults: Counter[str] = Counter()
    for visit in visits:
        faults.update(visit.faults)
    return ArmFigures(
        name=arm,
        metrics=metrics,
        visits=len(visits),
        totals={name: sum(getattr(visit, name) for visit in visits) for name in _TOTALS}
        | {"ratings": sum(len(visit.ratings) for visit in visits)},
        endings=dict(sorted(Counter(visit.ending for visit in visits).items())),
        faults=dict(sorted(faults.items())),
    )


_TOTALS = ("impressions", "views", "clicks", "watches", "steps", "asked_again", "clamped")


def _position(outcome: Outcome, reversed_: Outcome, primary: str, alpha: float) -> list[Difference]:
    """For each arm, reversed pages against normal ones."""
    found = []
    for arm in outcome.arms:
        before, after = (_by_user(side, arm, primary) for side in (outcome, reversed_))
        pairs = np.asarray([[before[user], after[user]] for user in before if user in after]).reshape(-1, 2, 1)
        found += compare(pairs, arms=[arm, arm], metrics=[primary], primary=primary, alpha=alpha)
    return found


def _by_user(outcome: Outcome, arm: str, metric: str) -> dict[str, float]:
    visits = [visit for visit in outcome.visits if visit.arm == arm]
    names, values = table(visits, arms=[arm], metrics=[metric], possible=outcome.experiment.visits)
    return dict(zip(names, values[:, 0, 0].tolist(), strict=True))


def _warnings(outcome: Outcome) -> list[str]:
    """What a reader must know before believing the figures."""
    said = []
    for arm in outcome.arms:
        visits = [visit for visit in outcome.visits if visit.arm == arm]
        said += [f"{arm}: {text}" for text in _of_arm(visits)]
    if outcome.experiment.stopping:
        said.append(
            "The experiment could stop early. The verdict allows for that; the p-values and intervals of the tables "
            "are those of a number of users fixed beforehand, and look surer than they are."
        )
    cold = len({visit.user for visit in outcome.visits if visit.cold})
    if cold:
        said.append(f"{cold} users have no history: learned arms and traits fall back to defaults for them.")
    return said


_DROPPED = frozenset({"duplicates", "unknown", "known"})


def _of_arm(visits: Sequence[Visit]) -> list[str]:
    n = len(visits)
    endings = Counter(visit.ending for visit in visits)
    left = sum(visit.pages <= 1 and not visit.clicks and visit.ending == "chose" for visit in visits)
    faulty = sum(not _DROPPED.isdisjoint(visit.faults) for visit in visits)
    short = sum("short" in visit.faults for visit in visits)
    texts = {
        "the recommender failed in {} of {} visits, which count as visits without clicks.": endings["arm_failed"],
        "nothing could be shown in {} of {} visits.": endings["nothing_shown"],
        "the user model gave no answer in {} of {} visits, which count with what was done before.":
            endings["policy_failed"],
        "{} of {} visits were ended by the step limit: the user model does not stop.": endings["step_limit"],
        "{} of {} visits ended on the first page without a click: the user model leaves at once.":
            left if left >= ALWAYS_EXITS * n else 0,
        "the list held repeated, unknown or already seen items in {} of {} visits; they were dropped.": faulty,
        "the ranking model repeated, made up or left out items in {} of {} visits; its order was mended.":
            sum(any(name.startswith("reranked_") for name in visit.faults) for visit in visits),
        "the ranking model gave no order in {} of {} visits, which show that of the arm it ranks for.":
            sum("rerank_failed" in visit.faults for visit in visits),
        "the list was shorter than asked for in {} of {} visits.": short,
        "{} of {} visits had decisions that were not possible twice in a row, and were clamped.":
            sum(visit.clamped > 0 for visit in visits),
    }  # fmt: skip
    return [text.format(count, n) for text, count in texts.items() if count]


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
