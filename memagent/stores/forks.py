"""Keeps SQLite safe when the process forks.

A child shares SQLite's own record of which locks this process holds, but the system gives it none of those locks: a
connection opened in the child on a file that was open at the fork believes itself protected, and loses what it writes
when the parent closes the file. So every handle closes its connection before a fork, between two transactions, and
opens it again when it is next used, in the parent and in the child. The indexes above are kept.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from typing import Protocol

_PATIENCE = 10.0  # seconds that a fork waits for the transactions of other threads


class Pausable(Protocol):
    """A handle that can let go of what must not be open across a fork."""

    def pause(self, timeout: float) -> bool:
        """Finish the transaction under way, close, and keep others out; False if that took too long."""

    def resume(self) -> None:
        """Let others in again."""

    def abandon(self) -> tuple[int, int] | None:
        """In the child, for a handle that was not paused: never touch it again. The file it has open."""


class Forks:
    """All handles of this process."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._handles: weakref.WeakSet[Pausable] = weakref.WeakSet()
        self._paused: list[Pausable] = []
        self.unsafe: set[tuple[int, int]] = set()
        """Device and inode of files that were in use while this process was forked off its parent."""
        os.register_at_fork(before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child)

    def register(self, handle: Pausable) -> None:
        """Take care of a handle from now on; called before it opens anything."""
        with self._mutex:
            self._handles.add(handle)

    def _before(self) -> None:
        self._mutex.acquire()
        deadline = time.monotonic() + _PATIENCE
        self._paused = [handle for handle in self._handles if handle.pause(max(0.0, deadline - time.monotonic()))]

    def _in_parent(self) -> None:
        for handle in self._paused:
            handle.resume()
        self._paused = []
        self._mutex.release()

    def _in_child(self) -> None:
        paused = {id(handle) for handle in self._paused}
        for handle in self._handles:
            if id(handle) not in paused and (identity := handle.abandon()):
                self.unsafe.add(identity)
        self._in_parent()


FORKS = Forks()
