"""Locks between processes: one small file beside each user's database.

``flock`` rather than SQLite's own locks, because forgetting a user must exclude writers that would otherwise go
on writing into an unlinked file. The lock file is never the database itself: closing a second descriptor of a
database would drop SQLite's locks on it.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memagent.errors import StoreBusy
from memagent.files import sync_directory

_OPEN: dict[int, int] = {}
"""Descriptors of locks that are held or waited for, and the threads that do."""


def _close_those_of_other_threads() -> None:
    # In a forked child: with its copies, a lock would outlive a parent that is killed.
    for descriptor, thread in list(_OPEN.items()):
        if thread != threading.get_ident():
            del _OPEN[descriptor]
            with suppress(OSError):
                os.close(descriptor)


os.register_at_fork(after_in_child=_close_those_of_other_threads)


class FileLock:
    """An exclusive lock on ``path``, held by one holder in all processes; not reentrant."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def held(self, timeout: float, *, what: str) -> Iterator[None]:
        """Hold the lock for a block.

        Waits up to ``timeout`` seconds, then raises StoreBusy.
        """
        descriptor = self._acquire(time.monotonic() + timeout, what)
        try:
            yield
        finally:
            with suppress(OSError):  # what was done under the lock is done
                # Closing alone would leave the lock with a child that was forked meanwhile and has a copy.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            self._close(descriptor)

    def _open(self) -> int:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _OPEN[descriptor] = threading.get_ident()
        return descriptor

    @staticmethod
    def _close(descriptor: int) -> None:
        del _OPEN[descriptor]
        with suppress(OSError):
            os.close(descriptor)

    def _acquire(self, deadline: float, what: str) -> int:
        pause = 0.0005
        while True:
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_current(descriptor):
                    return descriptor
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self._close(descriptor)
                    raise StoreBusy(
                        f"{what} is locked by another process", hint="try again, or raise the wait time"
                    ) from None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.02)
            except BaseException:
                self._close(descriptor)
                raise
            self._close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        # The file may have been erased with its user between our open and our lock.
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))


def make_directory(path: Path) -> None:
    """Make a directory and what is missing above it, durably; readable by its owner only."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True, mode=0o700)
    try:
        sync_directory(path.parent)
    except BaseException:
        # Left in place, it would pass for durable the next time.
        with suppress(OSError):
            path.rmdir()
        raise
