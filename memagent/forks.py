"""Keeps what does not survive a fork out of the hands of forked children.

A child shares SQLite's own record of which locks this process holds, but the system gives it none of those locks: a
connection opened in the child on a file that was open at the fork believes itself protected, and loses what it writes
when the parent closes the file. So every handle closes its connection before a fork, between two transactions, and
opens it again when it is next used, in the parent and in the child.

What cannot be let go of before a fork (a transaction that takes too long, an ONNX Runtime session, whose threads
exist in the parent only) is left alone in the child, for good: destroying it there would wait for ever, or break the
parent's locks.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
import weakref
from contextlib import ExitStack
from typing import Protocol

from memagent.files import Identity

_PATIENCE = 10.0  # seconds that a fork waits for the transactions of other threads

FORK_HINT = "start processes with 'spawn', or fork while no call is under way"


class Forkable(Protocol):
    """Something that holds what must not be shared with a child."""

    def pause(self, timeout: float) -> bool:
        """Finish what is under way, let go, and keep others out; False if that took too long or cannot be done."""

    def resume(self, *, in_child: bool) -> None:
        """After a pause, let others in again; in a child there are no other threads that may hold locks."""

    def abandon(self) -> Identity | None:
        """In the child, after no pause: never touch again what the parent owns. The file that it is, if it is one."""


class Forks:
    """All handles of this process."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._outer: weakref.WeakSet[Forkable] = weakref.WeakSet()
        self._inner: weakref.WeakSet[Forkable] = weakref.WeakSet()
        self._paused: list[Forkable] = []
        self.unsafe: set[Identity] = set()
        """Files that were in use while this process was forked off its parent: they cannot be opened here."""
        os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def register(self, handle: Forkable, *, inner: bool = False) -> None:
        """Take care of a handle from now on; called before it opens anything.

        ``inner``: it is used by those who hold another handle, and is therefore paused after all others.
        """
        with self._mutex:
            (self._inner if inner else self._outer).add(handle)

    def _before(self) -> None:
        self._mutex.acquire()
        deadline = time.monotonic() + _PATIENCE
        # When one pause raises, Python reports it and forks all the same: the other handles must be paused. The stack
        # calls them from the last to the first, whatever one raises.
        with ExitStack() as pauses:
            for handle in reversed((*self._outer, *self._inner)):
                pauses.callback(self._pause, handle, deadline)

    def _pause(self, handle: Forkable, deadline: float) -> None:
        if handle.pause(max(0.0, deadline - time.monotonic())):
            self._paused.append(handle)

    def _in_parent(self) -> None:
        self._resume(in_child=False)

    def _in_child(self) -> None:
        paused = {id(handle) for handle in self._paused}
        for handle in (*self._outer, *self._inner):
            if id(handle) not in paused and (identity := handle.abandon()):
                self.unsafe.add(identity)
        self._resume(in_child=True)

    def _resume(self, *, in_child: bool) -> None:
        for handle in self._paused:
            handle.resume(in_child=in_child)
        self._paused = []
        self._mutex.release()


FORKS = Forks()


def leave_alone(inherited: object) -> None:
    """Never destroy this object, not even when the interpreter ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))
