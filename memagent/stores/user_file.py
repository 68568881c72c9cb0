"""A user's file, and what others may do to it while it is open: write it, erase it, begin it anew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from memagent.errors import StoreError, StoreUnavailable, UserForgotten
from memagent.files import Identity, identity_of
from memagent.stores.locks import FileLock

_CLOCK_STEP = 2.0  # seconds: the coarsest times that local disks keep of files


class Stamp(NamedTuple):
    """Size and times of a file and its log, and whether they are old enough to tell the next change from the last."""

    files: tuple[tuple[int, ...] | None, ...]
    settled: bool

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """The present one."""
        statuses = [status_of(file) for file in (path, log_of(path))]
        newest = max((status.st_mtime for status in statuses if status), default=0.0)
        return cls(
            tuple(s and (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in statuses),
            settled=newest < time.time() - _CLOCK_STEP,
        )


def status_of(path: Path) -> os.stat_result | None:
    """A file's status; None if it is not there."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def log_of(path: Path) -> Path:
    """The write-ahead log of a database."""
    return path.with_name(path.name + "-wal")


class UserFile:
    """The file of one open handle; ``path`` None stands for a database in memory.

    ``identity`` is the file that was opened, ``stamp`` its state then if it is read without locks (None: SQLite notices
    changes).
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.where = "memory" if path is None else str(path)
        self.identity: Identity | None = None
        self.stamp: Stamp | None = None
        self.is_gone = False
        self.is_locked = False
        """Whether the thread that uses the handle has the lock of :meth:`locked`: it need not take it again."""
        self._lock = None if path is None else FileLock(path.with_suffix(".lock"))

    def check_there(self) -> None:
        """Raise UserForgotten if the file was erased (and perhaps begun anew) since it was opened."""
        if self.path is not None and self.identity is not None:
            self.is_gone = identity_of(self.path) != self.identity
        if self.is_gone:
            raise forgotten()

    def is_as_opened(self) -> bool:
        """Whether a connection to the file sees what is in it now."""
        if self.stamp is None or self.path is None:
            return True
        return self.stamp.settled and Stamp.of(self.path).files == self.stamp.files

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """Run a block; what others have done to the file meanwhile is the reason for an error, or is one itself."""
        try:
            yield
        except StoreError:
            self.check_there()  # an erasure takes files away at any moment
            self._check_unchanged()
            raise
        self._check_unchanged()

    def _check_unchanged(self) -> None:
        if self.stamp is not None and self.path is not None and Stamp.of(self.path).files != self.stamp.files:
            raise StoreUnavailable(f"{self.where} was changed while it was read", hint="try again")

    @contextmanager
    def locked(self, wait: float) -> Iterator[None]:
        """Exclude the writers of all processes, and the erasure of the user; StoreBusy after ``wait`` seconds."""
        if self._lock is None or self.path is None or self.is_locked:
            yield
            return
        self.check_there()  # or the lock file of a user who is gone would be made anew
        with self._lock.held(wait, what=self.where):
            if not self.path.exists():
                self._lock.path.unlink(missing_ok=True)
            self.check_there()
            yield


def forgotten() -> UserForgotten:
    """The error for a handle whose user was erased."""
    return UserForgotten("the user was forgotten while this handle was open", hint="open the user again")
