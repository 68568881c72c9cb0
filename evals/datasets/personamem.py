"""PersonaMem (Jiang et al., 2025): long histories of a person with an assistant, and questions with four options.

Read from two files, in either order: the questions (``query`` with its options, ``gold_answers``, ``user_id``,
``meta``) and the documents (``content`` of one session, ``user_id``). A question's options stand in ``query`` below
the message itself, which is ``meta.retrieval_query``; what is searched for is the message without them. The gold
evidence names all of a user's documents, so it tests no retrieval.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from memagent.errors import DataError
from memagent.evals.datasets.cases import Dataset, EvalMessage, EvalSession, History, Question
from memagent.evals.datasets.nodes import Node
from memagent.evals.datasets.open_data import OpenedFile, open_data

_LINE = re.compile(r"^\[(SYSTEM|USER|ASSISTANT)\] ?", re.MULTILINE)
_OPTION = re.compile(r"^\(([a-z])\) ?", re.MULTILINE)


def load_personamem(paths: Sequence[Path]) -> Dataset:
    """The questions and the histories of the users they are about.

    As in the released evaluation of RF-Mem, system messages (the persona in words) and empty ones are left out, and
    messages of one role that follow each other are one message. Raises :class:`DataError` naming file, record and
    field.
    """
    opened = [open_data(path) for path in paths]
    asked = [record for source in opened for record in source.records if "query" in record.names()]
    told = [record for source in opened for record in source.records if "content" in record.names()]
    if not asked or not told:
        lacks = "questions (records with a field query)" if not asked else "documents (records with a field content)"
        raise DataError(f"no {lacks} in {_names(opened)}", hint="pass --data twice: the questions, and the documents")
    histories = _histories(told)
    users = {history.user_id for history in histories}
    questions: dict[str, Question] = {}
    for record in asked:
        question = _question(record, users)
        if question.id in questions:
            raise record.field("id").failure(f"{question.id!r} occurs twice")
        questions[question.id] = question
    wanted = {question.user_id for question in questions.values()}
    return Dataset(
        name="personamem",
        variant="both_roles",
        files=tuple(source.file for source in opened),
        histories=tuple(history for history in histories if history.user_id in wanted),
        questions=tuple(questions.values()),
    )


def _names(opened: Iterable[OpenedFile]) -> str:
    return ", ".join(source.file.name for source in opened)


def _histories(documents: Iterable[Node]) -> tuple[History, ...]:
    found: dict[str, dict[str, EvalSession]] = {}
    for record in documents:
        session_id = record.field("id").text()
        sessions = found.setdefault(record.field("user_id").text(), {})
        if session_id in sessions:
            raise record.field("id").failure(f"{session_id!r} occurs twice")
        sessions[session_id] = EvalSession(id=session_id, messages=_messages(record.field("content"), session_id))
    return tuple(
        History(user_id=user_id, sessions=tuple(session for session in sessions.values() if session.messages))
        for user_id, sessions in found.items()
    )


def _messages(content: Node, session_id: str) -> tuple[EvalMessage, ...]:
    """The messages of a document: each begins on a line with its role in brackets."""
    text = content.text()
    starts = list(_LINE.finditer(text))
    if not starts or text[: starts[0].start()].strip():
        raise content.failure("does not begin with [SYSTEM], [USER] or [ASSISTANT]")
    blocks: list[tuple[str, str]] = []
    for start, following in zip(starts, [*starts[1:], None], strict=True):
        role, said = start[1].lower(), text[start.end() : following.start() if following else None].strip()
        if role == "system" or not said:
            continue
        if blocks and blocks[-1][0] == role:
            said = f"{blocks.pop()[1]}\n\n{said}"
        blocks.append((role, said))
    return tuple(EvalMessage(id=f"{session_id}:{i}", role=role, content=said) for i, (role, said) in enumerate(blocks))


def _question(record: Node, users: set[str]) -> Question:
    query, meta = record.field("query"), record.field("meta")
    message = meta.field("retrieval_query").text()
    user = record.field("user_id")
    if user.text() not in users:
        raise user.failure(f"there is no document of {user.text()!r}")
    options = _options(query)
    golds = record.field("gold_answers").items()
    letters = [gold.text() for gold in golds if gold.text() in options]
    if len(letters) != 1:
        raise record.field("gold_answers").failure(f"names no option out of {', '.join(options)}")
    return Question(
        id=record.field("id").text(),
        user_id=user.text(),
        text=message,
        type=meta.field("question_type").text(),
        answer=letters[0],
        options=tuple(options.values()),
        no_gold="all documents are evidence",
    )


def _options(query: Node) -> dict[str, str]:
    """The options below the message, by their letters, which are a, b, c, ... in this order."""
    text = query.text()
    marks = list(_OPTION.finditer(text))
    # A message may itself hold a list: the options are the last run of letters from a on.
    first = max((i for i, mark in enumerate(marks) if mark[1] == "a"), default=None)
    if first is None:
        raise query.failure("holds no options (a), (b), ...")
    marks = marks[first:]
    letters = [mark[1] for mark in marks]
    if letters != [chr(ord("a") + i) for i in range(len(letters))] or len(letters) < 2:
        raise query.failure(f"has the options {', '.join(letters)}, which are not a, b, ... in order")
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return {mark[1]: text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)}
