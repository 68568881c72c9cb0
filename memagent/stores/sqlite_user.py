"""One user's SQLite file, opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Literal

import apsw

from memagent.errors import (
    InvalidInput,
    MemagentError,
    StoreBusy,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    UserForgotten,
)
from memagent.files import Identity, identity_of, sync_directory
from memagent.forks import FORK_HINT, FORKS, leave_alone
from memagent.stores import sqlite_open, sqlite_schema, sqlite_scrub
from memagent.stores.sqlite_check import check_rows
from memagent.stores.sqlite_errors import translate, translated, translated_sqlite
from memagent.stores.sqlite_rows import Rows
from memagent.stores.sqlite_writing import WritingRows
from memagent.stores.turns import Deadline, Turns
from memagent.stores.user_file import UserFile, forgotten

_MAX_WAIT = 1_000_000.0  # seconds; threading and SQLite take no infinity
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
        self._file = UserFile(path)
        self._where = self._file.where
        self._timeout = min(timeout, _MAX_WAIT)
        self._vfs = vfs
        self._turns = Turns(self._where)
        self._begun: object = None
        self._connection: apsw.Connection | None = None
        self._transaction: Literal["read", "write"] | None = None
        self._read_only = False
        self._closed = False
        self._lost = False
        with self._held(), self._translated():
            FORKS.register(self)
            self._connection = self._opened(image)
            self.user_id, self._begun = sqlite_open.begun_by(self._connection, self._where)
        self.owner = owner_of(self.user_id)

    # opening

    def _opened(self, image: bytes | None = None) -> apsw.Connection:
        """A new connection; to the same file as before, if there was one before."""
        path = self.path
        if path is None:
            return sqlite_open.in_memory(image)
        before = identity_of(path)
        if before is None or self._file.identity not in (None, before):
            raise forgotten()
        if before in FORKS.unsafe:
            raise StoreUnavailable(f"{self._where} was in use when this process was forked", hint=FORK_HINT)
        try:
            connection = self._connect(path)
        except apsw.CantOpenError:
            if identity_of(path) != before:
                raise forgotten() from None
            raise
        self._file.identity = before
        try:
            self._file.check_there()
            self._configure(connection)
            self._file.check_there()  # or the log might be that of a user begun anew
            begun = sqlite_open.begun_by(connection, self._where)
            if self._begun is not None and begun != (self.user_id, self._begun):
                raise forgotten()  # the file of a user begun anew may have got the number of the erased one
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self, path: Path) -> apsw.Connection:
        self._read_only = not sqlite_open.is_writable(path)
        self._file.stamp = None
        if not self._read_only:
            return sqlite_open.writable(path, self._vfs)
        connection, self._file.stamp = sqlite_open.read_only(path, self._vfs)
        return connection

    def _configure(self, connection: apsw.Connection) -> None:
        sqlite_open.set_up(connection, self._timeout)
        if sqlite_schema.is_current(connection):
            if not self._read_only and connection.pragma("journal_mode") != "wal":
                with self._file.locked(self._timeout):  # a copy made by other means than ours
                    connection.pragma("journal_mode", "wal")
            return
        if self._read_only:
            raise StoreReadOnly(f"{self._where} must be migrated and cannot be written", hint="open it writable once")
        with self._file.locked(self._timeout):
            sqlite_schema.migrate(connection)

    def _live(self) -> apsw.Connection:
        """The connection; opened again if a fork has closed it, or if it does not see what is in the file now."""
        self._check_usable()
        self._file.check_there()
        if self._transaction is None and not self._file.is_as_opened():
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()
        if self._connection is None:
            self._connection = self._opened()
        return self._connection

    def _check_usable(self) -> None:
        if self._lost:
            raise StoreUnavailable(f"{self._where} was in use when this process was forked", hint=FORK_HINT)
        if self._closed and self._connection is None:
            self._file.check_there()  # an erasure is the reason then
            raise StoreUnavailable(f"{self._where} was closed", hint="open the user again")

    # locks: see memagent.stores.turns

    def _held(self) -> AbstractContextManager[None]:
        return self._turns.held(Deadline(self._timeout))

    @contextmanager
    def _alone(self) -> Iterator[apsw.Connection]:
        """The connection, while the writers of all processes and the erasure of the user are excluded.

        The file's lock comes first: while this thread waits for other processes, other threads read.
        """
        deadline = Deadline(self._timeout)
        with self._turns.writing(deadline), self._file.locked(deadline.left()), self._turns.held(deadline):
            self._file.is_locked = True
            try:
                yield self._live()
            finally:
                self._file.is_locked = False

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Run a block; errors of SQLite and of the system leave it as ours, as UserForgotten if the file is gone."""
        with self._file.noticing(), translated(self._where):
            yield

    # transactions

    @contextmanager
    def read(self) -> Iterator[Rows]:
        """A reading transaction: one consistent state of the file. Inside another of the same thread: that state."""
        with self._held(), self._file.noticing(), translated_sqlite(self._where):
            with translated(self._where):
                connection = self._live()
                inside = self._transaction
                if inside is None:
                    connection.execute("begin")
            if inside is not None:
                if inside == "write":
                    raise InvalidInput(
                        "a user's memory is read inside a change of the same user", hint="read before or after it"
                    )
                yield Rows(connection, self.user_id)
                return
            self._transaction = "read"
            try:
                sqlite_schema.refuse_newer(connection)
                yield Rows(connection, self.user_id)
            finally:
                self._transaction = None
                self._roll_back(connection)

    @contextmanager
    def write(self) -> Iterator[WritingRows]:
        """A writing transaction: durable when the block is left, without trace when it raises."""
        with self._file.noticing(), ExitStack() as locks, translated_sqlite(self._where):
            with translated(self._where):
                self._check_usable()
                if self._read_only:
                    raise StoreReadOnly(f"{self._where} cannot be written", hint="check the mount and its permissions")
                connection = locks.enter_context(self._alone())
            self._transaction = "write"
            try:
                rows = self._begin(connection)
                yield rows
                if rows.is_first:
                    self._sync_names()
                connection.execute("commit")
            except BaseException:
                self._roll_back(connection)
                raise
            finally:
                self._transaction = None
            if rows.deleted:
                self._scrub(connection, self._timeout)

    def _begin(self, connection: apsw.Connection) -> WritingRows:
        connection.execute("begin immediate")
        sqlite_schema.refuse_newer(connection)
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
        with self._held(), self._translated():
            return sqlite_open.encoder_of(self._live(), self._where)

    def backup(self, target: Path) -> None:
        """Write a complete copy through SQLite's backup interface; ``target`` appears only when it is complete."""
        with self._held(), self._file.noticing(), translated(str(target)):
            connection = self._live()
            if self._file.identity is not None and identity_of(target) == self._file.identity:
                raise InvalidInput(f"{target} is the user's own file", hint="write the copy somewhere else")
            sqlite_open.copy_to(connection, target)

    def check(self) -> list[str]:
        """Problems found in the file. Finishes an erasure that was cut off."""
        problems = []
        with self._translated():
            with self._held():
                is_due = not self._read_only and self._scrub_is_due(self._live())
            if is_due:
                try:
                    with self._alone() as connection:
                        self._scrub(connection, self._timeout)
                except (StoreBusy, StoreFull, StoreUnavailable) as error:
                    problems.append(str(error))
            with self._held():
                return problems + check_rows(self._live())

    def close(self) -> None:
        """Release the file; the object cannot be used afterwards."""
        with translated(self._where), ExitStack() as locks:
            may_empty_log = self._excludes_writers(locks)
            locks.enter_context(self._held())
            self._closed = True
            self._file.is_gone = self.path is None
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if may_empty_log:
                connection.close()
            else:
                sqlite_open.close_without_checkpoint(connection)

    def _excludes_writers(self, locks: ExitStack) -> bool:
        """Whether there is no other writer, and will be none until ``locks`` is left."""
        if self._read_only or self._connection is None:
            return self._read_only
        deadline = Deadline(self._timeout)
        try:
            locks.enter_context(self._turns.writing(deadline))
            locks.enter_context(self._file.locked(min(deadline.left(), _CLOSING_WAIT)))
        except (UserForgotten, StoreBusy, OSError):
            return False
        return True

    # forks: see memagent.forks

    def pause(self, timeout: float) -> bool:
        """Close the connection between two transactions and keep other threads out, until :meth:`resume`."""
        if not self._turns.pause(timeout):
            return False
        connection = self._connection
        if connection is None or self.path is None:
            return True
        if self._transaction is not None:  # of this very thread: it may take its turn inside its own
            self._turns.resume()
            return False
        try:
            sqlite_open.close_without_checkpoint(connection)
        except apsw.Error:
            self._turns.resume()
            return False
        self._connection = None
        return True

    def resume(self, *, in_child: bool) -> None:
        """Let other threads in again."""
        self._turns.resume(in_child=in_child)

    def abandon(self) -> Identity | None:
        """In a forked child: leave the parent's connection alone for good, even when the process ends."""
        connection, self._connection = self._connection, None
        self._turns.abandon()
        self._lost = True
        if connection is not None:
            leave_alone(connection)
        return self._file.identity


def owner_of(user_id: str) -> str:
    """The name of a user's file: SHA-256 of the id's UTF-8, in hexadecimal."""
    import hashlib

    return hashlib.sha256(user_id.encode()).hexdigest()
