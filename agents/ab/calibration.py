"""Budgets of fatigue that make visitors click as often as wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from memagent.agents.ab.arms.port import Arm
from memagent.agents.ab.catalogue import Catalogue
from memagent.agents.ab.events import Visit
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.keys import key_of
from memagent.agents.ab.policy import Draw, Policy
from memagent.agents.ab.sandbox import Layout, Sandbox
from memagent.agents.ab.session import Place, run_visit
from memagent.agents.ab.shelf import Shelf, shelf
from memagent.agents.ab.users import User
from memagent.errors import InvalidInput

TARGETS: Mapping[int, float] = {1: 3.2, 2: 4.0, 3: 5.8}
"""Mean clicks of a visit by activity: the only figures of the paper that pin its fatigue down."""

_STEPS = 12  # of bisection: the budget is found to a part in 4,096 of where it was looked for
_LARGEST = 64  # times the budget to begin with: beyond it, something else ends the sessions


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The fitted fatigue, and the mean clicks of a visit that were wanted and are reached on the users it was fitted
    on.

    ``users`` counts them by activity; a level without users keeps its budget and has no entry.
    """

    fatigue: Fatigue
    targets: Mapping[int, float]
    reached: Mapping[int, float]
    users: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Visits of some users to one arm, to be repeated with other budgets; each user comes once for every seed."""

    catalogue: Catalogue
    arm: Arm
    users: Sequence[User]
    policy: Policy
    seeds: Sequence[int] = (0, 1, 2)
    layout: Layout = field(default_factory=Layout)

    def visits(self, fatigue: Fatigue, *, activity: int | None = None) -> list[Visit]:
        """All visits, or those of one activity level."""
        sandbox = Sandbox(self.catalogue, layout=self.layout, fatigue=fatigue)
        found = []
        for user, shown in self._shelves(activity):
            for seed in self.seeds:
                visitor = self.policy.visitor(user, Draw(seed=seed, key=[key_of(user.id)]))
                place = Place(user=user, arm=self.arm.name, visit=0, order=1)
                found.append(run_visit(sandbox, visitor, shown, place)[1])
        return found

    def _shelves(self, activity: int | None) -> list[tuple[User, Shelf]]:
        chosen = [user for user in self.users if activity in (None, user.traits.activity)]
        return [(user, shelf(self.arm, user.id, self.layout.shown, user.known, self.catalogue)) for user in chosen]


def calibrate(trial: Trial, *, targets: Mapping[int, float] = TARGETS, fatigue: Fatigue | None = None) -> Calibration:
    """Fit the budget of each activity level so that its users make ``targets`` clicks a visit on average.

    By bisection with the same random numbers at each step. Raises InvalidInput for a target that no budget reaches
    because the visitors leave, or the list ends, before.
    """
    fitted = fatigue or Fatigue()
    if not fitted.enabled:
        raise InvalidInput("fatigue that is switched off cannot be calibrated", hint="enable it")
    reached, users = {}, {}
    for level, target in sorted(targets.items()):
        users[level] = sum(user.traits.activity == level for user in trial.users)
        if users[level]:
            fitted = _with_budget(fitted, level, _budget(trial, fitted, level, target))
            reached[level] = _clicks(trial, fitted, level)
    there = {level: n for level, n in users.items() if n}
    return Calibration(fatigue=fitted, targets=dict(targets), reached=reached, users=there)


def folded(
    trial: Trial,
    *,
    folds: int,
    seeds: Sequence[int],
    targets: Mapping[int, float] = TARGETS,
    fatigue: Fatigue | None = None,
) -> Iterator[tuple[Calibration, list[Visit]]]:
    """For each part of the users: budgets fitted on the others, and the visits of the part with them and ``seeds``.

    Every user is counted once, with budgets that they had no part in: where few users have a level, surer than one half
    against the other. The parts have the same share of each level. Raises InvalidInput for fewer than 2 folds, and as
    :func:`calibrate` does.
    """
    if not 2 <= folds <= len(trial.users):
        raise InvalidInput(f"{folds} folds of {len(trial.users)} users", hint="from 2 to the number of users")
    by_level = sorted(trial.users, key=lambda user: user.traits.activity)
    for part in range(folds):
        others = [user for place, user in enumerate(by_level) if place % folds != part]
        fitted = calibrate(replace(trial, users=others), targets=targets, fatigue=fatigue)
        counted = replace(trial, users=by_level[part::folds], seeds=seeds)
        yield fitted, counted.visits(fitted.fatigue)


def mean_clicks(visits: Iterable[Visit]) -> dict[int, float]:
    """Mean clicks of a visit by activity: of a trial, or the targets that a real log sets."""
    clicks: dict[int, list[int]] = {}
    for visit in visits:
        clicks.setdefault(visit.activity, []).append(visit.clicks)
    return {level: sum(counts) / len(counts) for level, counts in sorted(clicks.items())}


def targets_of_log(clicks: Iterable[tuple[str, int]], users: Iterable[User]) -> dict[int, float]:
    """Targets from a real log: rows of a user and the clicks of one of their visits; other users are passed over.

    Raises InvalidInput when no row is of one of ``users``.
    """
    levels = {user.id: user.traits.activity for user in users}
    counts: dict[int, list[int]] = {}
    for user, number in clicks:
        if user in levels:
            counts.setdefault(levels[user], []).append(number)
    if not counts:
        raise InvalidInput("the log has no visit of these users", hint="use the same user ids")
    return {level: sum(numbers) / len(numbers) for level, numbers in sorted(counts.items())}


def _budget(trial: Trial, fatigue: Fatigue, level: int, target: float) -> float:
    low, high, begin = 0.0, fatigue.budget(level), fatigue.budget(level)
    while (most := _clicks(trial, _with_budget(fatigue, level, high), level)) < target:
        if high > begin * _LARGEST:
            raise InvalidInput(
                f"{target:g} clicks cannot be reached at activity {level}: visitors leave after {most:.2f}",
                hint="allow more pages, lower the target, or calibrate on a better arm",
            )
        low, high = high, high * 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _clicks(trial, _with_budget(fatigue, level, middle), level) < target:
            low = middle
        else:
            high = middle
    return high


def _clicks(trial: Trial, fatigue: Fatigue, level: int) -> float:
    return mean_clicks(trial.visits(fatigue, activity=level))[level]


def _with_budget(fatigue: Fatigue, level: int, budget: float) -> Fatigue:
    return replace(fatigue, budgets={**fatigue.budgets, level: budget})
