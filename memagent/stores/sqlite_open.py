"""Opening a SQLite file, or a database in memory, the way the store needs it."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from memagent.errors import StoreCorrupt, StoreReadOnly
from memagent.stores.locks import sync_directory
from memagent.stores.sqlite_errors import DAMAGED
from memagent.stores.sqlite_schema import WRITE_AHEAD


def in_memory(image: bytes | None) -> apsw.Connection:
    """A database in memory; ``image`` is its content, as bytes of a file."""
    connection = apsw.Connection(":memory:")
    if image is not None:
        # Write-ahead logging does not exist in memory.
        plain = bytearray(image)
        plain[18:20] = b"\x01\x01"
        connection.deserialize("main", bytes(plain))
    return connection


def is_writable(path: Path) -> bool:
    """Whether a file and its directory can be written; root, too, is refused on a read-only mount."""
    return os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)


def writable(path: Path, vfs: str | None) -> apsw.Connection:
    """A connection that reads and writes a file that is there."""
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)


def read_only(path: Path, vfs: str | None) -> apsw.Connection:
    """A connection that needs nothing but the file itself; raises StoreReadOnly if that does not hold everything.

    A read-only directory has no place for the shared-memory file of write-ahead logging; the file can be read all the
    same when nothing is left in its log.
    """
    logs = [path.with_name(path.name + ending) for ending in ("-wal", "-journal")]
    if any(log.exists() and log.stat().st_size for log in logs):
        raise StoreReadOnly(
            f"{path} was not closed cleanly and cannot be recovered in a read-only directory",
            hint="make the directory writable once, or copy it to a writable place",
        )
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags, vfs=vfs)


def set_up(connection: apsw.Connection, timeout: float) -> None:
    """The settings of every connection; ``timeout`` in seconds."""
    connection.set_busy_timeout(int(timeout * 1000))
    for name, value in (
        ("synchronous", "full"),
        ("temp_store", "memory"),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("secure_delete", 1),
        ("cache_size", -2000),
    ):
        connection.pragma(name, value)


def begun_by(connection: apsw.Connection, where: str) -> tuple[str, object]:
    """Whose file this is and when it was begun; raises StoreCorrupt if it does not say so."""
    try:
        found = dict(connection.execute("select name, value from meta where name in ('user_id', 'created_at')"))
    except UnicodeDecodeError:
        found = {}
    user_id = found.get("user_id")
    if not isinstance(user_id, str):
        raise StoreCorrupt(f"{where} does not say whose it is", hint=DAMAGED)
    return user_id, found.get("created_at")


def close_without_checkpoint(connection: apsw.Connection) -> None:
    """Close a connection and leave the log as it is: to those who have the file open, or to the next to open it."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


def copy_to(connection: apsw.Connection, target: Path) -> None:
    """Write all that a connection sees to a new file, which appears, durably, only when it is complete."""
    partial = target.with_name(target.name + ".partial")
    try:
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        copy = apsw.Connection(str(partial))
        try:
            with copy.backup("main", connection, "main") as backup:
                backup.step()
            copy.pragma("journal_mode", "delete")
        finally:
            copy.close()
        with partial.open("r+b") as file:
            file.seek(18)
            file.write(WRITE_AHEAD)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(target.absolute().parent)
