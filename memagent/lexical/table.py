"""The documents of an index and the slots they have in its postings."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from memagent.errors import InvalidInput
from memagent.lexical.visible import Layout, Visible

_KEY, _SESSION, _LENGTH, _SIZE = range(4)
_DEAD = -1
_SLACK = 4096
"""Dead postings that are kept at least, and besides half as many as there are living ones."""


class DocumentTable:
    """Every document that has a slot; dead ones keep theirs until :meth:`compact`.

    The layout of the living documents and the last visible part of it are computed when they are asked
    for and kept until the next change.
    """

    def __init__(self) -> None:
        self._table = np.empty((4, 64), np.int64)  # a column for each slot: key, session, length, distinct terms
        self._used = 0
        self._slot_of: dict[int, int] = {}
        self._living = 0
        self._dead = 0
        self._layout: Layout | None = None
        self._visible: Visible | None = None

    def __len__(self) -> int:
        return len(self._slot_of)

    @property
    def slots(self) -> int:
        """The number that the next document gets."""
        return self._used

    @property
    def nbytes(self) -> int:
        """Bytes held, the dictionary of slots included (at 64 bytes for the numbers of an entry)."""
        return self._table.nbytes + sys.getsizeof(self._slot_of) + 64 * len(self._slot_of)

    def add(
        self,
        keys: NDArray[np.int64],
        sessions: NDArray[np.int64],
        lengths: NDArray[np.int64],
        sizes: NDArray[np.int64],
    ) -> None:
        """Give each document the next slot; a key that had one loses it. ``sizes`` (m,): distinct terms."""
        first, self._used = self._used, self._used + len(keys)
        if self._used > self._table.shape[1]:
            grown = np.empty((4, max(self._used, 2 * self._table.shape[1])), np.int64)
            grown[:, :first] = self._table[:, :first]
            self._table = grown
        self._table[:, first : self._used] = keys, sessions, lengths, sizes
        self._living += int(sizes.sum()) + len(keys)
        slots = dict(zip(keys.tolist(), range(first, self._used), strict=True))
        if len(slots) == len(keys) and slots.keys().isdisjoint(self._slot_of.keys()):
            self._slot_of.update(slots)
        else:
            for slot, key in enumerate(keys.tolist(), first):
                self._kill(self._slot_of.get(key))
                self._slot_of[key] = slot
        self._changed()

    def remove(self, keys: NDArray[np.int64]) -> None:
        """Take the slots of these keys; keys that have none are passed over."""
        for key in keys.tolist():
            self._kill(self._slot_of.pop(key, None))
        self._changed()

    def alive(self) -> NDArray[np.bool_]:
        """For each slot whether its document is still there."""
        alive: NDArray[np.bool_] = self._table[_SIZE, : self._used] != _DEAD
        return alive

    def wasteful(self) -> bool:
        """Whether dead documents hold so much that :meth:`compact` is worth its cost."""
        return self._dead > _SLACK + self._living // 2

    def compact(self) -> None:
        """Drop the dead slots and renumber the others 0, 1, 2 ... in their order."""
        self._table = self._table[:, : self._used][:, self.alive()]
        self._used = self._table.shape[1]
        self._slot_of = dict(zip(self._table[_KEY].tolist(), range(self._used), strict=True))
        self._dead = 0
        self._changed()

    def layout(self) -> Layout:
        """The living documents in key order."""
        if self._layout is None:
            slots = np.flatnonzero(self.alive())
            keys = self._table[_KEY, slots]
            if (keys[1:] < keys[:-1]).any():
                order = np.argsort(keys)
                slots, keys = slots[order], keys[order]
            self._layout = Layout.of(keys, slots, self._table[_LENGTH, slots], self._table[_SESSION, slots])
        return self._layout

    def visible(self, mask: NDArray[np.bool_] | None) -> Visible:
        """The documents that ``mask`` (n,) bool, in key order, shows; all of them for None.

        Raises :class:`memagent.errors.InvalidInput` for a mask of another shape or dtype.
        """
        if mask is not None and (mask.dtype != np.bool_ or mask.shape != (len(self),)):
            raise InvalidInput(
                f"the mask has dtype {mask.dtype} and shape {mask.shape}", hint=f"it is bool of shape ({len(self)},)"
            )
        if self._visible is None or not _same(mask, self._visible.mask):
            # a copy: the caller may change the mask afterwards
            self._visible = Visible(self.layout(), None if mask is None else mask.copy(), self._used)
        return self._visible

    def _kill(self, slot: int | None) -> None:
        if slot is not None:
            weight = int(self._table[_SIZE, slot]) + 1
            self._living -= weight
            self._dead += weight
            self._table[_SIZE, slot] = _DEAD

    def _changed(self) -> None:
        self._layout = self._visible = None


def _same(mask: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> bool:
    if mask is None or other is None:
        return mask is other
    return np.array_equal(mask, other)
