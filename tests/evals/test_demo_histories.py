"""The bundled histories are what they say: whole, consistent, and hard enough to tell retrievers apart."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest

from memagent.evals.datasets.cases import Dataset, History
from memagent.evals.datasets.demo import load_demo
from memagent.evals.demo.people import people
from memagent.evals.demo.walkthrough import AS_OF, CONTEXT, FILTER, WORKED
from memagent.lexical import detect_language

DEMO = load_demo()
KINDS = {
    "single-session-user",
    "single-session-assistant",
    "single-session-preference",
    "multi-session",
    "knowledge-update",
    "temporal-reasoning",
}

histories = pytest.mark.parametrize("history", DEMO.histories, ids=lambda history: history.user_id)


def by_user(demo: Dataset, user_id: str) -> list[str]:
    return [question.id for question in demo.questions if question.user_id == user_id]


def test_there_are_three_users_with_sixty_questions_and_more() -> None:
    assert len(DEMO.histories) >= 3
    assert len(DEMO.questions) >= 60
    assert not DEMO.left_out


@histories
def test_a_user_has_twenty_sessions_over_most_of_a_year(history: History) -> None:
    dates = [session.date for session in history.sessions if session.date]
    assert len(dates) == len(history.sessions) >= 20
    assert timedelta(days=330) <= dates[-1] - dates[0] <= timedelta(days=366)
    assert all(earlier < later for earlier, later in pairwise(dates))


@histories
def test_user_and_assistant_take_turns(history: History) -> None:
    for session in history.sessions:
        roles = [message.role for message in session.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2), session.id
        assert all(message.content.strip() == message.content for message in session.messages)


def test_every_id_occurs_once() -> None:
    sessions = [session.id for history in DEMO.histories for session in history.sessions]
    for ids in (sessions, [question.id for question in DEMO.questions], [h.user_id for h in DEMO.histories]):
        assert max(Counter(ids).values()) == 1


@histories
def test_evidence_is_in_the_users_own_sessions_and_said_before_the_question(history: History) -> None:
    dates = {session.id: session.date for session in history.sessions}
    for question in DEMO.questions:
        if question.user_id != history.user_id:
            continue
        assert bool(question.gold_sessions) != question.abstention, question.id
        assert question.date is not None
        for session in question.gold_sessions:
            said = dates[session]
            assert said is not None
            assert said < question.date, question.id


def test_the_kinds_are_those_of_longmemeval_and_each_has_some_questions() -> None:
    counts = Counter(question.type for question in DEMO.questions if not question.abstention)
    assert set(counts) == KINDS
    assert min(counts.values()) >= 5
    assert sum(question.abstention for question in DEMO.questions) >= 5


@histories
def test_every_user_is_asked_questions_with_and_without_an_answer(history: History) -> None:
    ids = by_user(DEMO, history.user_id)
    assert len(ids) >= 20
    assert any(question_id.endswith("_abs") for question_id in ids)


def test_changes_and_sums_need_several_sessions() -> None:
    for question in DEMO.questions:
        if question.type in {"multi-session", "knowledge-update"} and not question.abstention:
            assert len(question.gold_sessions) >= 2, question.id


@histories
def test_a_user_writes_the_language_given(history: History) -> None:
    languages = {"English": "en", "Spanish": "es"}
    text = "\n".join(message.content for session in history.sessions for message in session.messages)
    assert detect_language(text) == languages[people()[history.user_id].language]


def test_two_languages_are_spoken() -> None:
    assert {person.language for person in people().values()} == {"English", "Spanish"}
    assert set(people()) == {history.user_id for history in DEMO.histories}


def test_what_the_walkthrough_shows_is_there() -> None:
    ids = {question.id for question in DEMO.questions}
    users = {history.user_id for history in DEMO.histories}
    assert {*(chosen.question_id for chosen in WORKED), CONTEXT[0]} <= ids
    assert {AS_OF[0], FILTER[0]} <= users
