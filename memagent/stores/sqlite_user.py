"""One user's SQLite file, opened."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from memagent.errors import (
    MemagentError,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    UserForgotten,
)
from memagent.stores import sqlite_schema
from memagent.stores.forks import FORKS
from memagent.stores.locks import FileLock, sync_directory
from memagent.stores.sqlite_errors import DAMAGED, translate, translated, translated_sqlite
from memagent.stores.sqlite_rows import Rows, WritingRows, check_rows

_MAX_WAIT = 1_000_000.0  # seconds; threading and SQLite take no infinity
_FORK_HINT = "start processes with 'spawn', or fork while no call is under way"
_REWRITTEN = 2
_CLOSING_WAIT = 1.0  # seconds that closing waits for other writers before it leaves the log to them


class SQLiteUser:
    """One user's file. Transactions of all threads go through one connection, one at a time.

    ``path`` None is a database in memory, which lives as long as this object. Raises UserForgotten if the file goes
    while it is opened.
    """

    def __init__(
        self, path: Path | None, *, timeout: float, vfs: str | None = None, image: bytes | None = None
    ) -> None:
        self.path = path
        self._timeout = min(timeout, _MAX_WAIT)
        self._vfs = vfs
        self._mutex = threading.RLock()
        self._where = "memory" if path is None else str(path)
        self._lock = None if path is None else FileLock(path.with_suffix(".lock"))
        self._identity: tuple[int, int] | None = None
        self._connection: apsw.Connection | None = None
        self._read_only = False
        self._closed = False
        self._lost = False
        with self._exclusive(), translated(self._where):
            FORKS.register(self)
            self._connection = self._opened(image)
            self.user_id = self._named(self._connection)
        self.owner = owner_of(self.user_id)

    # opening

    def _opened(self, image: bytes | None = None) -> apsw.Connection:
        """A new connection; to the same file as before, if there was one before."""
        if self.path is None:
            return self._in_memory(image)
        before = _identity(self.path)
        if before is None or self._identity not in (None, before):
            raise _forgotten()
        if before in FORKS.unsafe:
            raise StoreUnavailable(f"{self._where} was in use when this process was forked", hint=_FORK_HINT)
        try:
            connection = self._connect(self.path)
        except apsw.CantOpenError:
            if _identity(self.path) != before:
                raise _forgotten() from None
            raise
        self._identity = before
        try:
            self._still_there()
            self._configure(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _in_memory(image: bytes | None) -> apsw.Connection:
        connection = apsw.Connection(":memory:")
        if image is not None:
            # Write-ahead logging does not exist in memory.
            plain = bytearray(image)
            plain[18:20] = b"\x01\x01"
            connection.deserialize("main", bytes(plain))
        return connection

    def _connect(self, path: Path) -> apsw.Connection:
        self._read_only = not (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK))
        if not self._read_only:
            return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=self._vfs)
        # A read-only directory has no place for the shared-memory file of write-ahead logging; the file
        # can be read all the same when nothing is left in its log.
        logs = [path.with_name(path.name + ending) for ending in ("-wal", "-journal")]
        if any(log.exists() and log.stat().st_size for log in logs):
            raise StoreReadOnly(
                f"{self._where} was not closed cleanly and cannot be recovered in a read-only directory",
                hint="make the directory writable once, or copy it to a writable place",
            )
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        return apsw.Connection(f"{path.absolute().as_uri()}?immutable=1", flags=flags, vfs=self._vfs)

    def _configure(self, connection: apsw.Connection) -> None:
        connection.set_busy_timeout(int(self._timeout * 1000))
        for name, value in (
            ("synchronous", "full"),
            ("temp_store", "memory"),
            ("trusted_schema", 0),
            ("cell_size_check", 1),
            ("secure_delete", 1),
            ("cache_size", -2000),
        ):
            connection.pragma(name, value)
        if sqlite_schema.is_current(connection):
            if not self._read_only and connection.pragma("journal_mode") != "wal":
                with self._file_lock():  # a copy made by other means than ours
                    connection.pragma("journal_mode", "wal")
            return
        if self._read_only:
            raise StoreReadOnly(f"{self._where} must be migrated and cannot be written", hint="open it writable once")
        with self._file_lock():
            sqlite_schema.migrate(connection)

    def _named(self, connection: apsw.Connection) -> str:
        try:
            user_id = connection.execute("select value from meta where name = 'user_id'").get
        except UnicodeDecodeError:
            user_id = None
        except BaseException:
            connection.close()
            raise
        if not isinstance(user_id, str):
            connection.close()
            raise StoreCorrupt(f"{self._where} does not say whose it is", hint=DAMAGED)
        return user_id

    def _live(self) -> apsw.Connection:
        """The connection; opened again if a fork has closed it."""
        if self._lost:
            raise StoreUnavailable(f"{self._where} was in use when this process was forked", hint=_FORK_HINT)
        self._still_there()
        if self._connection is None:
            if self._closed:
                raise StoreUnavailable(f"{self._where} was closed", hint="open the user again")
            self._connection = self._opened()
        return self._connection

    # locks

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if not self._mutex.acquire(timeout=self._timeout):
            raise StoreBusy(f"{self._where} is in use by other threads", hint="try again, or raise the wait time")
        try:
            yield
        finally:
            self._mutex.release()

    @contextmanager
    def _file_lock(self, wait: float | None = None) -> Iterator[None]:
        """Exclude the writers of all processes, and the erasure of the user."""
        if self._lock is None or self.path is None:
            yield
            return
        self._still_there()  # or the lock file of a user who is gone would be made anew
        with self._lock.held(self._timeout if wait is None else wait, what=self._where):
            if not self.path.exists():
                self._lock.path.unlink(missing_ok=True)
            self._still_there()
            yield

    def _still_there(self) -> None:
        """Raise UserForgotten if the file was erased (and perhaps begun anew) since it was opened."""
        if self.path is None:
            if self._closed:
                raise _forgotten()
        elif self._identity is not None and _identity(self.path) != self._identity:
            raise _forgotten()

    # transactions

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """A reading transaction: one consistent state of the file."""
        with self._exclusive(), translated_sqlite(self._where):
            with translated(self._where):
                connection = self._live()
                connection.execute("begin")
            try:
                yield Rows(connection, self.user_id)
            finally:
                self._roll_back(connection)

    @contextmanager
    def write(self) -> Iterator[WritingRows]:
        """A writing transaction: durable when the block is left, without trace when it raises."""
        with ExitStack() as locks, translated_sqlite(self._where):
            locks.enter_context(self._exclusive())
            with translated(self._where):
                connection = self._live()
                if self._read_only:
                    raise StoreReadOnly(f"{self._where} cannot be written", hint="check the mount and its permissions")
                locks.enter_context(self._file_lock())
            try:
                rows = self._begin(connection)
                yield rows
                if rows.is_first:
                    self._sync_names()
                connection.execute("commit")
            except BaseException:
                self._roll_back(connection)
                raise
            if rows.deleted:
                self._scrub(connection, self._timeout)

    def _begin(self, connection: apsw.Connection) -> WritingRows:
        connection.execute("begin immediate")
        if self._scrub_is_due(connection):
            # Left by a deletion whose process was killed, or failed, before the bytes were overwritten.
            connection.execute("rollback")
            self._finish_scrub(connection)
            connection.execute("begin immediate")
        return WritingRows(connection, self.user_id)

    def _sync_names(self) -> None:
        """Before a user's first commit: the names of the file and its directories must outlive a power cut."""
        if self.path is not None:
            with translated(self._where):
                for directory in self.path.parents[:3]:
                    sync_directory(directory)

    def _roll_back(self, connection: apsw.Connection) -> None:
        # A failed statement may have rolled back already.
        if connection.in_transaction:
            try:
                connection.execute("rollback")
            except apsw.Error as error:
                raise translate(error, self._where) from error

    # erasing deleted text

    def _scrub_is_due(self, connection: apsw.Connection) -> bool:
        return self.path is not None and bool(connection.execute("select value from meta where name = 'scrub'").get)

    def _finish_scrub(self, connection: apsw.Connection) -> None:
        try:
            self._scrub(connection, 0.0)
        except MemagentError:
            # The call at hand is another one and can go on; the work stays marked in the file.
            return

    def _scrub(self, connection: apsw.Connection, wait: float) -> None:
        """After a deletion, rewrite the file and empty its log, so that no deleted text stays in either.

        ``secure_delete`` alone is not enough: it zeroes a deleted cell, but not the stale copies that moving cells
        between pages leaves in the unallocated part of a page (seen in one of three random runs of 1,500
        operations). The deletion itself is committed; ``scrub`` stays set until this has worked (1: all is to be
        done, 2: the file is rewritten), so that a process that is killed in between leaves the work to the next
        writer.
        """
        if self.path is None:
            return
        try:
            if connection.execute("select value from meta where name = 'scrub'").get != _REWRITTEN:
                connection.execute("vacuum")
                connection.execute("update meta set value = ? where name = 'scrub'", (_REWRITTEN,))
            deadline = time.monotonic() + wait
            connection.set_busy_timeout(0)  # the checkpoint would wait by itself, and not by our deadline
            while connection.execute("pragma wal_checkpoint(truncate)").fetchall()[0][0]:
                if time.monotonic() >= deadline:
                    raise StoreBusy(f"another process is reading {self._where}")
                time.sleep(0.002)
            connection.execute("update meta set value = 0 where name = 'scrub'")
        except (apsw.Error, StoreBusy) as error:
            ours = translate(error, self._where) if isinstance(error, apsw.Error) else error
            raise type(ours)(
                f"the memory is deleted, but its bytes are not overwritten yet: {ours.message}",
                hint="the next write, or `memagent verify`, finishes it",
            ) from error
        finally:
            connection.set_busy_timeout(int(self._timeout * 1000))

    # the rest

    def encoder(self) -> tuple[str, int] | None:
        """Fingerprint and width of the stored vectors."""
        with self._exclusive(), translated(self._where):
            try:
                row = self._live().execute("select fingerprint, dim from encoders").fetchone()
            except UnicodeDecodeError:
                raise StoreCorrupt(f"{self._where} names no readable encoder", hint=DAMAGED) from None
        return None if row is None else (str(row[0]), int(row[1]))

    def backup(self, target: Path) -> None:
        """Write a complete copy through SQLite's backup interface; ``target`` appears only when it is complete."""
        partial = target.with_name(target.name + ".partial")
        with self._exclusive(), translated(str(target)):
            connection = self._live()
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
                    file.write(sqlite_schema.WRITE_AHEAD)
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(target)
            except BaseException:
                partial.unlink(missing_ok=True)
                raise
            sync_directory(target.absolute().parent)

    def check(self) -> list[str]:
        """Problems found in the file. Finishes an erasure that was cut off."""
        with self._exclusive(), translated(self._where):
            connection = self._live()
            problems = []
            if not self._read_only and self._scrub_is_due(connection):
                try:
                    with self._file_lock():
                        self._scrub(connection, self._timeout)
                except (StoreBusy, StoreFull, StoreUnavailable) as error:
                    problems.append(str(error))
            return problems + check_rows(connection)

    def close(self) -> None:
        """Release the file; the object cannot be used afterwards."""
        with self._exclusive(), translated(self._where):
            self._closed = True
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if self._read_only or self.path is None:
                connection.close()
                return
            try:
                with self._file_lock(min(self._timeout, _CLOSING_WAIT)):
                    connection.close()
            except (UserForgotten, StoreBusy, OSError):
                self._drop(connection)

    @staticmethod
    def _drop(connection: apsw.Connection) -> None:
        """Close a connection and leave the log as it is: to those who have the file open, or to the next to open it."""
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close()

    # forks: see memagent.stores.forks

    def pause(self, timeout: float) -> bool:
        """Close the connection between two transactions and keep other threads out, until :meth:`resume`."""
        if not self._mutex.acquire(timeout=timeout):
            return False
        connection = self._connection
        if connection is None or self.path is None:
            return True
        if connection.in_transaction:  # of this very thread: the mutex is reentrant
            self._mutex.release()
            return False
        try:
            self._drop(connection)
        except apsw.Error:
            self._mutex.release()
            return False
        self._connection = None
        return True

    def resume(self) -> None:
        """Let other threads in again."""
        self._mutex.release()

    def abandon(self) -> tuple[int, int] | None:
        """In a forked child: leave the parent's connection alone for good, even when the process ends."""
        import ctypes

        connection, self._connection = self._connection, None
        self._mutex = threading.RLock()
        self._lost = True
        if connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        return self._identity


def _forgotten() -> UserForgotten:
    return UserForgotten("the user was forgotten while this handle was open", hint="open the user again")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return (status.st_dev, status.st_ino)


def owner_of(user_id: str) -> str:
    """The name of a user's file: SHA-256 of the id's UTF-8, in hexadecimal."""
    import hashlib

    return hashlib.sha256(user_id.encode()).hexdigest()
