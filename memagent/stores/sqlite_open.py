"""Opening a SQLite file, or a database in memory, the way the store needs it."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from memagent.errors import StoreCorrupt, StoreReadOnly
from memagent.files import replacing
from memagent.stores.sqlite_errors import DAMAGED
from memagent.stores.sqlite_reader import typed
from memagent.stores.sqlite_schema import WRITE_AHEAD
from memagent.stores.user_file import Stamp, log_of, status_of


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


def _size(path: Path) -> int:
    status = status_of(path)
    return status.st_size if status else 0


def read_only(path: Path, vfs: str | None) -> tuple[apsw.Connection, Stamp | None]:
    """A connection to a file in a directory that cannot be written; raises StoreReadOnly if that cannot be read.

    As long as the file has a log, whoever writes it (through another mount) keeps shared memory beside it, and the
    connection sees their commits. Without a log there is no place for shared memory, but none is needed: the file
    holds everything itself. Then it is read without locks, and the stamp tells when it must be opened again.
    """
    unclean = StoreReadOnly(
        f"{path} was not closed cleanly and cannot be recovered in a read-only directory",
        hint="make the directory writable once, or copy it to a writable place",
    )
    stamp = Stamp.of(path)
    if _size(path.with_name(path.name + "-journal")):
        raise unclean
    if not _size(log_of(path)):
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        return apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags, vfs=vfs), stamp
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    try:
        connection.execute("select count(*) from sqlite_schema").fetchall()
    except apsw.CantOpenError as error:
        connection.close()
        raise unclean from error
    except BaseException:
        connection.close()
        raise
    return connection, None


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


def encoder_of(connection: apsw.Connection, where: str) -> tuple[str, int] | None:
    """Fingerprint and width of the stored vectors; raises StoreCorrupt for what is neither."""
    try:
        row = connection.execute("select fingerprint, dim from encoders").fetchone()
        if row is None:
            return None
        fingerprint, dim = typed(row, (str, int))
    except (UnicodeDecodeError, TypeError):
        raise StoreCorrupt(f"{where} names no readable encoder", hint=DAMAGED) from None
    return fingerprint, dim


def close_without_checkpoint(connection: apsw.Connection) -> None:
    """Close a connection and leave the log as it is: to those who have the file open, or to the next to open it."""
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.close()


def copy_to(connection: apsw.Connection, target: Path) -> None:
    """Write all that a connection sees to a new file, which appears, durably, only when it is complete."""
    with replacing(target) as partial:
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
