"""Keeps the association graph of a user true: in the transaction that derives, changes or removes a session.

The graph in the store is at any moment what :func:`memagent.retrievers.association.links` gives for all sessions in it,
except where a node is marked: it was compared with one that has changed or gone, and is fitted again at the next
derivation. A session enters when its derived units are written, and leaves before it changes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from memagent.bank.bank import MemoryBank
from memagent.bank.snapshot import Snapshot
from memagent.errors import StoreCorrupt
from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.records import Granularity
from memagent.retrievers.association import Association, Nodes, affected, links, nodes_of, settings_text
from memagent.stores.links import NODE_KINDS, Links
from memagent.stores.port import ReadTransaction, WriteTransaction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.bank.port import BankView

_AT_ONCE = 1000  # nodes fitted in one transaction: other writers wait for its end


@contextmanager
def writing(core: Core, bank: MemoryBank, *, link: bool = True) -> Iterator[tuple[WriteTransaction, Graph]]:
    """A writing transaction, and the association graph in it; with ``link`` False sessions are left to enter later."""
    association = core.association if link else None
    if association is not None:
        # What the bank knows need not be read inside the transaction, while others wait. What it cannot read is no
        # reason to refuse a deletion; to link sessions it is, and raises there.
        with suppress(StoreCorrupt), bank.store.read() as reader:
            bank.refresh(reader)
    with bank.store.write() as transaction:
        yield transaction, Graph(bank, transaction, association)


def _knows_space(bank: MemoryBank) -> bool:
    """Whether the bank has the vectors of the encoder that the store names, which another process may have changed."""
    stored = bank.store.encoder()
    return stored is None or stored == bank.space


class Graph:
    """The association graph of one user inside one writing transaction."""

    def __init__(self, bank: MemoryBank, transaction: WriteTransaction, association: Association | None) -> None:
        self._bank = bank
        self._tx = transaction
        self._association = association

    def leave(self, sessions: Collection[int]) -> None:
        """Take sessions out, by their numbers; to be called before their vectors change or go.

        Later nodes whose links this may change are marked; all, if the graph was made with other settings than those
        in force, or vectors are damaged.
        """
        if not sessions:
            return
        try:
            before = self._tx.links()
        except StoreCorrupt:  # it can be made again
            self._tx.delete_links()
            return
        going = np.isin(before.nodes // len(NODE_KINDS), np.fromiter(sessions, np.int64))
        if going.any():
            concerned = self._concerned(before, going)
            gone = before.nodes[going].tolist()
            self._tx.delete_links(gone)
            self._tx.save_links(before.without(gone).loosened(concerned[~going]))

    def _concerned(self, stored: Links, going: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which stored nodes may get other links when those that are ``going`` go, (n,)."""
        association = self._association
        if association is not None and self._is_made_with(association) and _knows_space(self._bank):
            with suppress(StoreCorrupt):
                nodes = self._nodes(stored.nodes)
                changed = np.flatnonzero(np.isin(nodes.ids, stored.nodes[going]))
                rows = affected(nodes, changed, _known(_floors(stored, nodes)), association)
                return np.isin(stored.nodes, nodes.ids[rows])
        return np.ones(len(going), np.bool_)

    def enter(self, sessions: Collection[int]) -> int:
        """Put derived sessions in, by their numbers; fit the links that this may change, and those that are marked.

        How many nodes were fitted. There is a limit, since other writers wait; what is beyond it stays marked.
        """
        association = self._association
        if association is None or not _knows_space(self._bank):
            return 0
        if not self._is_made_with(association):
            self._tx.delete_links()
            self._tx.set_association(settings_text(association))
        try:
            before = self._tx.links()
        except StoreCorrupt:  # it can be made again: the other sessions are due now
            self._tx.delete_links()
            before = self._tx.links()
        nodes = self._nodes(before.nodes, sessions)
        floors = _floors(before, nodes)
        new = np.flatnonzero(~np.isin(nodes.ids, before.nodes))
        marked = np.setdiff1d(np.flatnonzero(np.isnan(floors)), new)
        again = np.union1d(marked, affected(nodes, new, _known(floors), association))
        room = max(0, _AT_ONCE - len(new))
        fitted = np.concatenate([new, again[:room]])
        self._tx.save_links(before.loosened(np.isin(before.nodes, nodes.ids[again[room:]])))
        self._tx.save_links(Links.of(links(nodes, fitted, association)))
        return len(fitted)

    def _is_made_with(self, association: Association) -> bool:
        return self._tx.association() == settings_text(association)

    def _nodes(self, stored: NDArray[np.int64], entering: Collection[int] = ()) -> Nodes:
        """All nodes of the sessions that are in the graph or entering it, as they are now."""
        wanted = np.union1d(stored // len(NODE_KINDS), np.fromiter(entering, np.int64))
        # nodes_of() asks for columns, groups and vectors, which a snapshot has.
        return nodes_of(cast("BankView", Snapshot(self._bank, self._tx, wanted)))


def _floors(stored: Links, nodes: Nodes) -> NDArray[np.float64]:
    """The floor of each node, (n,); NaN for those that are marked or not stored."""
    floors = np.full(len(nodes.ids), np.nan)
    is_stored = np.isin(nodes.ids, stored.nodes)
    floors[is_stored] = stored.floors[np.searchsorted(stored.nodes, nodes.ids[is_stored])]
    return floors


def _known(floors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Floors in which -inf, below which nothing is, stands for those that are not known."""
    return np.where(np.isnan(floors), -np.inf, floors)


def associate(core: Core, user_id: str) -> Flow[None]:
    """Put in the derived sessions that are not in the graph, and fit what is marked, until nothing is left to do."""
    while (yield partial(_associate_some, core, user_id)):
        pass


def _associate_some(core: Core, user_id: str) -> bool:
    """One transaction's worth of it; whether something was done."""
    association = core.association
    if association is None:
        return False
    with core.banks.lease(user_id) as bank:
        with bank.store.read() as reader:
            if not _is_due(reader, association):
                return False
        with writing(core, bank) as (transaction, graph):
            if transaction.association() != settings_text(association):
                transaction.delete_links()  # now all sessions are due
            due = _in_time(bank, transaction.unlinked())
            return graph.enter(due[: _AT_ONCE // len(NODE_KINDS)]) > 0


def _is_due(transaction: ReadTransaction, association: Association) -> bool:
    made_with = transaction.association()
    return made_with not in (None, settings_text(association)) or bool(transaction.unlinked())


def _in_time(bank: MemoryBank, sessions: Sequence[int]) -> list[int]:
    """Sessions in the order in which they were said: none of them then changes the links of those before it."""
    own = bank.shelves[Granularity.SESSION].columns()
    said = dict(zip(own.sessions.tolist(), own.event_at.tolist(), strict=True))
    return sorted(sessions, key=lambda number: (said.get(number, 0), number))
