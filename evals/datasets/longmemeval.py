"""LongMemEval (Wu et al., 2024): each question has a user and a whole history of its own.

The evidence of a question are the sessions in ``answer_session_ids``; messages marked ``has_answer``
are its evidence at the level of turns. Questions whose id ends in ``_abs`` cannot be answered and count
in no retrieval figure. The published figures stand on two populations: all others (470 of the 500), and
of these the ones with evidence on the user's side (419), here the population ``user_evidence``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from memagent.evals.datasets.cases import Dataset, EvalMessage, EvalSession, History, Question
from memagent.evals.datasets.nodes import Node
from memagent.evals.datasets.open_data import open_data
from memagent.evals.datasets.times import longmemeval_time

USER_EVIDENCE = "user_evidence"
"""The population of questions with at least one evidence message by the user."""


def load_longmemeval(paths: Sequence[Path], *, text: str = "both_roles") -> Dataset:
    """The questions of the files, each with its history; ``text`` is ``both_roles`` or ``user_turns_only``.

    Raises :class:`DataError` naming file, record and field.
    """
    files, histories, questions = [], [], []
    seen: set[str] = set()
    for path in paths:
        opened = open_data(path)
        files.append(opened.file)
        for record in opened.records:
            history, question = _case(record, user_turns_only=text == "user_turns_only")
            if question.id in seen:
                raise record.field("question_id").failure(f"{question.id!r} occurs twice")
            seen.add(question.id)
            histories.append(history)
            questions.append(question)
    return Dataset(
        name="longmemeval",
        variant=text,
        files=tuple(files),
        histories=tuple(histories),
        questions=tuple(questions),
    )


def _case(record: Node, *, user_turns_only: bool) -> tuple[History, Question]:
    user_id = record.field("question_id").text()
    marked: list[EvalMessage] = []
    sessions = _sessions(record, marked, user_turns_only=user_turns_only)
    history = History(user_id=user_id, sessions=tuple(session for session in sessions if session.messages))
    return history, _question(record, history, {session.id for session in sessions}, marked)


def _sessions(record: Node, marked: list[EvalMessage], *, user_turns_only: bool) -> list[EvalSession]:
    """All sessions of the haystack, empty ones too; evidence messages are added to ``marked``."""
    ids = record.field("haystack_session_ids").items()
    dates = record.field("haystack_dates").items()
    haystack = record.field("haystack_sessions")
    turns = haystack.items()
    if not len(ids) == len(dates) == len(turns):
        raise haystack.failure(f"{len(turns)} sessions, but {len(ids)} session ids and {len(dates)} dates")
    sessions = []
    used: Counter[str] = Counter()
    for id_node, date, messages in zip(ids, dates, turns, strict=True):
        session_id = _unique(id_node.text(), used)
        kept = []
        for i, node in enumerate(messages.items()):
            message = EvalMessage(
                id=f"{session_id}:{i}", role=node.field("role").text(), content=node.field("content").text()
            )
            if not message.content.strip() or (user_turns_only and message.role != "user"):
                continue
            kept.append(message)
            flag = node.maybe("has_answer")
            if flag is not None and flag.value is True:
                marked.append(message)
        sessions.append(EvalSession(id=session_id, date=date.parsed(longmemeval_time), messages=tuple(kept)))
    return sessions


def _unique(session_id: str, used: Counter[str]) -> str:
    """A haystack may hold a session twice: later copies get ``#2``, ``#3``, ...; evidence means the first."""
    used[session_id] += 1
    return session_id if used[session_id] == 1 else f"{session_id}#{used[session_id]}"


def _question(record: Node, history: History, haystack: set[str], marked: Sequence[EvalMessage]) -> Question:
    question_id = record.field("question_id").text()
    gold = []
    for node in record.field("answer_session_ids").items():
        if node.text() not in haystack:
            raise node.failure(f"{node.text()!r} is not in haystack_session_ids")
        gold.append(node.text())
    stored = {session.id for session in history.sessions}
    reason = ""
    if question_id.endswith("_abs"):
        reason = "abstention"
    elif not gold:
        reason = "no evidence"
    elif not stored.issuperset(gold):
        reason = "an evidence session has no text in this form"
    by_session = set(gold)
    evidence = [message for message in marked if message.id.rpartition(":")[0] in by_session]
    return Question(
        id=question_id,
        user_id=history.user_id,
        text=record.field("question").text(),
        type=record.field("question_type").text(),
        answer=record.field("answer").scalar(),
        date=record.field("question_date").parsed(longmemeval_time),
        gold_sessions=() if reason else tuple(dict.fromkeys(gold)),
        gold_messages=() if reason else tuple(message.id for message in evidence),
        populations=(USER_EVIDENCE,) if any(message.role == "user" for message in evidence) else (),
        no_gold=reason,
    )
