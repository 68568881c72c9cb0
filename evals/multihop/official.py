"""The data sets' own files: HotpotQA and 2WikiMultihopQA (one form), and MuSiQue.

Each question brings its paragraphs. The corpus is what stands in all of them, a paragraph once for each title and
text, as HippoRAG (arXiv 2405.14831) and others make it.
"""

from __future__ import annotations

import hashlib

from memagent.evals.datasets.nodes import Node
from memagent.evals.multihop.questions import Hop, HopQuestion, Passage


def is_official(record: Node) -> bool:
    """Whether a record is of one of these forms."""
    names = record.names()
    return "question" in names and ("context" in names or "paragraphs" in names)


def official_records(record: Node) -> tuple[list[Passage], HopQuestion]:
    """The paragraphs of one record, and its question."""
    return _musique(record) if "paragraphs" in record.names() else _hotpotqa(record)


def _hotpotqa(record: Node) -> tuple[list[Passage], HopQuestion]:
    """``context`` holds [title, [sentence, ...]] pairs, ``supporting_facts`` [title, sentence number] pairs.

    A supporting title without a paragraph (HotpotQA's fullwiki files have such) is a gold passage that no corpus holds.
    """
    passages = []
    for pair in record.field("context").items():
        title, sentences = _pair(pair)
        text = "".join(sentence.text() for sentence in sentences.items())
        passages.append(_passage(title.text(), text))
    facts = record.maybe("supporting_facts")
    titles = dict.fromkeys(_pair(fact)[0].text() for fact in (facts.items() if facts else ()))
    kind, answer = record.maybe("type"), record.maybe("answer")
    question = HopQuestion(
        id=(record.maybe("_id") or record.field("id")).scalar(),
        text=record.field("question").text(),
        type=kind.text() if kind else "",
        answers=(answer.scalar(),) if answer else (),
        gold=tuple(name for title in titles for name in _titled(title, passages)),
    )
    return passages, question


def _titled(title: str, passages: list[Passage]) -> list[str]:
    return [passage.id for passage in passages if passage.title == title] or [f"no passage titled {title!r}"]


def _musique(record: Node) -> tuple[list[Passage], HopQuestion]:
    """``paragraphs`` say themselves whether they support the answer, ``question_decomposition`` in which order."""
    paragraphs = record.field("paragraphs").items()
    passages = [_passage(one.field("title").text(), one.field("paragraph_text").text()) for one in paragraphs]
    supporting = [
        passage.id
        for one, passage in zip(paragraphs, passages, strict=True)
        if (mark := one.maybe("is_supporting")) is not None and mark.value is True
    ]
    parts = record.maybe("question_decomposition")
    aliases, answer = record.maybe("answer_aliases"), record.maybe("answer")
    name = record.field("id").scalar()
    question = HopQuestion(
        id=name,
        text=record.field("question").text(),
        type=name.partition("__")[0],
        answers=tuple(
            dict.fromkeys(one.scalar() for one in ([answer] if answer else []) + (aliases.items() if aliases else []))
        ),
        gold=tuple(dict.fromkeys(supporting)),
        hops=tuple(
            Hop(question=part.field("question").text(), answer=part.field("answer").scalar())
            for part in (parts.items() if parts else ())
        ),
    )
    return passages, question


def _pair(node: Node) -> tuple[Node, Node]:
    items = node.items()
    if len(items) != 2:
        raise node.failure(f"expected two values, found {len(items)}")
    return items[0], items[1]


def _passage(title: str, text: str) -> Passage:
    digest = hashlib.sha256(f"{title}\n{text}".encode()).hexdigest()
    return Passage(id=digest[:16], title=title, text=text)
