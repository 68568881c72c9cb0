from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.agents.reason_rag.judging import read_score
from memagent.agents.reason_rag.rewards import Rollout, spre, step_reward
from memagent.agents.reason_rag.selection import Selection
from memagent.errors import InvalidInput, UnknownName
from memagent.overlap import answer_exact, answer_f1


@pytest.mark.parametrize(("steps", "power"), [(1, 1), (3, 3), (5, 5)], ids=["at once", "one search", "two searches"])
def test_a_right_answer_is_worth_alpha_to_the_number_of_its_steps(steps: int, power: int) -> None:
    assert step_reward("Paris", steps, ["Paris"], alpha=0.9) == pytest.approx(0.9**power)


def test_the_reward_is_the_mean_over_rollouts_of_f1_discounted_by_all_their_steps() -> None:
    rollouts = [
        Rollout(answer="Paris", steps=1),
        Rollout(answer="Paris, France", steps=3),  # F1 = 2 * 1 / (2 + 1)
        Rollout(answer="Rome", steps=5),
        Rollout(answer=None, steps=8),
    ]
    expected = (1 * 0.95 + (2 / 3) * 0.95**3 + 0 + 0) / 4
    assert spre(rollouts, ["Paris"], alpha=0.95) == pytest.approx(expected)
    assert spre(rollouts, ["Paris"]) == pytest.approx((0.9 + (2 / 3) * 0.9**3) / 4)


@pytest.mark.parametrize("alpha", [0.0, -0.5, 1.01, math.nan])
def test_alpha_lies_above_0_and_up_to_1(alpha: float) -> None:
    with pytest.raises(InvalidInput, match="alpha"):
        spre([Rollout(answer="x", steps=1)], ["x"], alpha=alpha)


def test_a_mean_needs_a_rollout() -> None:
    with pytest.raises(InvalidInput, match="no rollout"):
        spre([], ["x"])


@pytest.mark.parametrize(
    ("answer", "golds", "f1", "same"),
    [
        ("the Eiffel Tower", ["Eiffel tower"], 1.0, 1.0),
        ("J. K. Rowling", ["JK Rowling", "Joanne Rowling"], 0.4, 0.0),
        ("Joanne Rowling", ["J. K. Rowling", "Joanne Rowling"], 1.0, 1.0),
        ("3.5", ["35"], 1.0, 1.0),
        ("yes", ["no"], 0.0, 0.0),
        ("Yes.", ["yes"], 1.0, 1.0),
        ("yes indeed", ["yes"], 0.0, 0.0),
        ("yes indeed", ["yes", "yes indeed"], 1.0, 1.0),
        ("no answer", ["no"], 0.0, 0.0),
        ("noanswer", ["Paris"], 0.0, 0.0),
        ("Paris", [], 0.0, 0.0),
    ],
)
def test_an_answer_is_compared_with_the_best_of_its_golds(
    answer: str, golds: list[str], f1: float, same: float
) -> None:
    assert answer_f1(answer, golds) == pytest.approx(f1)
    assert answer_exact(answer, golds) == same


def test_ucb1_adds_a_bonus_for_few_visits() -> None:
    rule = Selection()
    assert rule.c == 1.414
    assert rule.score(0.5, 4, parent=10, siblings=9) == pytest.approx(0.5 + 1.414 * math.sqrt(math.log(10) / 4))
    assert rule.score(0.0, 0, parent=10, siblings=9) == math.inf
    assert rule.score(0.5, 1, parent=1, siblings=1) == 0.5


def test_the_papers_rule_grows_with_the_siblings_visits() -> None:
    rule = Selection(rule="puct", c=2.0)
    assert rule.score(0.5, 4, parent=10, siblings=9) == pytest.approx(0.5 + 2 * 3 / 5)
    assert rule.score(0.5, 0, parent=10, siblings=9) == pytest.approx(0.5 + 2 * 3)


def test_an_unknown_rule_and_a_senseless_constant_are_refused() -> None:
    with pytest.raises(UnknownName, match="ucb1"):
        Selection(rule="best")  # type: ignore[arg-type]
    for c in (-1.0, math.nan, math.inf):
        with pytest.raises(InvalidInput, match="c is"):
            Selection(c=c)


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Good.\nScore: 85", 0.85),
        ("Score: 85.", 0.85),
        ("**Score:** 85", 0.85),
        ("Score: 15/100", 0.15),
        ("Score: 8/10", 0.8),
        ("The score is 87.5 out of 100", 0.875),
        ("Score: 87,5", 0.875),
        ("Score: 70%", 0.7),
        ("I would give 40. No: Score: 60", 0.6),
        ("Score: 10 at first.\nScore: 20", 0.2),
        ("3 steps, of which 2 are wrong: 30", 0.3),
        ("It deserves 4 out of 5", 0.8),
        ("Score: 250", 1.0),
        ("Score: -5", 0.0),
        ("Score: 5/0", None),
        ("no idea", None),
        ("", None),
        ("Score: 1e999", 0.01),
        ("Score: 0.85", 0.85),
        ("Score: 1.0", 1.0),
        ("Score: 1", 0.01),
        ("Score: <85>", 0.85),
        ("Score: **8** (out of 10)", 0.8),
        ("Score: 85\n\nOf 3 steps one was needless.", 0.85),
        ("The film is of 1987", None),
        ("He was born in the season 2012/13", None),
        ("There were 3 steps.\nThey lead nowhere", None),
    ],
)
def test_the_judges_score_is_read_and_clamped(reply: str, value: float | None) -> None:
    assert read_score(reply) == (None if value is None else pytest.approx(value))


@given(st.text())
def test_any_reply_of_the_judge_is_a_value_or_none(reply: str) -> None:
    value = read_score(f"Score: {reply}")
    assert value is None or 0 <= value <= 1
