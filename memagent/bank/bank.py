"""One user's memory, opened: the indexes derived from the store, and restricted views of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from memagent.bank.filters import Predicate
from memagent.bank.port import Edges, Groups
from memagent.bank.session_arrays import edges_from, groups_of
from memagent.bank.shelf import Shelf, loaded, shelved
from memagent.bank.sums import lengths_of, turn_sums
from memagent.bank.view import View, incomplete
from memagent.errors import EncoderMismatch, StoreCorrupt
from memagent.records import Granularity
from memagent.stores.port import Attributes, ReadTransaction, UserStore

if TYPE_CHECKING:
    from numpy.typing import NDArray


Space: TypeAlias = tuple[str, int]
"""The fingerprint of an encoder, and the width of its vectors."""


class MemoryBank:
    """The indexes of one user.

    They are caches: built from the store when first needed, brought up to date before each search by what other
    handles have committed, and thrown away at will. Use it inside :meth:`view`, which holds the store's lock.
    ``encoder`` is asked for its space when a view is opened, not before: other uses of a bank need no encoder.
    """

    def __init__(self, store: UserStore, encoder: Callable[[], Space]) -> None:
        self.store = store
        self._encoder = encoder
        self._space: Space | None = None
        self._checked = 0
        self.revision = 0
        self._attributes: dict[int, Attributes] = {}
        self._groups: Groups | None = None
        self._turn_lengths: NDArray[np.float64] | None = None
        self._edges: tuple[int, Edges] | None = None

    @contextmanager
    def view(
        self,
        *,
        where: Predicate | None = None,
        as_of: int | None = None,
        superseded: bool = False,
        among: NDArray[np.int64] | None = None,
    ) -> Iterator[View]:
        """What may be seen now: units that pass ``where`` and were said at ``as_of`` (microseconds) or before.

        ``among``: the keys of those that have been chosen already, (n,); of turns, facts and documents alone.

        Facts of which another, said by then, has taken the place are seen only with ``superseded``.

        Everything done with the view sees one commit, the newest when the block is entered.
        """
        with self.store.read() as transaction:
            self.refresh(transaction)
            if self._checked != self.revision:
                self.check_encoder()
                self._checked = self.revision
            yield View(self, transaction, where, as_of, superseded=superseded, among=among)

    @property
    def space(self) -> Space:
        """Where the vectors come from: what the store says, and the encoder only where nothing is stored yet."""
        if self._space is None:
            self._space = self.store.encoder() or self._encoder()
        return self._space

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the encoder that the vectors come from."""
        return self.space[0]

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self.space[1]

    @cached_property
    def shelves(self) -> dict[Granularity, Shelf]:
        """The indexes, as of ``revision``."""
        return {granularity: Shelf(self.dim) for granularity in Granularity}

    def refresh(self, transaction: ReadTransaction) -> None:
        """Take in what was committed since the last time."""
        revision = transaction.revision()
        if revision == self.revision:
            return
        stored = self.store.encoder()
        if stored not in (None, self.space):
            self._begin_anew()
        delta = transaction.delta(self.revision)
        by_granularity = shelved(delta.rows)
        for granularity, shelf in self.shelves.items():
            if delta.removed:
                shelf.remove(delta.removed)
            if rows := by_granularity[granularity]:
                loaded(shelf, rows)
        if self._attributes:
            for key in (*delta.removed, *(row.key for row in delta.rows)):
                self._attributes.pop(key, None)
        self._groups = self._turn_lengths = None
        self.revision = delta.revision

    def _begin_anew(self) -> None:
        """Everything was embedded again, with another encoder."""
        self._space = None
        self.__dict__.pop("shelves", None)
        self._attributes = {}
        self.revision = 0

    def check_encoder(self) -> None:
        """Raise EncoderMismatch if the stored vectors are not of the encoder in use."""
        stored = self.store.encoder()
        if stored is not None and stored != (own := self._encoder()):
            raise EncoderMismatch(
                f"the vectors of this user come from the encoder {stored[0]!r}, not from {own[0]!r}",
                hint="use that encoder, or embed everything again with `memagent reindex`",
            )

    def attributes(self, keys: NDArray[np.int64], transaction: ReadTransaction) -> list[Attributes]:
        """What filters need of these units, remembered between searches."""
        missing = [key for key in keys.tolist() if key not in self._attributes]
        if missing:
            self._attributes.update(transaction.attributes(None if len(missing) > 2000 else missing))
        try:
            return [self._attributes[key] for key in keys.tolist()]
        except KeyError as error:
            raise incomplete(f"unit {error}") from error

    def edges(self, transaction: ReadTransaction) -> Edges | None:
        """The whole association graph, remembered until it changes; None if none was ever made or it is damaged."""
        made_with = transaction.association()
        if made_with is None:
            return None
        revision = transaction.links_revision()
        if self._edges is None or self._edges[0] != revision:
            try:
                self._edges = revision, edges_from(transaction.links(), made_with)
            except StoreCorrupt:
                return None  # it can be made again
        return self._edges[1]

    def all_groups(self) -> Groups:
        """The sessions of all turns, remembered until something changes."""
        if self._groups is None:
            self._groups = groups_of(
                self.shelves[Granularity.TURN].columns(), self.shelves[Granularity.SESSION].columns()
            )
        return self._groups

    def all_turn_lengths(self) -> NDArray[np.float64]:
        """How long the sums of the sessions' turn vectors are, remembered until something changes."""
        if self._turn_lengths is None:
            self._turn_lengths = lengths_of(turn_sums(self.shelves[Granularity.TURN].index.matrix, self.all_groups()))
        return self._turn_lengths
