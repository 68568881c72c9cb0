"""The association graph as it is stored: what each node initiates, as arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memagent.records import Granularity

if TYPE_CHECKING:
    from numpy.typing import NDArray

NODE_KINDS = (Granularity.SESSION, Granularity.TURN, Granularity.SUMMARY, Granularity.KEYWORDS)
"""What a session's nodes stand for; a node's id is its session's number * 4 + the place of its kind in here."""


def nodes_of_units(units: Iterable[tuple[int, str]]) -> set[int]:
    """The ids of the nodes made of units, given as (number of the session, granularity)."""
    kinds = {str(granularity): place for place, granularity in enumerate(NODE_KINDS)}
    return {number * len(NODE_KINDS) + kinds[name] for number, name in units if name in kinds}


class Links(NamedTuple):
    """What nodes initiate (n nodes, ascending by id).

    ``nodes`` (n,) int64: their ids. ``floors`` (n,) float64: how similar an earlier node must be to be able to change
    what the node initiates; NaN marks a node that must be fitted again, because one it was compared with has gone.
    ``counts`` (n,) int64: how many targets each has; ``targets`` (sum of counts,) int64: theirs, one after the other.
    """

    nodes: NDArray[np.int64]
    floors: NDArray[np.float64]
    counts: NDArray[np.int64]
    targets: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, float, NDArray[np.int64]]]) -> Links:
        """Links from (node, floor, targets)."""
        listed = sorted(rows, key=lambda row: row[0])
        return cls(
            np.array([row[0] for row in listed], np.int64),
            np.array([row[1] for row in listed], np.float64),
            np.array([len(row[2]) for row in listed], np.int64),
            np.concatenate([np.empty(0, np.int64), *(row[2] for row in listed)]),
        )

    def pairs(self) -> NDArray[np.int64]:
        """The node that initiates and its target, (m, 2) int64, in the order of ``targets``."""
        return np.stack([np.repeat(self.nodes, self.counts), self.targets], axis=1)

    def chosen(self, rows: NDArray[np.bool_]) -> Links:
        """The links of these nodes; ``rows`` (n,)."""
        kept = np.repeat(rows, self.counts)
        return Links(self.nodes[rows], self.floors[rows], self.counts[rows], self.targets[kept])

    def without(self, nodes: Iterable[int]) -> Links:
        """These links when ``nodes`` go: neither there nor named; those that named them must be fitted again."""
        gone = np.fromiter(nodes, np.int64)
        left = self.chosen(~np.isin(self.nodes, gone))
        owners = np.repeat(np.arange(len(left.nodes)), left.counts)
        named = np.isin(left.targets, gone)
        floors = left.floors.copy()
        floors[owners[named]] = np.nan
        counts = np.bincount(owners[~named], minlength=len(left.nodes)).astype(np.int64)
        return Links(left.nodes, floors, counts, left.targets[~named])

    def loosened(self, rows: NDArray[np.bool_]) -> Links:
        """The links of these nodes, marked to be fitted again; ``rows`` (n,)."""
        chosen = self.chosen(rows)
        return chosen._replace(floors=np.full(len(chosen.nodes), np.nan))


def stored_links(rows: Sequence[tuple[Any, Any, Any]]) -> Links:
    """Links from rows of a database, ascending: node, floor or None, targets as little-endian int64.

    Raises TypeError or ValueError for what is not that.
    """
    nodes, floors, targets = zip(*rows, strict=True) if rows else ((), (), ())
    if not (set(map(type, floors)) <= {float, type(None)} and set(map(type, targets)) <= {bytes}):
        raise TypeError("a link has a column of another type")
    sizes = np.fromiter(map(len, targets), np.int64, len(targets))
    if (sizes % 8).any():
        raise ValueError("a link has a part of a target")
    return Links(
        np.array(nodes, np.int64),
        np.array([math.nan if floor is None else floor for floor in floors], np.float64),
        sizes // 8,
        np.frombuffer(b"".join(targets), "<i8").astype(np.int64, copy=False),
    )
