"""The units of some sessions as a writing transaction sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.bank.bank import MemoryBank
from memagent.bank.port import Columns, Groups
from memagent.bank.session_arrays import groups_of
from memagent.bank.shelf import Shelf, loaded, shelved
from memagent.records import Granularity
from memagent.stores.port import IndexRow, ReadTransaction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.records import Vectors


class _Part(NamedTuple):
    """The units of one granularity: ``rows`` (n,) in ``matrix``, or, where negative, ``-1 - row`` in ``changed``."""

    columns: Columns
    rows: NDArray[np.int64]
    matrix: Vectors
    changed: Vectors


class Snapshot:
    """What an open transaction sees of some sessions: a bank's indexes, and what came, changed or went since.

    It gives what the association graph is made of, as a view does, and leaves the bank alone: if the transaction
    fails, nothing of it stays there. Valid until the bank is refreshed; the transaction must hold its store's lock.
    """

    def __init__(self, bank: MemoryBank, transaction: ReadTransaction, sessions: NDArray[np.int64]) -> None:
        """``sessions``: their numbers."""
        delta = transaction.delta(bank.revision)
        by_granularity = shelved(delta.rows)
        removed = np.array(delta.removed, np.int64)
        self._dim = bank.dim
        self._sessions = sessions
        self._parts = {g: self._part(shelf, by_granularity[g], removed) for g, shelf in bank.shelves.items()}
        self._groups: Groups | None = None

    def _part(self, shelf: Shelf, rows: Sequence[IndexRow], removed: NDArray[np.int64]) -> _Part:
        changes = Shelf(self._dim)
        if rows:
            loaded(changes, rows)
        old, new = shelf.columns(), changes.columns()
        kept = np.isin(old.sessions, self._sessions)
        if len(removed) or rows:
            kept &= ~np.isin(old.keys, np.concatenate([removed, new.keys]))
        came = np.isin(new.sessions, self._sessions)
        places = np.concatenate([np.flatnonzero(kept), -1 - np.flatnonzero(came)])
        columns = Columns(*(np.concatenate([a[kept], b[came]]) for a, b in zip(old, new, strict=True)))
        order = np.argsort(columns.keys, kind="stable")
        # The matrix of ``changes`` is copied: it is a view into an index that goes with this call.
        return _Part(
            Columns(*(column[order] for column in columns)),
            places[order],
            shelf.index.matrix,
            changes.index.matrix.copy(),
        )

    def columns(self, granularity: Granularity) -> Columns:
        """The units of a granularity, in key order."""
        return self._parts[granularity].columns

    def groups(self) -> Groups:
        """The sessions of the turns."""
        if self._groups is None:
            self._groups = groups_of(self.columns(Granularity.TURN), self.columns(Granularity.SESSION))
        return self._groups

    def vectors(self, keys: Sequence[int] | NDArray[np.int64]) -> Vectors:
        """Unit vectors of units of one granularity, (len(keys), dim); perhaps a view of the bank's own."""
        wanted = np.asarray(keys, dtype=np.int64)
        if not len(wanted):
            return np.empty((0, self._dim), np.float32)
        for part in self._parts.values():
            known = part.columns.keys
            places = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
            if len(known) and (known[places] == wanted).all():
                rows = part.rows[places]
                if rows[0] >= 0 and (np.diff(rows) == 1).all():
                    return part.matrix[rows[0] : rows[-1] + 1]
                changed = rows < 0
                out = np.empty((len(rows), self._dim), np.float32)
                out[~changed] = part.matrix[rows[~changed]]
                out[changed] = part.changed[-1 - rows[changed]]
                return out
        raise KeyError("the keys are not those of units of one granularity")
