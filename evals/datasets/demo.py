"""The example histories bundled with memagent: invented people, questions of LongMemEval's kinds."""

from __future__ import annotations

from datetime import datetime
from importlib.resources import files

from memagent.errors import DataError, InvalidTime
from memagent.evals.datasets.cases import Dataset, EvalMessage, EvalSession, History, Question
from memagent.evals.datasets.nodes import Node
from memagent.evals.datasets.open_data import parse_data
from memagent.records import as_utc


def load_demo() -> Dataset:
    """All bundled histories and their questions, abstention questions included.

    Raises :class:`DataError` naming file and field when a bundled file is damaged or missing.
    """
    folder = files("memagent").joinpath("data", "demo")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".json")) if folder.is_dir() else []
    if not names:
        raise DataError("the bundled example histories are missing", hint="install memagent again")
    opened = [parse_data(folder.joinpath(name).read_bytes(), name) for name in names]
    histories: list[History] = []
    questions: list[Question] = []
    for source in opened:
        for record in source.records:
            history = _history(record)
            histories.append(history)
            questions.extend(_question(node, history) for node in record.field("questions").items())
    return Dataset(
        name="demo",
        variant="both_roles",
        files=tuple(source.file for source in opened),
        histories=tuple(histories),
        questions=tuple(questions),
    )


def _history(record: Node) -> History:
    sessions: dict[str, EvalSession] = {}
    for node in record.field("sessions").items():
        session_id = node.field("session_id").text()
        if session_id in sessions:
            raise node.field("session_id").failure(f"{session_id!r} occurs twice")
        sessions[session_id] = EvalSession(
            id=session_id,
            date=node.field("date").parsed(_time),
            messages=tuple(
                EvalMessage(
                    id=f"{session_id}:{i}", role=message.field("role").text(), content=message.field("content").text()
                )
                for i, message in enumerate(node.field("messages").items())
            ),
        )
    return History(user_id=record.field("user_id").text(), sessions=tuple(sessions.values()))


def _question(node: Node, history: History) -> Question:
    question_id = node.field("question_id").text()
    stored = {session.id for session in history.sessions}
    gold = []
    for session in node.field("answer_session_ids").items():
        if session.text() not in stored:
            raise session.failure(f"{session.text()!r} is no session of {history.user_id}")
        gold.append(session.text())
    abstention = question_id.endswith("_abs")
    date = node.maybe("question_date")
    return Question(
        id=question_id,
        user_id=history.user_id,
        text=node.field("question").text(),
        type=node.field("question_type").text(),
        answer=node.field("answer").scalar(),
        date=date.parsed(_time) if date else None,
        gold_sessions=() if abstention else tuple(dict.fromkeys(gold)),
        no_gold="abstention" if abstention else "" if gold else "no evidence",
    )


def _time(text: str) -> datetime:
    try:
        return as_utc(text)
    except InvalidTime:
        raise ValueError("is not an ISO 8601 time with an offset") from None
