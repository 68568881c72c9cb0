"""What comes next, and when it ends: the published budgets by hand."""

from __future__ import annotations

import pytest

from memagent.agents.reason_rag.state import Action, State, Step
from memagent.agents.reason_rag.transitions import (
    INFERENCE,
    INFERENCE_AS_PUBLISHED,
    TREE_SEARCH,
    TREE_SEARCH_AS_PUBLISHED,
    Budget,
    advanced,
    next_action,
    stopped_text,
)
from memagent.errors import InvalidInput

START = State(question="Who?")


def step(action: Action, number: int = 0) -> Step:
    """An output that never answers by itself."""
    if action == "ground":
        return Step(action=action, kind="evidence", text="e", content=f"fact {number}")
    if action == "force":
        return Step(action=action, kind="answer", text="a", content="Ann")
    return Step(action=action, kind="query", text="q", content=f"query {number}")


def actions(budget: Budget, made: State = START) -> list[Action]:
    """The prompts of a trajectory in which the model always asks for more."""
    found: list[Action] = []
    while (action := next_action(made, budget)) is not None:
        found.append(action)
        made = advanced(made, step(action, len(found)), budget)
    return found


def test_inference_makes_nine_calls_at_most_with_four_searches_and_a_forced_answer_last() -> None:
    made = actions(INFERENCE)
    assert made == ["begin", "ground", "reason", "ground", "reason", "ground", "reason", "ground", "force"]
    assert actions(INFERENCE_AS_PUBLISHED) == made


def test_tree_search_makes_eight_calls_at_most_with_three_searches() -> None:
    made = actions(TREE_SEARCH)
    assert made == ["begin", "ground", "reason", "ground", "reason", "ground", "reason", "force"]


@pytest.mark.parametrize("rounds", range(9))
def test_a_budget_of_rounds_is_the_number_of_searches(rounds: int) -> None:
    made = actions(Budget.of_rounds(rounds))
    assert made.count("ground") == rounds
    assert made[-1] == "force"
    assert len(made) == 2 * rounds + 1


def test_an_answer_ends_it() -> None:
    answered = advanced(START, Step(action="begin", kind="answer", text="a", content="Ann"))
    assert (answered.stopped, answered.stage, answered.answer) == ("answered", "terminal", "Ann")
    assert next_action(answered) is None
    assert stopped_text(answered) == "It gave an answer."


def test_as_published_an_answer_at_the_last_step_of_tree_search_is_followed_by_a_forced_one() -> None:
    made = START
    for action in ("begin", "ground", "reason", "ground", "reason", "ground"):
        made = advanced(made, step(action, len(made.steps)), TREE_SEARCH_AS_PUBLISHED)
    answer = Step(action="reason", kind="answer", text="a", content="Ann")
    assert advanced(made, answer, TREE_SEARCH).stopped == "answered"
    published = advanced(made, answer, TREE_SEARCH_AS_PUBLISHED)
    assert published.stopped is None
    assert next_action(published, TREE_SEARCH_AS_PUBLISHED) == "force"


def test_evidence_leads_back_to_reasoning_even_if_there_is_none() -> None:
    made = advanced(START, step("begin"))
    assert (made.stage, next_action(made)) == ("grounding", "ground")
    made = advanced(made, Step(action="ground", kind="evidence", text="None", content=None))
    assert (made.stage, next_action(made)) == ("reasoning", "reason")


def test_an_output_of_no_known_form_forces_an_answer() -> None:
    made = advanced(START, Step(action="begin", kind="unknown", text="hm"))
    assert next_action(made) == "force"
    made = advanced(made, step("force"))
    assert made.stopped == "unknown-output"
    assert "no query, evidence or answer" in stopped_text(made)


def test_a_query_that_comes_back_twice_forces_an_answer_unless_the_published_rule_is_wanted() -> None:
    made = START
    for place, text in enumerate(["who?", "Who", " WHO? "]):
        query = Step(action="reason" if place else "begin", kind="query", text=text, content=text)
        made = advanced(made, query)
        if place < 2:
            assert next_action(made) == "ground"
            made = advanced(made, Step(action="ground", kind="evidence", text="None"))
    assert next_action(made) == "force"
    assert next_action(made, INFERENCE_AS_PUBLISHED) == "ground"
    assert advanced(made, step("force")).stopped == "repeated-query"


def test_without_a_readable_forced_answer_there_is_none_and_it_says_so() -> None:
    made = advanced(START, Step(action="force", kind="unknown", text="hm"), Budget(max_iter=0))
    assert (made.answer, made.stopped) == (None, "budget")
    assert stopped_text(made).endswith("None could be read.")


@pytest.mark.parametrize("bad", [-1, 1.5, True, "8"])
def test_a_budget_that_is_no_number_of_steps_is_refused(bad: object) -> None:
    with pytest.raises(InvalidInput, match="max_iter"):
        Budget(max_iter=bad)  # type: ignore[arg-type]
