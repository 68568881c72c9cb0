"""PersonaBench (Tan et al., 2025): private records of the people of one small community.

A user's records are conversations with friends, talks with an assistant, and purchases; each is a segment
and becomes a session under its ``segment_id``. The evidence of a question maps each part of the answer to
segments any one of which is enough. Only some people have private records; questions about the others are
left out, and so are subjective questions, as in the benchmark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

from memagent.errors import DataError, UnknownName
from memagent.evals.datasets.cases import DataFile, Dataset, EvalMessage, EvalSession, History, Question
from memagent.evals.datasets.nodes import Node
from memagent.evals.datasets.open_data import OpenedFile, open_data
from memagent.evals.datasets.times import personabench_time

_CONVERSATIONS = "conversation_data_all"
_TALKS = "user_ai_interaction_data_all"
_PURCHASES = "purchase_history_data_all"


def load_personabench(folder: Path, *, noise: str = "0.0") -> Dataset:
    """The community in ``folder`` (with ``private_data`` and ``eval_info`` inside) at one level of noise.

    Raises :class:`UnknownName` with the levels there are, :class:`DataError` naming file, record and field.
    """
    private = _private_data(folder, noise)
    records = [_open(private, stem) for stem in (_CONVERSATIONS, _TALKS, _PURCHASES)]
    questions_file = _open(folder / "eval_info", "eval_info_all")
    gold_file = _open(folder / "eval_info", f"qa_gt_context_all_noise_{noise}")
    histories = _histories(records)
    segments = {history.user_id: {session.id for session in history.sessions} for history in histories}
    questions, left_out = _questions(questions_file, _gold(gold_file), segments)
    return Dataset(
        name="personabench",
        variant=f"both_roles; noise {noise}",
        files=tuple(_identity(opened, folder) for opened in (*records, questions_file, gold_file)),
        histories=histories,
        questions=questions,
        left_out=left_out,
    )


def _private_data(folder: Path, noise: str) -> Path:
    levels = sorted(path.name.removeprefix("noise_") for path in (folder / "private_data").glob("noise_*"))
    if not levels:
        raise DataError(f"{folder}: no folder private_data/noise_* in it", hint="--data takes the community's folder")
    if noise not in levels:
        raise UnknownName(f"no data with noise {noise!r}", hint=f"use one of {', '.join(levels)}")
    return folder / "private_data" / f"noise_{noise}"


def _open(folder: Path, stem: str) -> OpenedFile:
    plain = folder / f"{stem}.json"
    return open_data(plain if plain.exists() else folder / f"{stem}.json.gz")


def _identity(opened: OpenedFile, folder: Path) -> DataFile:
    return DataFile(name=f"{folder.name}/{opened.file.name}", sha256=opened.file.sha256)


def _histories(files: Sequence[OpenedFile]) -> tuple[History, ...]:
    """One history a user, sessions by date (the three kinds of record come in separate files)."""
    found: dict[str, dict[str, EvalSession]] = {}
    for opened in files:
        for record in opened.records:
            owner = record.field("Name").text()
            sessions = found.setdefault(owner, {})
            for node in _segments(record):
                session = _session(node, owner)
                if session.id in sessions:
                    raise node.field("segment_id").failure(f"{session.id!r} occurs twice for {owner}")
                sessions[session.id] = session
    return tuple(
        History(user_id=owner, sessions=tuple(sorted(filter(_said, sessions.values()), key=_when)))
        for owner, sessions in found.items()
    )


def _said(session: EvalSession) -> bool:
    return bool(session.messages)


def _when(session: EvalSession) -> float:
    return session.date.timestamp() if session.date else 0.0


def _segments(record: Node) -> list[Node]:
    data = record.field("Data").items()
    if any("Conversations" in node.names() for node in data):
        return list(chain.from_iterable(node.field("Conversations").items() for node in data))
    return data


def _session(node: Node, owner: str) -> EvalSession:
    segment = node.field("segment_id").text()
    names = node.names()
    if "conversation" in names:
        said = [_line(message, between_people=True) for message in node.field("conversation").items()]
    elif "user_ai_interaction" in names:
        said = [_line(message, between_people=False) for message in node.field("user_ai_interaction").items()]
    else:
        said = [("user", owner, _purchase(item)) for item in node.field("purchase_history").items()]
    return EvalSession(
        id=segment,
        date=node.field("time").parsed(personabench_time),
        messages=tuple(
            EvalMessage(id=f"{segment}:{i}", role=role, name=name, content=content)
            for i, (role, name, content) in enumerate(said)
            if content.strip()
        ),
    )


def _line(message: Node, *, between_people: bool) -> tuple[str, str | None, str]:
    """Role, name and text of a message; between two people the file's ``role`` is the speaker's name."""
    role, content = message.field("role").text(), message.field("content").text()
    return ("user", role, content) if between_people else (role, None, content)


def _purchase(item: Node) -> str:
    """What was bought: title and brand, description, categories, a line each."""
    brand, description, categories = item.maybe("brand"), item.maybe("description"), item.maybe("categories")
    lines = [
        f"Bought: {item.field('title').text()}" + (f" ({brand.text()})" if brand else ""),
        description.text() if description else "",
        ", ".join(category.text() for category in categories.items()) if categories else "",
    ]
    return "\n".join(line for line in lines if line)


def _gold(opened: OpenedFile) -> dict[str, tuple[tuple[str, ...], ...]]:
    """For each question id, for each part of its answer, the segments any one of which is enough."""
    gold = {}
    for record in opened.records:
        parts = record.field("segment_id")
        gold[record.field("q_id").text()] = tuple(
            tuple(dict.fromkeys(segment.text() for segment in parts.field(part).items())) for part in parts.names()
        )
    return gold


def _questions(
    opened: OpenedFile,
    gold: Mapping[str, tuple[tuple[str, ...], ...]],
    segments: Mapping[str, set[str]],
) -> tuple[tuple[Question, ...], dict[str, int]]:
    questions = []
    left_out: Counter[str] = Counter()
    for record in opened.records:
        user_id = record.field("Name").text()
        for node in record.field("Eval_Info").field("qa").items():
            if user_id not in segments:
                left_out["user has no private data"] += 1
                continue
            questions.append(_question(node, user_id, gold, segments[user_id]))
    return tuple(questions), dict(left_out)


def _question(
    node: Node, user_id: str, gold: Mapping[str, tuple[tuple[str, ...], ...]], segments: set[str]
) -> Question:
    question_id, kind = node.field("q_id").text(), node.field("type").text()
    parts = tuple(tuple(s for s in part if s in segments) for part in gold.get(question_id, ()))
    reason = ""
    if kind == "Subjective":
        reason = "subjective"
    elif not gold.get(question_id):
        reason = "no evidence"
    elif not all(parts):
        reason = "evidence does not resolve"
    answer = node.field("answer").value
    return Question(
        id=question_id,
        user_id=user_id,
        text=node.field("question").text(),
        type=kind,
        answer=answer if isinstance(answer, str) else str(answer),
        gold_sessions=() if reason else tuple(dict.fromkeys(chain.from_iterable(parts))),
        gold_alternatives=None if reason else parts,
        no_gold=reason,
    )
