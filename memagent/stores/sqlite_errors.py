"""SQLite's errors in our own words: the only place that knows apsw's exception classes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from memagent.errors import (
    MemagentError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)

DAMAGED = "restore the file from a backup or an export; `memagent verify` shows what is wrong"
_SMALLEST = 1 << 16  # bytes that SQLite needs free to open a file: its shared memory has 32 kB
_NO_SPACE = "free some space and try again"

# Most specific first: the first class that fits decides.
_MAP: tuple[tuple[type[apsw.Error], type[MemagentError], str, str], ...] = (
    (apsw.BusyError, StoreBusy, "the user's file is in use by another process", "try again"),
    (apsw.LockedError, StoreBusy, "the user's file is in use by another thread", "try again"),
    (apsw.FullError, StoreFull, "no space is left for the user's file", _NO_SPACE),
    (apsw.ReadOnlyError, StoreReadOnly, "the user's file cannot be written", "check the mount and its permissions"),
    (apsw.PermissionsError, StoreReadOnly, "the user's file may not be accessed", "check its permissions"),
    (apsw.AuthError, StoreReadOnly, "the user's file may not be accessed", "check its permissions"),
    (apsw.NotADBError, StoreCorrupt, "the user's file is not a memagent database", DAMAGED),
    (apsw.CorruptError, StoreCorrupt, "the user's file is damaged", DAMAGED),
    (apsw.FormatError, StoreCorrupt, "the user's file has an unreadable format", DAMAGED),
    (apsw.CantOpenError, StoreUnavailable, "the user's file cannot be opened", "check that its directory exists"),
    (apsw.IOError, StoreUnavailable, "the operating system failed a file operation", "try again; check the disk"),
    (apsw.ProtocolError, StoreBusy, "the user's file is being recovered by another process", "try again"),
    (apsw.NoMemError, StoreUnavailable, "not enough memory to read the user's file", "free some memory"),
    (apsw.InterruptError, StoreUnavailable, "the operation was interrupted", "try again"),
    (apsw.AbortError, StoreUnavailable, "the operation was aborted", "try again"),
    (apsw.NoLFSError, StoreUnavailable, "the file system cannot hold a file of this size", "use another disk"),
    (apsw.ConnectionClosedError, StoreUnavailable, "the user's file was closed meanwhile", "try again"),
    (apsw.SchemaChangeError, StoreBusy, "the user's file was migrated meanwhile", "try again"),
    (apsw.TooBigError, StoreError, "a text is larger than SQLite can hold", "split it"),
    (apsw.SQLError, StoreCorrupt, "the user's file lacks a table or column", DAMAGED),
    (apsw.ConstraintError, StoreCorrupt, "the user's file holds contradictory rows", DAMAGED),
    (apsw.MismatchError, StoreCorrupt, "the user's file holds a value of the wrong type", DAMAGED),
    (apsw.Error, StoreError, "SQLite refused an operation", "this is a fault in memagent: please report it"),
)

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_REFUSED = frozenset((errno.EROFS, errno.EACCES, errno.EPERM))


def translate(error: apsw.Error, where: str) -> MemagentError:
    """Our error for one of SQLite's; ``where`` names the file."""
    detail = f"{where} [{type(error).__name__}: {error}]"
    if isinstance(error, apsw.IOError | apsw.CantOpenError) and _is_full(where):
        # SQLite tells a full disk from other failures only where it writes to the database or its log.
        return StoreFull(f"no space is left for the user's file: {detail}", hint=_NO_SPACE)
    for theirs, ours, message, hint in _MAP:
        if isinstance(error, theirs):
            return ours(f"{message}: {detail}", hint=hint)
    raise AssertionError("apsw.Error is the last row of the map")


def _is_full(where: str) -> bool:
    try:
        disk = os.statvfs(Path(where).parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _SMALLEST


def translate_os(error: OSError, where: str) -> MemagentError:
    """Our error for one of the operating system's."""
    if error.errno in _FULL:
        return StoreFull(f"no space is left: {where} [{error.strerror}]", hint=_NO_SPACE)
    if error.errno in _REFUSED:
        return StoreReadOnly(f"cannot write: {where} [{error.strerror}]", hint="check the mount and its permissions")
    return StoreUnavailable(f"a file operation failed: {where} [{error}]", hint="check the disk and try again")


@contextmanager
def translated_sqlite(where: str) -> Iterator[None]:
    """Run a block; apsw's errors leave it as ours, with the original as cause.

    Others do not: around a caller's block, an OSError may have nothing to do with the file.
    """
    try:
        yield
    except apsw.Error as error:
        raise translate(error, where) from error


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Run a block; apsw's and the operating system's errors leave it as ours, with the original as cause."""
    try:
        with translated_sqlite(where):
            yield
    except OSError as error:
        raise translate_os(error, where) from error
