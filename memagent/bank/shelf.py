"""The indexes over the units of one granularity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from memagent.bank.port import Columns
from memagent.errors import InvalidVector, StoreCorrupt
from memagent.index import VectorIndex
from memagent.lexical import LexicalIndex, languages_of, terms_from_many
from memagent.stores.port import IndexRow


class Shelf:
    """Vectors, columns and postings of one granularity, all in key order.

    The postings are built when they are first asked for: a user who is only searched by vector does not pay
    for them.
    """

    def __init__(self, dim: int) -> None:
        self.index = VectorIndex(dim)
        self.sessions: NDArray[np.int64] = np.empty(0, np.int64)
        self.event_at: NDArray[np.int64] = np.empty(0, np.int64)
        self._lexical = LexicalIndex()
        self._unread: list[IndexRow] = []
        self._trailers: dict[int, bytes] = {}

    def columns(self) -> Columns:
        """All units."""
        return Columns(self.index.keys, self.sessions, self.event_at)

    def put(self, rows: Sequence[IndexRow]) -> None:
        """Take in new and changed units, ascending by key."""
        keys = np.fromiter((row.key for row in rows), np.int64, len(rows))
        sessions = np.fromiter((row.session for row in rows), np.int64, len(rows))
        event_at = np.fromiter((row.event_at for row in rows), np.int64, len(rows))
        before = self.index.keys
        self.index.put(keys, self._vectors(rows))
        if len(self.index) == len(before) + len(keys) and (not len(before) or keys[0] > before[-1]):
            self.sessions = np.concatenate([self.sessions, sessions])
            self.event_at = np.concatenate([self.event_at, event_at])
        else:
            self.sessions = self._merged(before, self.sessions, keys, sessions)
            self.event_at = self._merged(before, self.event_at, keys, event_at)
        self._unread.extend(rows)

    def _vectors(self, rows: Sequence[IndexRow]) -> NDArray[np.float32]:
        dim = self.index.dim
        parts = [row.vector if row.vector is not None else b"" for row in rows]
        if any(len(part) != 4 * dim for part in parts):
            raise StoreCorrupt("a stored vector is missing or has the wrong width", hint="run `memagent verify`")
        return np.frombuffer(b"".join(parts), dtype="<f4").reshape(len(rows), dim)

    def _merged(
        self, old_keys: NDArray[np.int64], old: NDArray[np.int64], keys: NDArray[np.int64], new: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        merged = np.empty(len(self.index), np.int64)
        merged[self.index.rows(old_keys)] = old
        merged[self.index.rows(keys)] = new
        return merged

    def remove(self, keys: Iterable[int]) -> None:
        """Drop units; keys of other granularities are ignored."""
        gone = np.fromiter(keys, np.int64)
        keep = ~np.isin(self.index.keys, gone)
        if keep.all():
            return
        self._read_terms()
        removed = self.index.keys[~keep]
        self._lexical.remove(removed)
        for key in removed.tolist():
            self._trailers.pop(key, None)
        self.sessions, self.event_at = self.sessions[keep], self.event_at[keep]
        self.index.remove(removed)

    def lexical(self) -> LexicalIndex:
        """The postings, up to date."""
        self._read_terms()
        return self._lexical

    def languages(self, visible: NDArray[np.bool_] | None) -> frozenset[str]:
        """The languages of the visible units: a query is analyzed under each of them, and under no other."""
        self._read_terms()
        keys = self.index.keys if visible is None else self.index.keys[visible]
        if len(set(self._trailers.values())) > 1 and visible is not None:
            return languages_of({self._trailers.get(key, b"") for key in keys.tolist()})
        return languages_of(set(self._trailers.values())) if len(keys) else frozenset()

    def _read_terms(self) -> None:
        if not self._unread:
            return
        latest = {row.key: row for row in self._unread}  # a unit may have changed more than once
        rows = [latest[key] for key in sorted(latest)]
        blobs = [row.terms for row in rows]
        self._lexical.add(
            np.fromiter((row.key for row in rows), np.int64, len(rows)),
            np.fromiter((row.session for row in rows), np.int64, len(rows)),
            terms_from_many(blobs),
        )
        # The last byte of stored terms names their language.
        self._trailers.update((row.key, row.terms[-1:]) for row in rows)
        self._unread = []


def loaded(shelf: Shelf, rows: Sequence[IndexRow]) -> None:
    """Put stored rows on a shelf; unusable vectors mean a damaged file here, not a caller's mistake."""
    try:
        shelf.put(rows)
    except InvalidVector as error:
        raise StoreCorrupt(f"a stored vector is damaged: {error.message}", hint="run `memagent verify`") from error
