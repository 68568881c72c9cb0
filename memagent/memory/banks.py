"""The users that are open: a bounded set of banks, the longest unused of which is closed first."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from memagent.bank.bank import MemoryBank
from memagent.errors import InvalidInput, StoreError, UserForgotten
from memagent.stores.port import MemoryStore, UserStore
from memagent.stores.sqlite_user import owner_of


class Banks:
    """Opens banks when they are asked for and keeps at most ``limit`` of them (those in memory: all)."""

    def __init__(self, store: MemoryStore, make: Callable[[UserStore], MemoryBank], *, limit: int) -> None:
        self._store = store
        self._make = make
        self._limit = limit
        self._open: OrderedDict[str, MemoryBank] = OrderedDict()
        self._leases: dict[str, int] = {}
        self._mutex = threading.Lock()
        self._process = os.getpid()
        self._abandoned: list[object] = []
        self._closed = False

    @contextmanager
    def lease(self, user_id: str, *, create: bool = False) -> Iterator[MemoryBank]:
        """A user's bank for the length of a block; it is not closed meanwhile. Raises UnknownUser."""
        with self._leased(owner_of(user_id), lambda: self._store.open(user_id, create=create)) as bank:
            yield bank

    @contextmanager
    def lease_owner(self, owner: str) -> Iterator[MemoryBank]:
        """The bank that memory ids beginning with ``owner`` belong to. Raises UnknownMemory."""
        with self._leased(owner, lambda: self._store.open_owner(owner)) as bank:
            yield bank

    @contextmanager
    def _leased(self, owner: str, opener: Callable[[], UserStore]) -> Iterator[MemoryBank]:
        bank = self._take(owner, opener)
        try:
            yield bank
        except (UserForgotten, StoreError):
            # The handle may be stale or in an unknown state; the next call opens the file anew.
            self._drop(owner, bank)
            raise
        finally:
            self._give_back(owner)

    def _take(self, owner: str, opener: Callable[[], UserStore]) -> MemoryBank:
        with self._mutex:
            if self._closed:
                raise InvalidInput("this memory is closed", hint="make a new Memory on the same path")
            self._leave_parent()
            bank = self._open.get(owner)
            if bank is None:
                bank = self._open[owner] = self._make(opener())
            self._open.move_to_end(owner)
            self._leases[owner] = self._leases.get(owner, 0) + 1
            self._evict()
            return bank

    def _leave_parent(self) -> None:
        """After a fork, leave the parent's connections alone: SQLite forbids using or closing them here."""
        if self._process != os.getpid():
            self._abandoned.extend(self._open.values())
            self._open.clear()
            self._leases.clear()
            self._process = os.getpid()

    def _evict(self) -> None:
        if self._store.volatile:
            return
        for owner in [o for o in self._open if not self._leases.get(o)][: max(0, len(self._open) - self._limit)]:
            self._open.pop(owner).store.close()

    def _give_back(self, owner: str) -> None:
        with self._mutex:
            left = self._leases.get(owner, 1) - 1
            if left:
                self._leases[owner] = left
            else:
                self._leases.pop(owner, None)
                self._evict()

    def _drop(self, owner: str, bank: MemoryBank) -> None:
        if self._store.volatile:
            return  # what was committed is still there, and a failed call has rolled back
        with self._mutex:
            if self._open.get(owner) is bank:
                del self._open[owner]
                # Not closed here: another thread may be using it. It goes with its last reference.

    def close_user(self, user_id: str) -> None:
        """Let go of a user's bank, because the user is being erased."""
        with self._mutex:
            bank = self._open.pop(owner_of(user_id), None)
        if bank is not None and not self._store.volatile:
            bank.store.close()

    def close(self) -> None:
        """Close every bank; later calls raise."""
        with self._mutex:
            self._closed = True
            banks = [] if self._process != os.getpid() else list(self._open.values())
            self._open.clear()
        for bank in banks:
            bank.store.close()

    def __len__(self) -> int:
        return len(self._open)
