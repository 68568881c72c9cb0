"""The reference figures of BM25 on LoCoMo's development file."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from shared_data import shared_path

from memagent.lexical import DocumentKind, LexicalIndex, analyze, detect_language, query_terms

# recall_all@3, @5, @10 and recall_any@3, @5, @10 of an independent implementation, per cent.
REFERENCE: dict[DocumentKind, tuple[float, ...]] = {
    "session": (73.8, 80.2, 87.3, 85.6, 90.5, 95.5),
    "turn": (73.3, 79.0, 86.6, 84.4, 91.0, 95.4),
    "window": (74.8, 80.5, 87.5, 87.2, 91.3, 95.9),
}


class Conversation(NamedTuple):
    """The texts of all utterances, their session numbers, and the questions with their gold sessions."""

    texts: list[str]
    sessions: list[int]
    questions: list[tuple[str, set[int]]]


def conversations() -> Iterator[Conversation]:
    with gzip.open(shared_path("locomo", "locomo5_dev.json.gz"), "rt", encoding="utf-8") as file:
        for record in json.load(file):
            yield _read(record)


def _read(record: dict[str, Any]) -> Conversation:
    said = record["conversation"]
    numbers = sorted(int(name[8:]) for name in said if re.fullmatch(r"session_\d+", name))
    turns = [(number, turn) for number in numbers for turn in said[f"session_{number}"]]
    texts = [
        f"[{turn['speaker']}]: {turn['text']}" + (f"\n[{turn['blip_caption']}]" if turn.get("blip_caption") else "")
        for _, turn in turns
    ]
    held = {number for number, _ in turns}
    questions = [
        (row["question"], {int(number) for number in re.findall(r"D:?(\d+):", " ".join(row["evidence"]))} & held)
        for row in record["qa"]
        if row["category"] in {1, 2, 3, 4}
    ]
    return Conversation(texts, [number for number, _ in turns], [row for row in questions if row[1]])


def ranking(scores: NDArray[np.float64], kind: DocumentKind, index: LexicalIndex, of: list[int]) -> list[int]:
    """Sessions by falling score, by their best turn or window; equal ones in their order."""
    sessions = index.sessions()
    if kind != "session":
        best = np.zeros(len(sessions))
        np.maximum.at(best, np.searchsorted(sessions, of), scores)
        scores = best
    ranked: list[int] = sessions[np.argsort(-scores, kind="stable")].tolist()
    return ranked


@pytest.mark.data
@pytest.mark.parametrize("language_of", [lambda _: "en", detect_language], ids=["as English", "by detection"])
def test_bm25_on_locomo_reproduces_the_reference(language_of: Callable[[str], str]) -> None:
    found: dict[DocumentKind, list[list[bool]]] = {kind: [] for kind in REFERENCE}
    for talk in conversations():
        languages = [language_of(text) for text in talk.texts]
        index = LexicalIndex()
        terms = [analyze(text, language) for text, language in zip(talk.texts, languages, strict=True)]
        index.add(np.arange(len(terms)), np.array(talk.sessions), terms)
        for question, gold in talk.questions:
            channels = index.channels(query_terms(question, set(languages)), tuple(REFERENCE))
            for kind, scores in channels.items():
                ranked = ranking(scores, kind, index, talk.sessions)
                tops = [set(ranked[:k]) for k in (3, 5, 10)]
                found[kind].append([gold <= top for top in tops] + [bool(gold & top) for top in tops])
    for kind, expected in REFERENCE.items():
        assert len(found[kind]) == 786
        np.testing.assert_allclose(100 * np.mean(found[kind], axis=0), expected, atol=1.0, err_msg=kind)
