"""Queries that find a text which says the same in other words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memagent.lexical.analysis import content_words, terms_of_word

Related: TypeAlias = Mapping[str, Sequence[tuple[str, float]]]
"""For words of a query, the words that mean much the same, each with what it counts for, above 0 to 1."""


class QueryTerms(NamedTuple):
    """The terms that a query looks for (t of them), those of related words too.

    ``hashes`` (t,) uint64, strictly ascending. ``weights`` (t,) float64: how often the query holds the term, or what a
    related word counts for. ``caps`` (t,) int64: the place of the term whose idf bounds this term's; for the query's
    own terms their own place, for a related word's that of the word it is related to.
    """

    hashes: NDArray[np.uint64]
    weights: NDArray[np.float64]
    caps: NDArray[np.int64]


def related_terms(text: str, languages: Collection[str], related: Related) -> QueryTerms:
    """The terms of ``text`` against documents in ``languages``, and those of the words ``related`` to its words.

    A related word that is rarer than the word it stands for must not outweigh it, hence the caps. A word of the query
    counts as itself, not as related to another; a word related to several counts once, for the most.
    Raises :class:`memagent.errors.UnknownName` for an unknown language.
    """
    own: dict[int, float] = {}
    others: dict[int, tuple[float, int]] = {}
    for word, terms in content_words(text, languages):
        for term in terms:
            own[term] = own.get(term, 0.0) + 1.0
        for other, weight in related.get(word, ()):
            for term in terms_of_word(other, languages):
                others[term] = max(others.get(term, (0.0, 0)), (weight, terms[0]))
    for term in own:
        others.pop(term, None)
    hashes = np.array(sorted([*own, *others]), dtype=np.uint64)
    places = {term: place for place, term in enumerate(hashes.tolist())}
    entries = [(own[term], term) if term in own else others[term] for term in places]
    return QueryTerms(
        hashes,
        np.array([weight for weight, _ in entries], dtype=np.float64),
        np.array([places[cap] for _, cap in entries], dtype=np.int64),
    )
