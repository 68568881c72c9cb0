"""What a bank works out of its units and links for their sessions: groups of turns, edges of the association graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memagent.bank.port import Columns, Edges, Groups
from memagent.stores.links import NODE_KINDS, Links

if TYPE_CHECKING:
    from numpy.typing import NDArray


def groups_of(turns: Columns, sessions: Columns) -> Groups:
    """The sessions of these turns, and where each turn belongs."""
    numbers, index = np.unique(turns.sessions, return_inverse=True)
    units = np.full(len(numbers), -1, np.int64)
    if len(sessions.keys) and len(numbers):
        order = np.argsort(sessions.sessions, kind="stable")
        known = sessions.sessions[order]
        places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        found = known[places] == numbers
        units[found] = sessions.keys[order][places[found]]
    return Groups(sessions=numbers, units=units, index=index)


def edges_from(links: Links, made_with: str) -> Edges:
    """What nodes initiate as undirected edges, and the sessions none of whose nodes waits to be fitted again."""
    pairs = np.sort(links.pairs(), axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    new = np.ones(len(pairs), np.bool_)
    new[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    sessions = links.nodes // len(NODE_KINDS)
    return Edges(pairs[new], np.setdiff1d(sessions, sessions[np.isnan(links.floors)]), made_with)


def edges_among(edges: Edges, sessions: NDArray[np.int64]) -> Edges:
    """The edges between some sessions."""
    among = np.isin(edges.pairs // len(NODE_KINDS), sessions).all(axis=1)
    return Edges(edges.pairs[among], edges.linked[np.isin(edges.linked, sessions)], edges.made_with)
