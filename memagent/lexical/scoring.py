"""The BM25 formula, over postings."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from memagent.lexical.postings import Matches
from memagent.lexical.visible import DocumentKind, Visible

_DENSE = 1 << 20
"""Up to so many pairs of term and document, counts are summed in a table of all pairs (8 MiB)."""


class Scorer:
    """Scores the visible documents for one query.

    With N documents, n of them holding a term, f its count in a document of length l, and L the mean length,
    a term that occurs q times in the query adds
    ``q * ln(1 + (N - n + 0.5) / (n + 0.5)) * f * (k1 + 1) / (f + k1 * (1 - b + b * l / L))``
    (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, with Lucene's
    idf, which is never negative). Documents without any term count in N and L.

    ``matches`` are the postings of the query's terms, ``repeats`` (t,) how often each term occurs in it, or what it
    counts for. With ``caps`` (t,) int64 a term's idf is at most that of the term in that place.
    """

    def __init__(
        self,
        matches: Matches,
        repeats: NDArray[np.uint32] | NDArray[np.float64],
        shown: Visible,
        k1: float,
        b: float,
        caps: NDArray[np.int64] | None = None,
    ) -> None:
        places = shown.place[matches.slots]
        seen = np.flatnonzero(places >= 0)
        self._places = places[seen]
        self._terms = matches.terms[seen]
        self._counts = matches.counts[seen].astype(np.float64)
        self._repeats = repeats.astype(np.float64)
        self._caps = caps
        self._shown = shown
        self._k1 = k1
        self._b = b

    def scores(self, kind: DocumentKind) -> NDArray[np.float64]:
        """The score of every visible document of a kind."""
        parts, size = self._shown.parts(kind), self._shown.size(kind)
        if not len(self._places):
            return np.zeros(size)
        if kind == "turn":
            terms, documents, counts = self._terms, self._places, self._counts
        else:
            terms, documents, counts = self._sums([part[self._places] for part in parts], size)
        frequency = np.bincount(terms, minlength=len(self._repeats))
        idf = np.log1p((size - frequency + 0.5) / (frequency + 0.5))
        if self._caps is not None:
            idf = np.minimum(idf, idf[self._caps])
        lengths = self._shown.lengths(kind)
        norms = self._k1 * (1 - self._b + self._b * (lengths / lengths.mean()))
        weights = self._repeats * idf * (self._k1 + 1)
        return _binned(documents, weights[terms] * counts / (counts + norms[documents]), size)

    def _sums(
        self, parts: list[NDArray[np.int64]], size: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Term, document and count for each pair that occurs; a turn adds to its document in each of ``parts``."""
        inside = [np.flatnonzero(part >= 0) for part in parts]
        cells = np.concatenate(
            [self._terms[rows] * size + part[rows] for rows, part in zip(inside, parts, strict=True)]
        )
        counts = np.concatenate([self._counts[rows] for rows in inside])
        every = len(self._repeats) * size
        if every <= max(_DENSE, len(cells)):
            table = _binned(cells, counts, every).reshape(-1, size)
            terms, documents = np.nonzero(table)
            return terms, documents, table[terms, documents]
        pairs, inverse = np.unique(cells, return_inverse=True)
        terms, documents = np.divmod(pairs, size)
        return terms, documents, _binned(inverse, counts, len(pairs))


def _binned(places: NDArray[np.int64], weights: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The sum of the weights at each of ``size`` places, added up in their order."""
    sums: NDArray[np.float64] = np.bincount(places, weights=weights, minlength=size).astype(np.float64, copy=False)
    return sums
