"""BM25 with dictionaries and loops, written from the formula: what the index is compared with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from memagent.lexical import DocumentKind, Terms


class Turn(NamedTuple):
    """One document: the number of its session and how often it has each term."""

    session: int
    counts: Mapping[int, int]


def as_terms(counts: Mapping[int, int]) -> Terms:
    """Counts of terms as the index takes them."""
    return Terms(np.array(sorted(counts), np.uint64), np.array([counts[h] for h in sorted(counts)], np.uint32))


def documents(turns: Mapping[int, Turn], hidden: set[int], kind: DocumentKind) -> list[Counter[int]]:
    """The visible documents of a kind, in the order in which scores are given."""
    shown = [key for key in sorted(turns) if key not in hidden]
    if kind == "turn":
        return [Counter(turns[key].counts) for key in shown]
    if kind == "session":
        numbers = sorted({turns[key].session for key in shown})
        return [_total(turns, [key for key in shown if turns[key].session == number]) for number in numbers]
    found = []
    for key in shown:
        session = [other for other in sorted(turns) if turns[other].session == turns[key].session]
        place = session.index(key)
        near = session[max(0, place - 1) : place + 2]
        found.append(_total(turns, [other for other in near if other not in hidden]))
    return found


def _total(turns: Mapping[int, Turn], keys: Sequence[int]) -> Counter[int]:
    total: Counter[int] = Counter()
    for key in keys:
        total.update(turns[key].counts)
    return total


def bm25(collection: Sequence[Mapping[int, int]], query: Mapping[int, int], k1: float, b: float) -> list[float]:
    """The score of each document."""
    if not collection:
        return []
    mean = sum(sum(document.values()) for document in collection) / len(collection)
    scores = []
    for document in collection:
        score = 0.0
        for term, repeats in query.items():
            if not document.get(term):
                continue
            holding = sum(1 for other in collection if other.get(term))
            idf = math.log(1 + (len(collection) - holding + 0.5) / (holding + 0.5))
            count = document[term]
            length = sum(document.values())
            score += repeats * idf * count * (k1 + 1) / (count + k1 * (1 - b + b * length / mean))
        scores.append(score)
    return scores
