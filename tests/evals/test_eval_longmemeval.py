from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from shared_data import shared_path

from memagent.errors import DataError
from memagent.evals.datasets import load_dataset
from memagent.evals.datasets.longmemeval import USER_EVIDENCE, load_longmemeval


def record(**changes: Any) -> dict[str, Any]:
    return {
        "question_id": "q1",
        "question_type": "multi-session",
        "question": "How many?",
        "answer": 3,
        "question_date": "2023/05/30 (Tue) 20:16",
        "haystack_session_ids": ["noise", "answer_1", "noise", "answer_2"],
        "haystack_dates": ["2023/05/20 (Sat) 02:21"] * 4,
        "haystack_sessions": [
            [{"role": "user", "content": "hello"}],
            [{"role": "user", "content": "one", "has_answer": True}, {"role": "assistant", "content": "fine"}],
            [{"role": "user", "content": "hello again"}],
            [{"role": "user", "content": " "}, {"role": "assistant", "content": "two", "has_answer": True}],
        ],
        "answer_session_ids": ["answer_1", "answer_2"],
        **changes,
    }


def write(folder: Path, *records: dict[str, Any]) -> Path:
    path = folder / "lme.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    return path


def test_a_question_is_a_user_with_a_history_of_its_own(tmp_path: Path) -> None:
    data = load_longmemeval([write(tmp_path, record())])
    (history,), (question,) = data.histories, data.questions
    assert history.user_id == question.user_id == "q1"
    assert question.answer == "3"
    assert question.date is not None
    assert question.date.isoformat() == "2023-05-30T20:16:00+00:00"
    assert question.gold_sessions == ("answer_1", "answer_2")
    assert question.gold_messages == ("answer_1:0", "answer_2:1")
    assert question.populations == (USER_EVIDENCE,)
    assert not question.abstention
    assert [message.id for message in history.sessions[1].messages] == ["answer_1:0", "answer_1:1"]
    assert data.variant == "both_roles"


def test_a_session_that_occurs_twice_gets_two_names(tmp_path: Path) -> None:
    (history,) = load_longmemeval([write(tmp_path, record())]).histories
    assert [session.id for session in history.sessions] == ["noise", "answer_1", "noise#2", "answer_2"]


def test_blank_messages_are_not_kept(tmp_path: Path) -> None:
    (history,) = load_longmemeval([write(tmp_path, record())]).histories
    assert [message.id for message in history.sessions[3].messages] == ["answer_2:1"]


def test_user_turns_only_drops_replies_and_sessions_without_user_text(tmp_path: Path) -> None:
    data = load_longmemeval([write(tmp_path, record())], text="user_turns_only")
    (history,), (question,) = data.histories, data.questions
    assert {message.role for session in history.sessions for message in session.messages} == {"user"}
    assert [session.id for session in history.sessions] == ["noise", "answer_1", "noise#2"]
    assert question.no_gold == "an evidence session has no text in this form"
    assert question.gold_sessions == ()


def test_evidence_of_the_assistant_only_is_outside_the_user_population(tmp_path: Path) -> None:
    path = write(tmp_path, record(answer_session_ids=["answer_2"]))
    (question,) = load_longmemeval([path]).questions
    assert question.populations == ()
    assert question.gold_messages == ("answer_2:1",)


def test_abstention_questions_are_kept_without_gold(tmp_path: Path) -> None:
    (question,) = load_longmemeval([write(tmp_path, record(question_id="q1_abs"))]).questions
    assert question.abstention
    assert (question.gold_sessions, question.no_gold) == ((), "abstention")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"question": None}, "record 1, field question: expected a string, found null"),
        ({"haystack_dates": []}, "record 1, field haystack_sessions: 4 sessions, but 4 session ids and 0 dates"),
        ({"haystack_sessions": [[], [], [], [{"role": "user"}]]}, r"haystack_sessions\[3\]\[0\].content: is missing"),
        ({"answer_session_ids": ["other"]}, r"answer_session_ids\[0\]: 'other' is not in haystack_session_ids"),
        ({"question_date": "May"}, "field question_date: 'May' is not a time like"),
        ({"question_id": "q1"}, "field question_id: 'q1' occurs twice"),
    ],
)
def test_the_wrong_schema_is_named(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    path = write(tmp_path, record(), record(**{"question_id": "q2", **changes}))
    with pytest.raises(DataError, match=f"lme.json, .*{says}"):
        load_longmemeval([path])


@pytest.mark.data
def test_the_development_file() -> None:
    data = load_dataset("longmemeval", [shared_path("longmemeval", "longmemeval_s_dev.json.gz")])
    assert len(data.questions) == len(data.histories) == 31
    scored = [question for question in data.questions if not question.no_gold]
    assert len(scored) == 27
    assert sum(USER_EVIDENCE in question.populations for question in scored) == 26
    assert Counter(question.no_gold for question in data.questions if question.no_gold) == {"abstention": 4}
    assert all(39 <= len(history.sessions) <= 54 for history in data.histories)
