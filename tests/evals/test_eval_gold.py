from __future__ import annotations

from dataclasses import replace

import pytest
from eval_examples import dataset, question

from memagent.errors import InvalidInput, UnknownName
from memagent.evals.gold import gold_units, score_question, scored_questions, turn_names, unit_name


def test_questions_without_gold_are_left_out_and_counted_by_reason() -> None:
    data = replace(
        dataset(),
        questions=(
            question("user0", 0),
            question("user0", 1, no_gold="abstention", gold_sessions=()),
            question("user0", 2, no_gold="abstention", gold_sessions=()),
            question("user0", 3, gold_messages=()),
        ),
        left_out={"category not chosen": 7},
    )
    kept, left_out = scored_questions(data, "session")
    assert [item.id for item in kept] == ["user0-q0", "user0-q3"]
    assert left_out == {"category not chosen": 7, "abstention": 2}
    kept, left_out = scored_questions(data, "turn")
    assert [item.id for item in kept] == ["user0-q0"]
    assert left_out == {"category not chosen": 7, "abstention": 2, "no evidence by turn": 1}


def test_a_limit_keeps_the_first_questions_and_counts_the_rest() -> None:
    kept, left_out = scored_questions(dataset(), "session", limit=3)
    assert len(kept) == 3
    assert left_out == {"beyond the limit": 7}


def test_nothing_to_score_is_refused_with_the_reasons() -> None:
    data = replace(dataset(), questions=(question("user0", 0, no_gold="subjective"),))
    with pytest.raises(InvalidInput, match="subjective: 1"):
        scored_questions(data, "session")


def test_a_granularity_without_gold_is_refused_with_those_that_have_it() -> None:
    with pytest.raises(UnknownName, match="session, turn"):
        scored_questions(dataset(), "summary")


def test_messages_of_one_turn_are_one_gold_unit() -> None:
    turns = [
        {"session_id": "s", "source_ids": ["m0", "m1"]},
        {"session_id": "s", "source_ids": ["m2", "m3"]},
    ]
    names = turn_names(turns)
    assert names == {"m0": "m0", "m1": "m0", "m2": "m2", "m3": "m2"}
    item = question("user0", 0, gold_messages=("m0", "m1", "m3"))
    assert gold_units(item, "turn", names) == ("m0", "m2")
    assert gold_units(item, "session", names) == ("user0-s0",)
    assert unit_name(turns[1], "turn") == "m2"
    assert unit_name(turns[1], "session") == "s"


def test_alternatives_count_for_sessions() -> None:
    item = question("user0", 0, gold_sessions=("a", "b", "c"), gold_alternatives=(("a", "b"), ("c",)))
    assert score_question(item, ["b", "c"], item.gold_sessions, "session")["recall_all@3"] == 1.0
    plain = replace(item, gold_alternatives=None)
    assert score_question(plain, ["b", "c"], item.gold_sessions, "session")["recall_all@3"] == 0.0
