from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from ab_examples import CATALOGUE, IDS, FixedArm, people

from memagent.agents.ab.arms.reversed_pages import ReversedPages
from memagent.agents.ab.events import Event
from memagent.agents.ab.experiment import Experiment
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.metrics import table
from memagent.agents.ab.pages import Action, DetailPage, HomePage, Kind
from memagent.agents.ab.places import PlaceEffect, order_effects, place_effects, reversed_verdicts, warnings_of
from memagent.agents.ab.policy import Decision, Draw, Interview, Observation, Summary
from memagent.agents.ab.sandbox import Layout
from memagent.agents.ab.users import User
from memagent.errors import InvalidInput


@dataclass
class Opening:
    """Opens, on every page, some places (``places``) or some items (``items``), and then turns the page."""

    places: Sequence[int] = ()
    items: Sequence[str] = ()
    name: str = "opening"
    fingerprint: str = "opening"

    def visitor(self, user: User, draw: Draw) -> Opening:
        return self

    def decide(self, observation: Observation) -> Decision:
        page = observation.page
        if isinstance(page, DetailPage):
            return Decision(action=Action(kind=Kind.BACK))
        for entry in page.entries:
            if not entry.opened and (entry.position in self.places or entry.item.id in self.items):
                return Decision(action=Action(kind=Kind.CLICK, position=entry.position))
        return Decision(action=Action(kind=Kind.NEXT if Kind.NEXT in page.actions else Kind.EXIT))

    def interview(self, summary: Summary) -> Interview:
        return Interview(satisfaction=5, returns=False)


def trial(policy: object, arms: Sequence[FixedArm], *, users: int = 24, turned: bool = False) -> Experiment:
    return Experiment(
        catalogue=CATALOGUE,
        arms=[ReversedPages(arm, 4) if turned else arm for arm in arms],
        users=people(users),
        policy=policy,  # type: ignore[arg-type]
        fatigue=Fatigue(enabled=False),
        layout=Layout(page_size=4, max_pages=2),
    )


def events(experiment: Experiment) -> list[Event]:
    numbered = enumerate(experiment.in_order())
    return [event for number, user in numbered for event in experiment.sessions(user, number).events]


def effect(policy: object) -> PlaceEffect:
    arm = FixedArm(IDS[:8], "a")
    sides = [events(trial(policy, [arm], turned=turned)) for turned in (False, True)]
    return place_effects(*sides)[0]


def test_a_user_who_opens_the_first_place_whatever_is_there_is_found_out() -> None:
    biased = Opening(places=[1])
    arm = FixedArm(IDS[:8], "a")
    rates = []
    for turned in (False, True):
        visits = trial(biased, [arm], turned=turned).run().visits
        rates.append(table(visits, arms=["a"], metrics=["ctr"], possible=1)[1].mean())
    assert rates[0] == rates[1]  # the rate of clicks alone shows nothing
    found = effect(biased)
    assert (found.upper, found.lower) == (0.5, 0.0)
    assert found.found
    assert found.difference.low > 0
    assert "nearer the top" in warnings_of([found], {}, {})[0]


def test_a_user_who_opens_items_wherever_they_stand_is_not() -> None:
    found = effect(Opening(items=["i0", "i5"]))
    assert (found.upper, found.lower) == (0.25, 0.25)
    assert not found.found
    assert warnings_of([found], {"b": "better"}, {"b": "better"}) == []


def test_a_verdict_that_reversed_pages_change_is_said() -> None:
    first = [FixedArm(["i0", "i1", "i2", "i3"], "a"), FixedArm(["i3", "i1", "i2", "i0"], "b")]

    @dataclass
    class Mixed(Opening):
        """Opens film 0 if it stands first."""

        def decide(self, observation: Observation) -> Decision:
            page = observation.page
            if isinstance(page, HomePage) and page.entries[0].item.id == "i0" and not page.entries[0].opened:
                return Decision(action=Action(kind=Kind.CLICK, position=1))
            return super().decide(observation)

    before, after = (
        reversed_verdicts(trial(Mixed(), first, turned=turned).run(), primary="ctr") for turned in (False, True)
    )
    assert (before, after) == ({"b": "worse"}, {"b": "better"})
    assert warnings_of([], before, after) == [
        "b: with reversed pages the verdict is better, not worse: it depends on places."
    ]


def test_logs_of_different_runs_are_refused() -> None:
    one = events(trial(Opening(), [FixedArm(IDS[:4], "a")], users=3))
    with pytest.raises(InvalidInput, match="stands where"):
        place_effects(one, [replace(event, user=f"{event.user}!") for event in one])


@dataclass
class Tiring:
    """Opens fewer items in every further arm of the same user: an effect of order, whatever the arm shows."""

    met: Counter[str] = field(default_factory=Counter)
    name: str = "tiring"
    fingerprint: str = "tiring"

    def visitor(self, user: User, draw: Draw) -> Opening:
        self.met[user.id] += 1
        return Opening(places=range(1, 5 - self.met[user.id]))


def test_an_effect_of_order_falls_on_all_arms_alike_and_is_measured() -> None:
    arms = [FixedArm(IDS[:4], name) for name in "abc"]
    run = trial(Tiring(), arms, users=24)
    visits = run.run().visits
    _, values = table(visits, arms=list("abc"), metrics=["clicks"], possible=1)
    assert values[:, :, 0].mean(axis=0).tolist() == [2.0, 2.0, 2.0]  # 3, 2 or 1 clicks, by the turn of the arm
    found = order_effects(visits, arms=list("abc"), metric="clicks")
    assert [d.difference for d in found] == pytest.approx([-1.0, -2.0])
    assert all(d.p_holm < 0.01 for d in found)
    fixed = trial(Tiring(), arms, users=24)
    alone = [fixed.sessions(user, 0).visits for user in fixed.users]  # turn 0 for everybody: not balanced
    _, unbalanced = table([v for vs in alone for v in vs], arms=list("abc"), metrics=["clicks"], possible=1)
    assert unbalanced[:, :, 0].mean(axis=0).tolist() == [3.0, 2.0, 1.0]
