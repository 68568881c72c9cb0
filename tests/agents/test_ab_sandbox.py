from __future__ import annotations

import math
from typing import Any

import pytest
from ab_examples import CATALOGUE, IDS, act, click, rate
from hypothesis import given
from hypothesis import strategies as st

from memagent.agents.ab.fatigue import COSTS, Fatigue
from memagent.agents.ab.pages import Action, DetailPage, HomePage, Kind, clamped, problem_with
from memagent.agents.ab.sandbox import Ending, Layout, Sandbox
from memagent.errors import InvalidInput

RICH = {"items": IDS, "budget": 1e6}
ACTIONS = st.builds(
    Action,
    kind=st.sampled_from(Kind),
    position=st.none() | st.integers(-2, 9),
    rating=st.none() | st.integers(-2, 9),
    interest=st.floats(allow_nan=True, allow_infinity=True),
)


def sandbox(**layout: int) -> Sandbox:
    return Sandbox(CATALOGUE, layout=Layout(**layout))


def test_a_visit_through_both_pages() -> None:
    site = sandbox(page_size=5)
    page, info = site.reset(options=RICH)
    assert (page.number, page.of, [entry.item.id for entry in page.entries]) == (1, 3, IDS[:5])
    assert [entry.rank for entry in info["new"]] == [1, 2, 3, 4, 5]
    detail, reward, terminated, truncated, _ = site.step(click(2))
    assert isinstance(detail, DetailPage)
    assert (detail.entry.item.id, reward, terminated, truncated) == ("i1", 1.0, False, False)
    assert detail.actions == {Kind.WATCH, Kind.BACK}
    watched = site.step(act(Kind.WATCH))[0]
    assert watched.actions == {Kind.RATE, Kind.BACK}
    assert site.step(rate(4))[0].actions == {Kind.BACK}
    home = site.step(act(Kind.BACK))[0]
    assert isinstance(home, HomePage)
    assert [entry.opened for entry in home.entries] == [False, True, False, False, False]
    site.step(act(Kind.NEXT))
    back, *_, info = site.step(act(Kind.PREVIOUS))
    assert (back.number, info["new"]) == (1, ())
    *_, terminated, _, info = site.step(act(Kind.EXIT))
    assert (terminated, info["ending"]) == (True, Ending.CHOSE)
    with pytest.raises(InvalidInput, match="over"):
        site.step(act(Kind.EXIT))


def test_an_exit_on_the_last_page_is_the_end_of_the_list() -> None:
    site = sandbox(page_size=5, max_pages=2)
    page, _ = site.reset(options=RICH)
    assert page.of == 2
    site.step(act(Kind.NEXT))
    assert Kind.NEXT not in site.page.actions
    assert site.step(act(Kind.EXIT))[4]["ending"] == Ending.END_OF_LIST


def test_a_visitor_leaves_when_the_budget_is_used_up() -> None:
    site = Sandbox(CATALOGUE, fatigue=Fatigue(by_interest=False))
    site.reset(options={"items": IDS, "budget": 2.5})
    assert site.step(click(1))[4]["energy"] == 0.5
    *_, terminated, truncated, info = site.step(act(Kind.BACK))
    assert (terminated, truncated, info["ending"], info["energy"]) == (True, False, Ending.FATIGUE, 0.0)


def test_a_visitor_who_never_stops_is_stopped() -> None:
    site = Sandbox(CATALOGUE, fatigue=Fatigue(enabled=False), layout=Layout(max_steps=3))
    site.reset(options={"items": IDS})
    for kind in (Kind.NEXT, Kind.PREVIOUS):
        site.step(act(kind))
    *_, terminated, truncated, info = site.step(act(Kind.NEXT))
    assert (terminated, truncated, info["ending"]) == (False, True, Ending.STEP_LIMIT)


def test_cost_falls_in_a_line_from_the_lowest_interest_to_the_highest() -> None:
    tired = Fatigue(phi_min=0.5, phi_max=1.5)
    assert [tired.cost(Kind.CLICK, interest) for interest in (1, 2, 3, 4, 5)] == [3.0, 2.5, 2.0, 1.5, 1.0]
    assert Fatigue(by_interest=False).cost(Kind.WATCH, 1) == 3.0
    assert Fatigue(enabled=False).cost(Kind.WATCH, 1) == 0.0


@pytest.mark.parametrize(
    "settings",
    [
        {"phi_min": 2.0},
        {"phi_max": math.inf},
        {"budgets": {1: 1.0}},
        {"budgets": {1: 1, 2: 1, 3: 0}},
        {"budgets": {1: 1, 2: 1, 3: math.nan}},
        {"costs": {**COSTS, Kind.NEXT: -1}},
        {"costs": {**COSTS, Kind.NEXT: math.inf}},
    ],
)
def test_fatigue_that_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Fatigue(**settings)


@pytest.mark.parametrize("items", [[], ["i1", "i1"], ["nobody"]])
def test_a_list_that_cannot_be_shown_is_refused(items: list[str]) -> None:
    with pytest.raises(InvalidInput):
        sandbox().reset(options={"items": items})


@given(st.lists(ACTIONS, max_size=12))
def test_whatever_is_decided_the_nearest_possible_action_can_be_taken(actions: list[Action]) -> None:
    site = sandbox(page_size=5)
    page: Any = site.reset(options=RICH)[0]
    for action in actions:
        problem = problem_with(action, page)
        taken = clamped(action, page)
        assert problem_with(taken, page) == ""
        assert problem or (taken.kind, taken.position) == (action.kind, action.position)
        if problem:
            with pytest.raises(InvalidInput):
                site.step(action)
        page, _, terminated, _, info = site.step(taken)
        assert math.isfinite(info["energy"])
        if terminated:
            return


def test_a_rating_out_of_range_is_brought_into_it() -> None:
    site = sandbox()
    site.reset(options=RICH)
    for action in (click(1), act(Kind.WATCH)):
        site.step(action)
    assert clamped(rate(9, interest=math.nan), site.page) == Action(kind=Kind.RATE, rating=5, interest=3.0)
    assert clamped(rate(None), site.page).rating == 3
    assert clamped(act(Kind.EXIT), site.page).kind is Kind.BACK
