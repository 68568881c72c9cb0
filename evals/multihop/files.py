"""Reads multi-hop data: a file of questions and a file of passages, in either order.

Questions: ``{id, question, answers[], type, gold_ids[], split, decomposition?}``, passages: ``{id, title, text}``; one
object a line, or a list. Titles repeat (MuSiQue), so passages are matched by id. A
question without an id is called by its record. HotpotQA's and 2WikiMultihopQA's
own files, and MuSiQue's, hold both in one: their corpus is what stands in all of their contexts (see
:mod:`memagent.evals.multihop.official`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from memagent.agents.reason_rag.endpoint import titled
from memagent.errors import DataError, InvalidInput, UnknownName
from memagent.evals.datasets.nodes import Node
from memagent.evals.datasets.open_data import OpenedFile, open_data
from memagent.evals.multihop.official import is_official, official_records
from memagent.evals.multihop.questions import Hop, HopQuestion, HopSet, Passage
from memagent.evals.multihop.world import make_world

NAMES = ("hotpotqa", "2wiki", "musique", "popqa", "world")
SPLITS = ("dev", "train", "test", "all")


def load_hops(
    name: str, data: Sequence[str | Path] = (), *, split: str | None = None, answerable: bool = True
) -> HopSet:
    """The data set called ``name``: the made-up ``world``, or the files of another in ``data``.

    ``split`` keeps the questions of one split ("all": of each; None: dev if there are any, otherwise all there are);
    the corpus is always whole. ``answerable`` leaves out questions without an answer, which can only be scored by
    what is retrieved. Raises UnknownName, InvalidInput, and DataError naming file, record and field.
    """
    if name not in NAMES:
        raise UnknownName(f"unknown data set {name!r}", hint=f"use one of {', '.join(NAMES)}")
    if split is not None and split not in SPLITS:
        raise UnknownName(f"unknown split {split!r}", hint=f"use one of {', '.join(SPLITS)}")
    if name == "world":
        return make_world()
    if not data:
        raise InvalidInput(f"the data set {name} needs its files", hint="pass --data twice: questions and passages")
    opened = [open_data(path) for path in data]
    passages, questions = _read(opened)
    return _chosen(name, opened, passages, questions, split=split, answerable=answerable)


def load_passages(data: Sequence[str | Path]) -> tuple[Passage, ...]:
    """The passages of files that hold nothing else. Raises InvalidInput, DataError."""
    if not data:
        raise InvalidInput("no file of passages", hint="name one at least")
    passages, questions = _read([open_data(path) for path in data])
    if questions:
        raise DataError(f"{questions[0].id!r} is a question", hint="name files of passages")
    return tuple(passages.values())


def _read(opened: Sequence[OpenedFile]) -> tuple[dict[str, Passage], list[HopQuestion]]:
    passages: dict[str, Passage] = {}
    questions: list[HopQuestion] = []
    for record in (record for source in opened for record in source.records):
        if is_official(record):
            found, question = official_records(record)
            passages.update((passage.id, passage) for passage in found)
            questions.append(question)
        elif "question" in record.names():
            questions.append(_question(record))
        else:
            passage = _passage(record)
            if passage.id in passages:
                raise record.field("id").failure(f"{passage.id!r} occurs twice")
            passages[passage.id] = passage
    return passages, questions


def _chosen(
    name: str,
    opened: Sequence[OpenedFile],
    passages: dict[str, Passage],
    questions: list[HopQuestion],
    *,
    split: str | None,
    answerable: bool,
) -> HopSet:
    files = ", ".join(source.file.name for source in opened)
    if not passages:
        raise DataError(f"no passages in {files}", hint="pass --data twice: the questions, and the passages")
    if not questions:
        raise DataError(f"no questions in {files}", hint="pass --data twice: the questions, and the passages")
    ids = Counter(question.id for question in questions)
    if (most := ids.most_common(1)[0])[1] > 1:
        raise DataError(f"the question {most[0]!r} occurs twice in {files}", hint="pass each file once")
    split = split or ("dev" if any(question.split == "dev" for question in questions) else "all")
    left_out: Counter[str] = Counter()
    kept = []
    for question in questions:
        reason = _reason(question, passages, split=split, answerable=answerable)
        if reason:
            left_out[reason] += 1
        else:
            kept.append(question)
    if not kept:
        raise InvalidInput(f"no questions of the split {split!r} in {files}", hint="choose another --split")
    return HopSet(
        name=name,
        split=split,
        files=tuple(source.file for source in opened),
        passages=tuple(passages.values()),
        questions=tuple(kept),
        left_out=dict(left_out),
    )


def _reason(question: HopQuestion, passages: dict[str, Passage], *, split: str, answerable: bool) -> str:
    """Why a question is left out; empty if it is not."""
    if split not in ("all", question.split):
        return f"of split {question.split or 'unnamed'}"
    if answerable and not question.answers:
        return "without an answer"
    return "" if all(name in passages for name in question.gold) else "gold passage not in the corpus"


def _passage(record: Node) -> Passage:
    """A passage with its title, or in Search-R1's form: ``contents`` with the title on the first line."""
    name = record.field("id").scalar()
    if "contents" in record.names():
        title, text = titled(record.field("contents").text())
        return Passage(id=name, title=title, text=text)
    return Passage(id=name, title=record.field("title").text(), text=record.field("text").text())


def _question(record: Node) -> HopQuestion:
    split = record.maybe("split")
    hops = record.maybe("decomposition")
    kind = record.maybe("type")
    name = record.maybe("id")
    return HopQuestion(
        id=name.scalar() if name else f"record {record.record}",
        text=record.field("question").text(),
        type=kind.scalar() if kind else "",
        answers=tuple(answer.scalar() for answer in record.field("answers").items()),
        gold=tuple(name.scalar() for name in record.field("gold_ids").items()),
        split=split.text() if split else "",
        hops=tuple(
            Hop(question=hop.field("question").text(), answer=hop.field("answer").scalar())
            for hop in (hops.items() if hops else ())
        ),
    )
