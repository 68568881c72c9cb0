"""The indexes over the units of one granularity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from memagent.bank.port import Columns
from memagent.errors import InvalidVector, StoreCorrupt
from memagent.index import VectorIndex
from memagent.lexical import LexicalIndex, languages_of, term_table
from memagent.records import Granularity
from memagent.stores.port import IndexRow

_NO_TERMS = 255  # stands for the last byte of a text without terms
_NEVER = np.iinfo(np.int64).max


class Shelf:
    """Vectors, columns and postings of one granularity, all in key order.

    The postings are built when they are first asked for: a user who is only searched by vector does not pay
    for them.
    """

    def __init__(self, dim: int) -> None:
        self.index = VectorIndex(dim)
        # One column a unit: its session's number, when it was said, the last byte of its terms, when it was superseded.
        self._columns: NDArray[np.int64] = np.empty((4, 0), np.int64)
        self._lexical = LexicalIndex()
        self._unread: dict[int, tuple[int, bytes]] = {}
        self._languages: frozenset[str] | None = None

    def columns(self) -> Columns:
        """All units."""
        return Columns(self.index.keys, self._columns[0], self._columns[1])

    def current(self, as_of: int | None) -> NDArray[np.bool_]:
        """Which units no other has superseded, (n,); with ``as_of`` no other that was said by then."""
        current: NDArray[np.bool_] = self._columns[3] > (_NEVER - 1 if as_of is None else as_of)
        return current

    def put(self, rows: Sequence[IndexRow]) -> None:
        """Take in new and changed units, ascending by key."""
        numbers, _, sessions, event_at, terms, vectors, ends = zip(*rows, strict=True)
        keys = np.array(numbers, np.int64)
        last_bytes = [blob[-1] if blob else _NO_TERMS for blob in terms]
        facts = np.array([sessions, event_at, last_bytes, [_NEVER if e is None else e for e in ends]], np.int64)
        before = self.index.keys
        self.index.put(keys, self._matrix(vectors))
        if not len(before) or keys[0] > before[-1]:
            self._columns = np.concatenate([self._columns, facts], axis=1)
        else:
            merged = np.empty((4, len(self.index)), np.int64)
            merged[:, self.index.rows(before)] = self._columns
            merged[:, self.index.rows(keys)] = facts
            self._columns = merged
        # The vectors are not kept: they are in the index now.
        self._unread.update(zip(numbers, zip(sessions, terms, strict=True), strict=True))
        self._languages = None

    def _matrix(self, vectors: Sequence[bytes | None]) -> NDArray[np.float32]:
        dim = self.index.dim
        parts = [vector for vector in vectors if vector is not None]
        if len(parts) < len(vectors) or set(map(len, parts)) != {4 * dim}:
            raise StoreCorrupt("a stored vector is missing or has the wrong width", hint="run `memagent verify`")
        return np.frombuffer(b"".join(parts), dtype="<f4").reshape(len(parts), dim)

    def remove(self, keys: Iterable[int]) -> None:
        """Drop units; keys of other granularities are ignored."""
        keep = ~np.isin(self.index.keys, np.fromiter(keys, np.int64))
        if keep.all():
            return
        removed = self.index.keys[~keep]
        for key in removed.tolist():
            self._unread.pop(key, None)
        self._lexical.remove(removed)
        self._columns = self._columns[:, keep]
        self.index.remove(removed)
        self._languages = None

    def lexical(self) -> LexicalIndex:
        """The postings, up to date."""
        if self._unread:
            keys = sorted(self._unread)
            sessions, terms = zip(*(self._unread[key] for key in keys), strict=True)
            self._lexical.add(np.array(keys, np.int64), np.array(sessions, np.int64), term_table(terms))
            self._unread = {}
        return self._lexical

    def languages(self, visible: NDArray[np.bool_] | None) -> frozenset[str]:
        """The languages of the visible units: a query is analyzed under each of them, and under no other."""
        if visible is not None:
            return _languages_in(self._columns[2, visible])
        if self._languages is None:
            self._languages = _languages_in(self._columns[2])
        return self._languages


def shelved(rows: Iterable[IndexRow]) -> dict[Granularity, list[IndexRow]]:
    """Rows by the shelf they belong on. A document that is not to be found by its content has no vector, and no place.

    Every granularity is there, those without rows too.
    """
    placed: dict[Granularity, list[IndexRow]] = {granularity: [] for granularity in Granularity}
    for row in rows:
        if row.vector is not None or row.granularity is not Granularity.DOCUMENT:
            placed[row.granularity].append(row)
    return placed


def _languages_in(last_bytes: NDArray[np.int64]) -> frozenset[str]:
    # The last byte of stored terms names their language.
    found = np.flatnonzero(np.bincount(last_bytes, minlength=_NO_TERMS)[:_NO_TERMS])
    return languages_of(bytes([byte]) for byte in found.tolist())


def loaded(shelf: Shelf, rows: Sequence[IndexRow]) -> None:
    """Put stored rows on a shelf; unusable vectors mean a damaged file here, not a caller's mistake."""
    try:
        shelf.put(rows)
    except InvalidVector as error:
        raise StoreCorrupt(f"a stored vector is damaged: {error.message}", hint="run `memagent verify`") from error
