"""SQLite's errors in our own words: the only place that knows apsw's exception classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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

_DAMAGED = "restore the file from a backup or an export; `memagent verify` shows what is wrong"

# Most specific first: the first class that fits decides.
_MAP: tuple[tuple[type[apsw.Error], type[MemagentError], str, str], ...] = (
    (apsw.BusyError, StoreBusy, "the user's file is in use by another process", "try again"),
    (apsw.LockedError, StoreBusy, "the user's file is in use by another thread", "try again"),
    (apsw.FullError, StoreFull, "no space is left for the user's file", "free some space and try again"),
    (apsw.ReadOnlyError, StoreReadOnly, "the user's file cannot be written", "check the mount and its permissions"),
    (apsw.PermissionsError, StoreReadOnly, "the user's file may not be accessed", "check its permissions"),
    (apsw.NotADBError, StoreCorrupt, "the user's file is not a memagent database", _DAMAGED),
    (apsw.CorruptError, StoreCorrupt, "the user's file is damaged", _DAMAGED),
    (apsw.FormatError, StoreCorrupt, "the user's file has an unreadable format", _DAMAGED),
    (apsw.CantOpenError, StoreUnavailable, "the user's file cannot be opened", "check that its directory exists"),
    (apsw.IOError, StoreUnavailable, "the operating system failed a file operation", "try again; check the disk"),
    (apsw.ProtocolError, StoreBusy, "the user's file is being recovered by another process", "try again"),
    (apsw.NoMemError, StoreUnavailable, "not enough memory to read the user's file", "free some memory"),
    (apsw.InterruptError, StoreUnavailable, "the operation was interrupted", "try again"),
    (apsw.AbortError, StoreUnavailable, "the operation was aborted", "try again"),
    (apsw.SchemaChangeError, StoreBusy, "the user's file was migrated meanwhile", "try again"),
    (apsw.TooBigError, StoreError, "a text is larger than SQLite can hold", "split it"),
    (apsw.SQLError, StoreCorrupt, "the user's file lacks a table or column", _DAMAGED),
    (apsw.ConstraintError, StoreCorrupt, "the user's file holds contradictory rows", _DAMAGED),
    (apsw.Error, StoreError, "SQLite refused an operation", "this is a fault in memagent: please report it"),
)


def translate(error: apsw.Error, where: str) -> MemagentError:
    """Our error for one of SQLite's; ``where`` names the file."""
    for theirs, ours, message, hint in _MAP:
        if isinstance(error, theirs):
            return ours(f"{message}: {where} [{type(error).__name__}: {error}]", hint=hint)
    raise AssertionError("apsw.Error is the last row of the map")


def translate_os(error: OSError, where: str) -> MemagentError:
    """Our error for one of the operating system's."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreFull(f"no space is left: {where} [{error.strerror}]", hint="free some space and try again")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return StoreReadOnly(f"cannot write: {where} [{error.strerror}]", hint="check the mount and its permissions")
    return StoreUnavailable(f"a file operation failed: {where} [{error}]", hint="check the disk and try again")


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Run a block; apsw and operating-system errors leave it as ours, with the original as cause."""
    try:
        yield
    except apsw.Error as error:
        raise translate(error, where) from error
    except OSError as error:
        raise translate_os(error, where) from error
