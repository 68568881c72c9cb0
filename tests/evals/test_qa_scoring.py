from __future__ import annotations

from datetime import UTC, datetime

import pytest
from eval_examples import question
from hypothesis import given
from hypothesis import strategies as st

from memagent.answering import Evidence
from memagent.evals.qa.scoring import chose_rightly, chosen_letters, evidence_shown, exact, normalised, token_f1


def test_texts_are_normalised_as_in_squad() -> None:
    assert normalised("The  U.S. Army's an-swer, a \tcat!") == ["us", "armys", "answer", "cat"]
    assert normalised("Än Öl and the") == ["än", "öl", "and"]


@pytest.mark.parametrize(
    ("said", "wanted", "f1", "same"),
    [
        ("In Porto.", "porto", 2 * (1 / 2) * 1 / (1 / 2 + 1), 0.0),
        ("the Porto", "Porto!", 1.0, 1.0),
        ("one two three four", "three four five", 2 * 2 / 7, 0.0),
        ("two two", "two", 2 / 3, 0.0),
        ("", "", 1.0, 1.0),
        ("the", "", 1.0, 1.0),
        ("", "x", 0.0, 0.0),
        ("x", "y", 0.0, 0.0),
    ],
)
def test_overlap_is_the_harmonic_mean_of_precision_and_recall(said: str, wanted: str, f1: float, same: float) -> None:
    assert token_f1(said, wanted) == pytest.approx(f1)
    assert exact(said, wanted) == same


@given(st.text(), st.text())
def test_overlap_is_symmetric_and_between_0_and_1(one: str, other: str) -> None:
    assert token_f1(one, other) == token_f1(other, one)
    assert 0 <= token_f1(one, other) <= 1
    assert token_f1(one, one) == 1


@pytest.mark.parametrize(
    ("reply", "letters", "right"),
    [
        ("(b)", {"b"}, 1.0),
        ("(B) because it is a good one", {"b"}, 1.0),
        ("b", {"b"}, 1.0),
        ("The answer is b.", {"b"}, 1.0),
        ("It is a better one: b", {"a", "b"}, 0.0),
        ("(a) or (b)", {"a", "b"}, 0.0),
        ("(c)", {"c"}, 0.0),
        ("(e)", set(), 0.0),
        ("I cannot tell", set(), 0.0),
        ("", set(), 0.0),
    ],
)
def test_option_letters_are_read_as_rf_mem_reads_them(reply: str, letters: set[str], right: float) -> None:
    assert chosen_letters(reply, 4) == letters
    assert chose_rightly(reply, "b", 4) == right


def memory(session: str, *sources: str, cut: bool = False) -> Evidence:
    when = datetime(2025, 1, 1, tzinfo=UTC)
    return Evidence(id=session, session_id=session, text="x", said_at=when, source_ids=sources, cut=cut)


def test_evidence_is_shown_when_all_of_it_is() -> None:
    asked = question("u", 0, gold_sessions=("a", "b"), gold_messages=())
    assert evidence_shown(asked, [memory("a"), memory("b"), memory("c")], "session") == 1
    assert evidence_shown(asked, [memory("a"), memory("c")], "session") == 0
    assert evidence_shown(asked, [memory("a"), memory("b", cut=True)], "session") == 0


def test_turns_are_compared_by_message_where_these_are_known() -> None:
    asked = question("u", 0, gold_sessions=("a",), gold_messages=("a:0", "a:3"))
    assert evidence_shown(asked, [memory("a", "a:0", "a:1")], "turn") == 0
    assert evidence_shown(asked, [memory("a", "a:0", "a:1"), memory("a", "a:3")], "turn") == 1
    assert evidence_shown(asked, [memory("a", "a:0")], "session") == 1


def test_one_of_several_alternatives_is_enough() -> None:
    asked = question("u", 0, gold_sessions=("a", "b", "c"), gold_alternatives=(("a", "b"), ("c",)))
    assert evidence_shown(asked, [memory("b"), memory("c")], "session") == 1
    assert evidence_shown(asked, [memory("a"), memory("b")], "session") == 0


def test_without_gold_evidence_nothing_is_said_about_it() -> None:
    assert evidence_shown(question("u", 0, no_gold="abstention", gold_sessions=()), [memory("a")], "session") is None
