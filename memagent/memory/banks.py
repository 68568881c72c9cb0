"""The users that are open: a bounded set of banks, the longest unused of which is closed first."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from memagent.bank.bank import MemoryBank
from memagent.errors import InvalidInput, NotFound, StoreBusy, StoreError, StoreFull, UserForgotten
from memagent.stores.port import MemoryStore, UserStore
from memagent.stores.sqlite_user import owner_of

_HARMLESS = (InvalidInput, NotFound, StoreBusy, StoreFull)
"""Errors that leave handle and indexes as they were: they come before anything is taken in."""

_log = logging.getLogger("memagent")


class _Lease:
    """One open bank, by how many calls it is in use, and whether it goes when the last of them ends."""

    def __init__(self, bank: MemoryBank) -> None:
        self.bank = bank
        self.users = 0
        self.leaving = False


class Banks:
    """Opens banks when they are asked for and keeps at most ``limit`` of them (those in memory: all)."""

    def __init__(self, store: MemoryStore, make: Callable[[UserStore], MemoryBank], *, limit: int) -> None:
        self._store = store
        self._make = make
        self._limit = limit
        self._open: OrderedDict[str, _Lease] = OrderedDict()
        self._gates: dict[str, threading.Lock] = {}
        self._mutex = threading.Lock()
        self._closed = False
        _ALL.add(self)

    @contextmanager
    def lease(self, user_id: str, *, create: bool = False, keep: bool = True) -> Iterator[MemoryBank]:
        """A user's bank for the length of a block; it is not closed meanwhile. Raises UnknownUser.

        ``keep=False``, for those who go through all users: one that was not open is closed again, and takes the place
        of no other.
        """
        with self._leased(owner_of(user_id), lambda: self._store.open(user_id, create=create), keep=keep) as bank:
            yield bank

    @contextmanager
    def lease_owner(self, owner: str) -> Iterator[MemoryBank]:
        """The bank that memory ids beginning with ``owner`` belong to. Raises UnknownMemory."""
        with self._leased(owner, lambda: self._store.open_owner(owner)) as bank:
            yield bank

    @contextmanager
    def _leased(self, owner: str, opener: Callable[[], UserStore], *, keep: bool = True) -> Iterator[MemoryBank]:
        lease = self._take(owner, opener, keep=keep)
        try:
            yield lease.bank
        except BaseException as error:
            if isinstance(error, UserForgotten) or not isinstance(error, _HARMLESS):
                # The handle may be stale or the indexes half brought up to date: the next call opens the file anew.
                self._drop(owner, lease)
            raise
        finally:
            self._give_back(lease)

    def _take(self, owner: str, opener: Callable[[], UserStore], *, keep: bool) -> _Lease:
        with self._mutex:
            lease = self._used(owner, keep=keep)
            if lease is None:
                gate = self._gates.setdefault(owner, threading.Lock())
        if lease is None:
            # Opening may have to wait for other processes; meanwhile the other users go on.
            with gate:
                lease = self._opened(owner, opener, keep=keep)
        self._evict()
        return lease

    def _opened(self, owner: str, opener: Callable[[], UserStore], *, keep: bool) -> _Lease:
        with self._mutex:
            lease = self._used(owner, keep=keep)  # another thread may have opened it at this gate
        if lease is not None:
            return lease
        try:
            new = _Lease(self._make(opener()))
        finally:
            with self._mutex:
                self._gates.pop(owner, None)
        with self._mutex:
            if self._closed or owner in self._open or not keep:
                new.leaving = True
            else:
                self._open[owner] = new
            new.users = 1
        return new

    def _used(self, owner: str, *, keep: bool) -> _Lease | None:
        if self._closed:
            raise InvalidInput("this memory is closed", hint="make a new Memory on the same path")
        lease = self._open.get(owner)
        if lease is not None:
            if keep:
                self._open.move_to_end(owner)
            lease.users += 1
        return lease

    def _give_back(self, lease: _Lease) -> None:
        with self._mutex:
            lease.users -= 1
            last = lease.leaving and lease.users <= 0
        if last:
            self._close(lease)
        self._evict()

    def _evict(self) -> None:
        if self._store.volatile:
            return
        with self._mutex:
            unused = [owner for owner, lease in self._open.items() if not lease.users]
            leases = [self._open.pop(owner) for owner in unused[: max(0, len(self._open) - self._limit)]]
        for lease in leases:
            self._close(lease)

    def _drop(self, owner: str, lease: _Lease) -> None:
        """Have a bank closed as soon as nobody uses it, and the next call open another."""
        with self._mutex:
            if self._open.get(owner) is lease:
                del self._open[owner]
            lease.leaving = True

    def _close(self, lease: _Lease) -> None:
        if self._store.volatile:
            return  # what was committed is in the store, which keeps it
        try:
            lease.bank.store.close()
        except InvalidInput:
            lease.leaving = True  # it is in use by a call that this thread is inside of, which closes it at its end
        except StoreError as error:
            # Nothing is lost: what was committed is in the file or its log, and the call at hand is another one.
            _log.warning("a user's file could not be closed cleanly: %s", error)

    def close_user(self, user_id: str) -> None:
        """Let go of a user's bank; calls that are using it finish with it."""
        owner = owner_of(user_id)
        with self._mutex:
            lease = self._open.pop(owner, None)
            if lease is None:
                return
            lease.leaving = True
            unused = not lease.users
        if unused:
            self._close(lease)

    def close(self) -> None:
        """Close every bank, one that a call of this thread is using when that call ends; later calls raise."""
        with self._mutex:
            self._closed = True
            leases = list(self._open.values())
            self._open.clear()
        for lease in leases:
            self._close(lease)

    def after_fork(self) -> None:
        """In a forked child: the calls of other threads do not exist here."""
        self._mutex = threading.Lock()
        self._gates.clear()
        for lease in self._open.values():
            lease.users = 0

    def __len__(self) -> int:
        return len(self._open)


_ALL: weakref.WeakSet[Banks] = weakref.WeakSet()


def _after_fork() -> None:
    for banks in _ALL:
        banks.after_fork()


os.register_at_fork(after_in_child=_after_fork)
