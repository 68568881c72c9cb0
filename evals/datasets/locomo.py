"""LoCoMo (Maharana et al., 2024): long conversations between two people, with questions about them.

One conversation is one user. Both people have the role ``user`` and are told apart by name; an image's
caption stands on a new line under the text it came with, in brackets: nobody said it. Evidence is a list of
message ids (``D3:12`` is message 12 of session 3); some entries hold several ids, and some have a stray
colon (``D:11:26``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from memagent.evals.datasets.cases import Dataset, EvalMessage, EvalSession, History, Question
from memagent.evals.datasets.nodes import Node
from memagent.evals.datasets.open_data import open_data
from memagent.evals.datasets.times import locomo_time

CATEGORIES = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop", 5: "adversarial"}
MAIN_CATEGORIES = (1, 2, 3, 4)

_SESSION = re.compile(r"session_(\d+)")
_REFERENCE = re.compile(r"D:?(\d+):(\d+)")


def load_locomo(paths: Sequence[Path], *, categories: Sequence[int] = MAIN_CATEGORIES) -> Dataset:
    """The conversations of the files and their questions of the given categories.

    Raises :class:`DataError` naming file, record and field.
    """
    files, histories, questions = [], [], []
    not_chosen = 0
    seen: set[str] = set()
    for path in paths:
        opened = open_data(path)
        files.append(opened.file)
        for record in opened.records:
            history = _history(record)
            if history.user_id in seen:
                raise record.field("sample_id").failure(f"{history.user_id!r} occurs twice")
            seen.add(history.user_id)
            histories.append(history)
            found = _questions(record, history)
            chosen = [question for category, question in found if category in categories]
            not_chosen += len(found) - len(chosen)
            questions.extend(chosen)
    return Dataset(
        name="locomo",
        variant=f"both_roles; categories {','.join(str(number) for number in sorted(categories))}",
        files=tuple(files),
        histories=tuple(histories),
        questions=tuple(questions),
        left_out={"category not chosen": not_chosen} if not_chosen else {},
    )


def _history(record: Node) -> History:
    conversation = record.field("conversation")
    summaries = record.maybe("session_summary")
    numbers = sorted(int(match[1]) for name in conversation.names() if (match := _SESSION.fullmatch(name)))
    sessions = []
    for number in numbers:
        messages = _messages(conversation.field(f"session_{number}"))
        if not messages:
            continue
        date = conversation.maybe(f"session_{number}_date_time")
        summary = summaries.maybe(f"session_{number}_summary") if summaries else None
        sessions.append(
            EvalSession(
                id=f"session_{number}",
                date=date.parsed(locomo_time) if date else None,
                messages=messages,
                summary=summary.text() if summary else None,
            )
        )
    return History(user_id=record.field("sample_id").text(), sessions=tuple(sessions))


def _messages(session: Node) -> tuple[EvalMessage, ...]:
    messages: dict[str, EvalMessage] = {}
    for node in session.items():
        caption = node.maybe("blip_caption")
        lines = [node.field("text").text(), f"[{caption.text()}]" if caption and caption.text().strip() else ""]
        content = "\n".join(line for line in lines if line.strip())
        message_id = node.field("dia_id").text()
        if message_id in messages:
            raise node.field("dia_id").failure(f"{message_id!r} occurs twice")
        if content:
            speaker = node.field("speaker").text()
            messages[message_id] = EvalMessage(id=message_id, role="user", name=speaker, content=content)
    return tuple(messages.values())


def _questions(record: Node, history: History) -> list[tuple[int, Question]]:
    sessions = {session.id for session in history.sessions}
    numbered = {
        (int(match[1]), int(match[2])): message.id
        for session in history.sessions
        for message in session.messages
        if (match := _REFERENCE.fullmatch(message.id))
    }
    return [
        _question(node, f"{history.user_id}:{i}", history.user_id, sessions, numbered)
        for i, node in enumerate(record.field("qa").items())
    ]


def _question(
    node: Node, question_id: str, user_id: str, sessions: set[str], numbered: Mapping[tuple[int, int], str]
) -> tuple[int, Question]:
    category = node.field("category").integer()
    if category not in CATEGORIES:
        raise node.field("category").failure(f"{category} is not one of {', '.join(map(str, CATEGORIES))}")
    answer = node.maybe("answer") or node.maybe("adversarial_answer")
    evidence = node.maybe("evidence")
    entries = [entry.text() for entry in evidence.items()] if evidence else []
    references = [(int(match[1]), int(match[2])) for entry in entries for match in _REFERENCE.finditer(entry)]
    gold = tuple(dict.fromkeys(f"session_{number}" for number, _ in references if f"session_{number}" in sessions))
    # A question with a reference that names no message cannot be scored by message: part of its gold is unknown.
    messages = tuple(dict.fromkeys(numbered[reference] for reference in references if reference in numbered))
    known = all(reference in numbered for reference in references) and all(map(_REFERENCE.search, entries))
    return category, Question(
        id=question_id,
        user_id=user_id,
        text=node.field("question").text(),
        type=CATEGORIES[category],
        answer=answer.scalar() if answer else "",
        gold_sessions=gold,
        gold_messages=messages if known else (),
        no_gold="" if gold else "evidence does not resolve" if any(map(str.strip, entries)) else "no evidence",
    )
