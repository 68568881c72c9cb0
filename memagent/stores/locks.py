"""Locks between processes: one small file beside each user's database.

``flock`` rather than SQLite's own locks, because forgetting a user must exclude writers that would otherwise go
on writing into an unlinked file. The lock file is never the database itself: closing a second descriptor of a
database would drop SQLite's locks on it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memagent.errors import StoreBusy


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
            with suppress(OSError):
                os.close(descriptor)

    def _acquire(self, deadline: float, what: str) -> int:
        pause = 0.0005
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._is_current(descriptor):
                    return descriptor
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise StoreBusy(
                        f"{what} is locked by another process", hint="try again, or raise the wait time"
                    ) from None
                time.sleep(pause)
                pause = min(pause * 1.5, 0.02)
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _is_current(self, descriptor: int) -> bool:
        # The file may have been erased with its user between our open and our lock.
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(descriptor))


def sync_directory(path: Path) -> None:
    """Make created, renamed and removed names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
