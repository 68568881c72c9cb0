"""Posting lists in NumPy arrays: which document holds which term how often.

Documents are named by slots, numbers given in the order they arrive. Postings lie in segments sorted by
term; new ones wait in a small buffer, which becomes a segment when it is full, and a segment is merged
with its neighbours once they are no longer much larger (so each posting is moved O(log n) times).
Postings of dead slots are skipped by the reader and dropped by the next merge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_BUFFER = 2048
"""Postings that are kept unsorted at most: reading that many costs about 20 microseconds."""
_GROWTH = 4
"""A segment is at least this many times as large as the one after it."""


class Postings(NamedTuple):
    """p postings: ``terms`` (p,) uint64 hashes, ``slots`` (p,) int32, ``counts`` (p,) uint32."""

    terms: NDArray[np.uint64]
    slots: NDArray[np.int32]
    counts: NDArray[np.uint32]

    @classmethod
    def join(cls, parts: Sequence[Postings]) -> Postings:
        """The postings of all parts (at least one), in their order."""
        return cls(
            np.concatenate([part.terms for part in parts]),
            np.concatenate([part.slots for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )

    def of(self, alive: NDArray[np.bool_]) -> Postings:
        """Those of the slots for which ``alive`` (slots,) is True."""
        keep = alive[self.slots]
        return self if keep.all() else Postings(self.terms[keep], self.slots[keep], self.counts[keep])


class Matches(NamedTuple):
    """Postings of a query's terms: ``terms`` (p,) int64 positions in the query, ``slots`` (p,), ``counts`` (p,)."""

    terms: NDArray[np.int64]
    slots: NDArray[np.int32]
    counts: NDArray[np.uint32]


class _Segment:
    """Postings sorted by term: term ``terms[i]`` has the rows ``starts[i]`` to ``starts[i + 1]``."""

    def __init__(self, postings: Postings) -> None:
        order = _order(postings.terms)
        ordered = postings.terms[order]
        self.slots = postings.slots[order]
        self.counts = postings.counts[order]
        first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
        self.terms = ordered[first]
        self.starts = np.append(first, len(ordered))

    def __len__(self) -> int:
        return len(self.slots)

    @property
    def nbytes(self) -> int:
        return self.slots.nbytes + self.counts.nbytes + self.terms.nbytes + self.starts.nbytes

    def postings(self) -> Postings:
        return Postings(np.repeat(self.terms, np.diff(self.starts)), self.slots, self.counts)

    def find(self, query: NDArray[np.uint64]) -> list[Matches]:
        """The postings of each term of ``query`` that occurs."""
        if not len(self.terms):
            return []
        places = np.minimum(np.searchsorted(self.terms, query), len(self.terms) - 1)
        found = np.flatnonzero(self.terms[places] == query)
        starts, ends = self.starts[places[found]].tolist(), self.starts[places[found] + 1].tolist()
        return [
            Matches(np.full(end - start, term), self.slots[start:end], self.counts[start:end])
            for term, start, end in zip(found.tolist(), starts, ends, strict=True)
        ]


class PostingStore:
    """All postings of an index."""

    def __init__(self) -> None:
        self._segments: list[_Segment] = []
        self._buffer: list[Postings] = []
        self._waiting = 0

    def add(self, postings: Postings, alive: Callable[[], NDArray[np.bool_]]) -> None:
        """Add the postings of new slots; ``alive`` gives (slots,) bool: which slots are still in use."""
        self._buffer.append(postings)
        self._waiting += len(postings.slots)
        if self._waiting > _BUFFER:
            self._flush(alive())

    def rebuild(self, alive: NDArray[np.bool_]) -> None:
        """Drop all dead postings, and renumber the slots in use as 0, 1, 2 ... in their order."""
        parts = [*(segment.postings() for segment in self._segments), *self._buffer]
        kept = Postings.join(parts).of(alive)
        number = (np.cumsum(alive) - 1).astype(np.int32)
        self._segments = [_Segment(kept._replace(slots=number[kept.slots]))]
        self._buffer, self._waiting = [], 0

    def find(self, query: NDArray[np.uint64]) -> Matches:
        """The postings of the terms ``query`` (q,), ascending; dead ones included.

        The postings of one slot are in the order of their terms, however the index came about: sums over
        them round the same way each time.
        """
        parts = [part for segment in self._segments for part in segment.find(query)]
        if self._buffer and len(query):
            parts.append(self._find_waiting(query))
        if not parts:
            return Matches(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint32))
        return Matches(
            np.concatenate([part.terms for part in parts]),
            np.concatenate([part.slots for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays."""
        buffered = sum(column.nbytes for part in self._buffer for column in part)
        return buffered + sum(segment.nbytes for segment in self._segments)

    def _find_waiting(self, query: NDArray[np.uint64]) -> Matches:
        self._buffer = [Postings.join(self._buffer)]
        terms, slots, counts = self._buffer[0]
        places = np.minimum(np.searchsorted(query, terms), len(query) - 1)
        found = np.flatnonzero(query[places] == terms)
        return Matches(places[found], slots[found], counts[found])

    def _flush(self, alive: NDArray[np.bool_]) -> None:
        merged = [Postings.join(self._buffer)]
        size = self._waiting
        while self._segments and len(self._segments[-1]) < _GROWTH * size:
            segment = self._segments.pop()
            size += len(segment)
            merged.append(segment.postings())
        self._segments.append(_Segment(Postings.join(merged[::-1]).of(alive)))
        self._buffer, self._waiting = [], 0


def _order(terms: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The stable order that sorts ``terms``.

    NumPy sorts values an order of magnitude faster than it finds the order of positions. So the low bits
    of each hash are replaced by its position and the values are sorted: the low bits of the result are
    the order. Should two hashes differ in the replaced bits only, the slow way is taken.
    """
    bits = max(1, (len(terms) - 1).bit_length())
    low = np.uint64((1 << bits) - 1)
    packed = (terms & ~low) | np.arange(len(terms), dtype=np.uint64)
    packed.sort()
    order = (packed & low).view(np.int64)
    ordered = terms[order]
    if (ordered[1:] < ordered[:-1]).any():
        return np.argsort(terms, kind="stable")
    return order
