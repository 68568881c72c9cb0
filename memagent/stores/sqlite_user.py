"""One user's SQLite file, opened."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from memagent.errors import StoreBusy, StoreCorrupt, StoreReadOnly, UserForgotten
from memagent.stores import sqlite_schema
from memagent.stores.locks import FileLock
from memagent.stores.sqlite_errors import translate, translated
from memagent.stores.sqlite_rows import Rows, WritingRows, check_rows


class SQLiteUser:
    """One user's file. Transactions of all threads go through one connection, one at a time.

    ``path`` None is a database in memory, which lives as long as this object.
    """

    def __init__(
        self, path: Path | None, *, timeout: float, vfs: str | None = None, image: bytes | None = None
    ) -> None:
        self.path = path
        self._timeout = timeout
        self._mutex = threading.RLock()
        self._where = "memory" if path is None else str(path)
        self._lock = None if path is None else FileLock(path.with_suffix(".lock"))
        self._read_only = False
        with translated(self._where):
            self._connection = self._connect(vfs, image)
            self._configure()
            self._identity = None if path is None else _identity(path)
        user_id = self._connection.execute("select value from meta where name = 'user_id'").get
        if not isinstance(user_id, str):
            self._connection.close()
            raise StoreCorrupt(f"{self._where} does not say whose it is", hint="restore it from a backup or an export")
        self.user_id = user_id
        self.owner = owner_of(user_id)

    # opening

    def _connect(self, vfs: str | None, image: bytes | None) -> apsw.Connection:
        if self.path is None:
            connection = apsw.Connection(":memory:")
            if image is not None:
                # Write-ahead logging does not exist in memory.
                plain = bytearray(image)
                plain[18:20] = b"\x01\x01"
                connection.deserialize("main", bytes(plain))
            return connection
        if os.access(self.path.parent, os.W_OK) and os.access(self.path, os.W_OK):
            return apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        # A read-only directory has no place for the shared-memory file of write-ahead logging; the file
        # can be read all the same when no log is left beside it.
        self._read_only = True
        if self.path.with_name(self.path.name + "-wal").exists():
            raise StoreReadOnly(
                f"{self._where} was not closed cleanly and cannot be recovered in a read-only directory",
                hint="make the directory writable once, or copy it to a writable place",
            )
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        return apsw.Connection(f"{self.path.absolute().as_uri()}?immutable=1", flags=flags)

    def _configure(self) -> None:
        connection = self._connection
        connection.set_busy_timeout(int(self._timeout * 1000))
        try:
            for name, value in (
                ("synchronous", "full"),
                ("temp_store", "memory"),
                ("trusted_schema", 0),
                ("cell_size_check", 1),
                ("secure_delete", 1),
                ("cache_size", -2000),
            ):
                connection.pragma(name, value)
            if not sqlite_schema.is_current(connection):
                if self._read_only:
                    raise StoreReadOnly(
                        f"{self._where} must be migrated and cannot be written", hint="open it writable once"
                    )
                with self._file_lock():
                    sqlite_schema.migrate(connection)
        except BaseException:
            connection.close()
            raise

    # transactions

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._mutex.acquire(timeout=self._timeout):
            raise StoreBusy(f"{self._where} is in use by other threads", hint="try again, or raise the wait time")
        try:
            yield
        finally:
            self._mutex.release()

    @contextmanager
    def _file_lock(self) -> Iterator[None]:
        if self._lock is None:
            yield
            return
        with self._lock.held(self._timeout, what=self._where):
            yield

    def _still_there(self) -> None:
        """Raise UserForgotten if the file was erased (and perhaps begun anew) since it was opened."""
        if self.path is not None and _identity(self.path) != self._identity:
            raise UserForgotten("the user was forgotten while this handle was open", hint="open the user again")

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """A reading transaction: one consistent state of the file."""
        with self._exclusive(), translated(self._where):
            self._still_there()
            self._connection.execute("begin")
            try:
                yield Rows(self._connection, self.user_id)
            finally:
                self._connection.execute("rollback")

    @contextmanager
    def write(self) -> Iterator[WritingRows]:
        """A writing transaction: durable when the block is left, without trace when it raises."""
        if self._read_only:
            raise StoreReadOnly(f"{self._where} cannot be written", hint="check the mount and its permissions")
        with self._exclusive(), translated(self._where), self._file_lock():
            self._still_there()
            self._connection.execute("begin immediate")
            try:
                yield WritingRows(self._connection, self.user_id)
                self._connection.execute("commit")
            except BaseException:
                self._roll_back()
                raise
            self._scrub()

    def _roll_back(self) -> None:
        # A failed commit may have rolled back already.
        if self._connection.in_transaction:
            try:
                self._connection.execute("rollback")
            except apsw.Error as error:
                raise translate(error, self._where) from error

    def _scrub(self) -> None:
        """After a deletion, rewrite the file and empty its log, so that no deleted text stays in either.

        ``secure_delete`` alone is not enough: it zeroes a deleted cell, but not the stale copies that moving cells
        between pages leaves in the unallocated part of a page (seen in one of three random runs of 1,500
        operations). The deletion itself is committed; ``scrub`` stays set until this has worked, so that a process
        that is killed in between leaves the work to the next writer.
        """
        if self.path is None or not self._connection.execute("select value from meta where name = 'scrub'").get:
            return
        self._connection.execute("vacuum")
        deadline = time.monotonic() + self._timeout
        while self._connection.execute("pragma wal_checkpoint(truncate)").fetchall()[0][0]:
            if time.monotonic() >= deadline:
                raise StoreBusy(
                    "the memory is deleted, but its bytes could not be overwritten yet: another process is reading",
                    hint="the next write, or `memagent verify`, finishes it",
                )
            time.sleep(0.002)
        self._connection.execute("update meta set value = 0 where name = 'scrub'")

    # the rest

    def encoder(self) -> tuple[str, int] | None:
        """Fingerprint and width of the stored vectors."""
        with self._exclusive(), translated(self._where):
            row = self._connection.execute("select fingerprint, dim from encoders").fetchone()
        return None if row is None else (str(row[0]), int(row[1]))

    def backup(self, target: Path) -> None:
        """Write a complete copy through SQLite's backup interface; ``target`` appears only when it is complete."""
        partial = target.with_name(target.name + ".partial")
        with self._exclusive(), translated(str(target)):
            self._still_there()
            partial.unlink(missing_ok=True)
            copy = apsw.Connection(str(partial))
            try:
                with copy.backup("main", self._connection, "main") as backup:
                    backup.step()
                copy.pragma("journal_mode", "delete")
            finally:
                copy.close()
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)

    def check(self) -> list[str]:
        """Problems found in the file. Finishes an erasure that was cut off."""
        with self._exclusive(), translated(self._where):
            self._still_there()
            if not self._read_only:
                with self._file_lock():
                    self._scrub()
            return check_rows(self._connection)

    def close(self) -> None:
        """Release the file; the object cannot be used afterwards."""
        with self._exclusive(), translated(self._where):
            self._connection.close()


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (status.st_dev, status.st_ino)


def owner_of(user_id: str) -> str:
    """The name of a user's file: SHA-256 of the id's UTF-8, in hexadecimal."""
    import hashlib

    return hashlib.sha256(user_id.encode()).hexdigest()
