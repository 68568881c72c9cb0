"""A disk that fails once: a SQLite virtual file system over the real one, for tests of stores."""

# ruff: noqa: D102, N802 - methods are named and documented by SQLite (https://www.sqlite.org/vfs.html)

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import apsw

if TYPE_CHECKING:
    from types import TracebackType

Failure: TypeAlias = Literal["error", "full", "torn"]
"""An operation fails; a write finds no space; a write stops half-way."""

_CODES = {
    "open": apsw.SQLITE_CANTOPEN,
    "read": apsw.SQLITE_IOERR_READ,
    "write": apsw.SQLITE_IOERR_WRITE,
    "sync": apsw.SQLITE_IOERR_FSYNC,
    "truncate": apsw.SQLITE_IOERR_TRUNCATE,
    "size": apsw.SQLITE_IOERR_FSTAT,
    "lock": apsw.SQLITE_IOERR_LOCK,
    "delete": apsw.SQLITE_IOERR_DELETE,
    "access": apsw.SQLITE_IOERR_ACCESS,
}


class FaultyVFS(apsw.VFS):
    """Counts the operations on files, and fails the one it is told to.

    ``SQLiteStore(root, vfs=faults.name)`` uses it. Locks and maps of the shared-memory file are not seen here.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, "")
        self.name = name
        self.operations: list[str] = []
        self._at: int | None = None
        self._only: Sequence[str] | None = None
        self._failure: Failure = "error"

    @contextmanager
    def failing(self, at: int, *, failure: Failure = "error", only: Sequence[str] | None = None) -> Iterator[None]:
        """In this block the operation number ``at`` (from 0), of those named in ``only``, fails; no other does."""
        self.operations, self._at, self._failure, self._only = [], at, failure, only
        try:
            yield
        finally:
            self._at = None

    @property
    def has_failed(self) -> bool:
        """Whether the operation that was to fail has come."""
        return self._at is not None and len(self.operations) > self._at

    def step(self, operation: str) -> Failure | None:
        """Count an operation; raise if it is to fail, or say that it is to fail in the midst."""
        if self._at is None or (self._only is not None and operation not in self._only):
            return None
        self.operations.append(operation)
        if len(self.operations) != self._at + 1:
            return None
        if self._failure == "torn" and operation == "write":
            return "torn"
        raise apsw.exception_for(apsw.SQLITE_FULL if self._failure == "full" else _CODES[operation])

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> FaultyFile:
        self.step("open")
        return FaultyFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.step("delete")
        super().xDelete(filename, syncdir)

    def xAccess(self, pathname: str, flags: int) -> bool:
        self.step("access")
        return super().xAccess(pathname, flags)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        """Errors that SQLite does not pass on are expected here."""
        return True


class FaultyFile(apsw.VFSFile):
    """A file of a :class:`FaultyVFS`."""

    def __init__(self, faults: FaultyVFS, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._faults = faults

    def xRead(self, amount: int, offset: int) -> bytes:
        self._faults.step("read")
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._faults.step("write") == "torn":
            super().xWrite(bytes(data)[: len(data) // 2], offset)
            raise apsw.exception_for(apsw.SQLITE_IOERR_WRITE)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._faults.step("sync")
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:
        self._faults.step("truncate")
        super().xTruncate(newsize)

    def xFileSize(self) -> int:
        self._faults.step("size")
        return super().xFileSize()

    def xLock(self, level: int) -> None:
        self._faults.step("lock")
        super().xLock(level)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        """Errors that SQLite does not pass on are expected here."""
        return True
