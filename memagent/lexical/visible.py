"""Which documents are visible, and how visible turns form windows and sessions."""

from __future__ import annotations

from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from memagent.errors import UnknownName

DocumentKind: TypeAlias = Literal["turn", "window", "session"]
"""What is scored as one document."""


class Layout(NamedTuple):
    """The living documents in key order (n of them).

    ``keys``, ``slots``, ``lengths`` (n,) int64; ``sessions`` (g,) int64, ascending: the distinct session
    numbers; ``groups`` (n,) int64: for each document its place in ``sessions``; ``before`` and ``after``
    (n,) int64: the place of its neighbour in key order within its session, -1 at the session's ends.
    """

    keys: NDArray[np.int64]
    slots: NDArray[np.int64]
    lengths: NDArray[np.int64]
    sessions: NDArray[np.int64]
    groups: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        keys: NDArray[np.int64],
        slots: NDArray[np.int64],
        lengths: NDArray[np.int64],
        numbers: NDArray[np.int64],
    ) -> Layout:
        """The layout of documents with ascending ``keys``; ``numbers`` (n,): each one's session number."""
        order = np.argsort(numbers, kind="stable")
        ordered = numbers[order]
        begins = np.ones(len(order), np.bool_)
        begins[1:] = ordered[1:] != ordered[:-1]
        groups = np.empty(len(order), np.int64)
        groups[order] = np.cumsum(begins) - 1
        before, after = np.full(len(order), -1), np.full(len(order), -1)
        inner = np.flatnonzero(~begins)  # in session order: the rows whose predecessor is of the same session
        before[order[inner]] = order[inner - 1]
        after[order[inner - 1]] = order[inner]
        return cls(keys, slots, lengths, ordered[begins], groups, before, after)


class Visible:
    """The visible documents (m of n), and the scored documents made of them.

    A scored document is named by its place among those of its kind: turns and windows in key order,
    sessions in the order of their numbers. ``mask`` (n,) bool or None for all; ``place`` (slots,) int64:
    the place of the turn in each slot, -1 where it is dead or hidden.
    """

    def __init__(self, layout: Layout, mask: NDArray[np.bool_] | None, slots: int) -> None:
        self._layout = layout
        self._lengths: dict[DocumentKind, NDArray[np.float64]] = {}
        self.mask = mask
        self._rows = np.arange(len(layout.keys)) if mask is None else np.flatnonzero(mask)
        own = np.arange(len(self._rows))
        self.place = np.full(slots, -1)
        self.place[layout.slots[self._rows]] = own
        self._place_of_row = np.full(len(layout.keys) + 1, -1)  # its last entry answers for "no neighbour", -1
        self._place_of_row[self._rows] = own

    @cached_property
    def sessions(self) -> NDArray[np.int64]:
        """The numbers of the sessions with a visible turn, ascending."""
        return self._layout.sessions[self._present]

    def size(self, kind: DocumentKind) -> int:
        """How many documents of this kind there are."""
        return len(self.sessions) if kind == "session" else len(self._rows)

    def parts(self, kind: DocumentKind) -> list[NDArray[np.int64]]:
        """The documents that each visible turn is a part of: arrays (m,) of places, -1 for none.

        Raises :class:`memagent.errors.UnknownName` for an unknown kind.
        """
        match kind:
            case "turn":
                return [np.arange(len(self._rows))]
            case "window":
                return self._windows
            case "session":
                return [self._groups]
        raise UnknownName(f"unknown kind of document {kind!r}", hint="use 'turn', 'window' or 'session'")

    def lengths(self, kind: DocumentKind) -> NDArray[np.float64]:
        """The number of terms in each document."""
        if kind not in self._lengths:
            own = self._layout.lengths[self._rows].astype(np.float64)
            total = np.zeros(self.size(kind))
            for part in self.parts(kind):
                inside = part >= 0
                total += np.bincount(part[inside], weights=own[inside], minlength=len(total))
            self._lengths[kind] = total
        return self._lengths[kind]

    @cached_property
    def _present(self) -> NDArray[np.bool_]:
        counts = np.bincount(self._layout.groups[self._rows], minlength=len(self._layout.sessions))
        present: NDArray[np.bool_] = counts > 0
        return present

    @cached_property
    def _groups(self) -> NDArray[np.int64]:
        number: NDArray[np.int64] = np.cumsum(self._present) - 1
        return number[self._layout.groups[self._rows]]

    @cached_property
    def _windows(self) -> list[NDArray[np.int64]]:
        neighbours = (self._layout.before, self._layout.after)
        return [np.arange(len(self._rows)), *(self._place_of_row[rows[self._rows]] for rows in neighbours)]
