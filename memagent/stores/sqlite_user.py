"""One user's SQLite file, opened."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw

from memagent.errors import (
    InvalidInput,
    MemagentError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    UserForgotten,
)
from memagent.stores import sqlite_open, sqlite_schema, sqlite_scrub
from memagent.stores.forks import FORKS
from memagent.stores.locks import FileLock, sync_directory
from memagent.stores.sqlite_check import check_rows
from memagent.stores.sqlite_errors import DAMAGED, translate, translated, translated_sqlite
from memagent.stores.sqlite_rows import Rows
from memagent.stores.sqlite_writing import WritingRows

_MAX_WAIT = 1_000_000.0  # seconds; threading and SQLite take no infinity
_FORK_HINT = "start processes with 'spawn', or fork while no call is under way"
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
        self._begun: object = None
        self._connection: apsw.Connection | None = None
        self._read_only = False
        self._closed = False
        self._lost = False
        with self._exclusive(), self._translated():
            FORKS.register(self)
            self._connection = self._opened(image)
            self.user_id, self._begun = sqlite_open.begun_by(self._connection, self._where)
        self.owner = owner_of(self.user_id)

    # opening

    def _opened(self, image: bytes | None = None) -> apsw.Connection:
        """A new connection; to the same file as before, if there was one before."""
        if self.path is None:
            return sqlite_open.in_memory(image)
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
            self._still_there()  # or the log might be that of a user begun anew
            begun = sqlite_open.begun_by(connection, self._where)
            if self._begun is not None and begun != (self.user_id, self._begun):
                raise _forgotten()  # the file of a user begun anew may have got the number of the erased one
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, path: Path) -> apsw.Connection:
        self._read_only = not sqlite_open.is_writable(path)
        return (sqlite_open.read_only if self._read_only else sqlite_open.writable)(path, self._vfs)

    def _configure(self, connection: apsw.Connection) -> None:
        sqlite_open.set_up(connection, self._timeout)
        if sqlite_schema.is_current(connection):
            if not self._read_only and connection.pragma("journal_mode") != "wal":
                with self._file_lock():  # a copy made by other means than ours
                    connection.pragma("journal_mode", "wal")
            return
        if self._read_only:
            raise StoreReadOnly(f"{self._where} must be migrated and cannot be written", hint="open it writable once")
        with self._file_lock():
            sqlite_schema.migrate(connection)

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

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Run a block; errors of SQLite and of the system leave it as ours, as UserForgotten if the file is gone."""
        with self._noticing(), translated(self._where):
            yield

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except StoreError:
            self._still_there()  # an erasure takes files away at any moment: then it is the reason
            raise

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
        with self._exclusive(), self._noticing(), translated_sqlite(self._where):
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
        with self._noticing(), ExitStack() as locks, translated_sqlite(self._where):
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
        return self.path is not None and sqlite_scrub.is_due(connection)

    def _finish_scrub(self, connection: apsw.Connection) -> None:
        """Take up what another call has left, if that is possible without waiting."""
        try:
            self._scrub(connection, 0.0)
        except MemagentError:
            # The call at hand is another one and can go on; the work stays marked in the file.
            return

    def _scrub(self, connection: apsw.Connection, wait: float) -> None:
        if self.path is not None:
            sqlite_scrub.scrub(connection, wait=wait, timeout=self._timeout, where=self._where)

    # the rest

    def encoder(self) -> tuple[str, int] | None:
        """Fingerprint and width of the stored vectors."""
        with self._exclusive(), self._translated():
            try:
                row = self._live().execute("select fingerprint, dim from encoders").fetchone()
            except UnicodeDecodeError:
                raise StoreCorrupt(f"{self._where} names no readable encoder", hint=DAMAGED) from None
        return None if row is None else (str(row[0]), int(row[1]))

    def backup(self, target: Path) -> None:
        """Write a complete copy through SQLite's backup interface; ``target`` appears only when it is complete."""
        with self._exclusive(), translated(str(target)):
            connection = self._live()
            if self._identity is not None and _identity(target) == self._identity:
                raise InvalidInput(f"{target} is the user's own file", hint="write the copy somewhere else")
            sqlite_open.copy_to(connection, target)

    def check(self) -> list[str]:
        """Problems found in the file. Finishes an erasure that was cut off."""
        with self._exclusive(), self._translated():
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
                sqlite_open.close_without_checkpoint(connection)

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
            sqlite_open.close_without_checkpoint(connection)
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
