"""How much the place on a page decides, and how much the order of the arms: checks of a run, item by item.

The rate of clicks with reversed pages says little about places by itself: a visitor who always opens the first item,
whatever it is, clicks as often. Here the same item is followed from its place in one run to its place in the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from memagent.agents.ab.metrics import table
from memagent.agents.ab.pages import Kind
from memagent.agents.ab.statistics import ALPHA, Difference, compare, sign_flip_test
from memagent.errors import InvalidInput
from memagent.intervals import Interval, bootstrap

if TYPE_CHECKING:
    from memagent.agents.ab.events import Event, Visit
    from memagent.agents.ab.experiment import Outcome

_Shown: TypeAlias = dict[tuple[str, int, str], tuple[int, bool]]  # arm, visit, item: place, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceEffect:
    """How often items of an arm are opened where they stand nearer the top of their page, and nearer its end.

    ``difference`` is the mean over ``users`` with its bootstrap interval, ``p`` of the test that exchanges the two
    places within users.
    """

    arm: str
    users: int
    upper: float
    lower: float
    difference: Interval
    p: float

    @property
    def found(self) -> bool:
        """Places decide: the difference is significant."""
        return self.p <= ALPHA


def place_effects(before: Iterable[Event], after: Iterable[Event], *, seed: int = 0) -> list[PlaceEffect]:
    """The effect for each arm, from the events of a run and of the same run with reversed pages.

    Only items that were seen in both runs, at different places, count. Memory holds the events of one user. Raises
    InvalidInput for logs of different users.
    """
    sides: dict[str, list[tuple[float, float]]] = {}
    for first, second in _users(before, after):
        rates: dict[str, list[tuple[bool, bool]]] = {}
        for key, (place, opened) in first.items():
            other = second.get(key)
            if other is not None and other[0] != place:
                pair = (opened, other[1]) if place < other[0] else (other[1], opened)
                rates.setdefault(key[0], []).append(pair)
        for arm, pairs in rates.items():
            upper, lower = np.mean(pairs, axis=0).tolist()
            sides.setdefault(arm, []).append((upper, lower))
    return [_effect(arm, np.asarray(values), seed) for arm, values in sides.items()]


def order_effects(visits: Iterable[Visit], *, arms: Sequence[str], metric: str, possible: int = 1) -> list[Difference]:
    """What being the second, third ... arm of a user does to a metric, against being the first.

    Arms go round from user to user, so that such an effect falls on all arms alike: it adds noise and no bias. For
    each user the metric is taken less its arm's mean, so that arms do not stand in for places.
    """
    rows = list(visits)
    names, values = table(rows, arms=arms, metrics=[metric], possible=possible)
    centred = values[:, :, 0] - np.nanmean(values[:, :, 0], axis=0)
    place = {name: number for number, name in enumerate(names)}
    column = {arm: number for number, arm in enumerate(arms)}
    by_order = np.full(centred.shape, np.nan)
    for visit in rows:
        row = place[visit.user]
        by_order[row, visit.order - 1] = centred[row, column[visit.arm]]
    labels = [str(number) for number in range(1, len(arms) + 1)]
    return compare(by_order[:, :, None], arms=labels, metrics=[metric], primary=metric)


def reversed_verdicts(turned: Outcome, *, primary: str, alpha: float = ALPHA) -> dict[str, str]:
    """What each arm would be called against the first (better, worse, open) in the run with reversed pages."""
    _, values = table(turned.visits, arms=turned.arms, metrics=[primary], possible=turned.experiment.visits)
    found = compare(values, arms=turned.arms, metrics=[primary], primary=primary, alpha=alpha)
    return {d.arm: "open" if not d.p_holm <= alpha else "better" if d.difference > 0 else "worse" for d in found}


def warnings_of(effects: Iterable[PlaceEffect], before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What a reader must know: arms whose items gain by their place, and verdicts that reversed pages change."""
    said = [
        f"{effect.arm}: the same item is opened in {effect.upper:.1%} of visits where it stands nearer the top of its "
        f"page and in {effect.lower:.1%} nearer its end: the simulated users prefer places, not only items."
        for effect in effects
        if effect.found
    ]
    said += [
        f"{arm}: with reversed pages the verdict is {after[arm]}, not {finding}: it depends on places."
        for arm, finding in before.items()
        if arm in after and after[arm] != finding
    ]
    return said


def _effect(arm: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], seed: int) -> PlaceEffect:
    each = values[:, 0] - values[:, 1]
    upper, lower = values.mean(axis=0).tolist()
    return PlaceEffect(
        arm=arm,
        users=len(each),
        upper=upper,
        lower=lower,
        difference=bootstrap(each[:, None], seed=seed)[0],
        p=sign_flip_test(each, seed=seed),
    )


def _users(before: Iterable[Event], after: Iterable[Event]) -> Iterator[tuple[_Shown, _Shown]]:
    pairs = (groupby(events, key=lambda event: event.user) for events in (before, after))
    for (name, first), (other, second) in zip(*pairs, strict=False):  # one of the runs may have stopped early
        if name != other:
            raise InvalidInput(f"user {name!r} stands where the other log has {other!r}", hint="give logs of one run")
        yield _shown(first), _shown(second)


def _shown(events: Iterable[Event]) -> _Shown:
    found: _Shown = {}
    for event in events:
        if event.item is None or event.position is None:
            continue
        key = (event.arm, event.visit, event.item)
        if event.event == "impression":
            found[key] = (event.position, False)
        elif event.event == Kind.CLICK and key in found:
            found[key] = (event.position, True)
    return found
