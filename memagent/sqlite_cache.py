"""A SQLite file that holds only what can be made again: opened when it is used, safe across threads, processes, forks.

It is written with ``synchronous=NORMAL``: a crash of the process loses nothing, a power cut the last entries at most.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import apsw

from memagent.errors import StoreBusy, StoreCorrupt, StoreFull, StoreReadOnly, StoreUnavailable
from memagent.files import Identity, identity_of
from memagent.forks import FORK_HINT, FORKS, leave_alone

T = TypeVar("T")

_WAIT_MS = 30_000
_MAGIC = b"SQLite format 3\0"
_ID_AT = 68  # of the application id in the header, four bytes, big-endian (https://www.sqlite.org/fileformat.html)
_log = logging.getLogger("memagent")


class SqliteCache:
    """One cache file. ``what`` names it in errors (``a reply cache``); ``schema`` makes its tables.

    ``checked``: look through the whole file when it is first opened; else damage is found where it is met.

    Nothing is opened before the first use. A file that is not this cache is refused with
    :class:`~memagent.errors.StoreCorrupt` and left as it is. This cache, damaged, is moved aside (``damaged`` says
    where to) and begun anew.
    """

    def __init__(
        self, path: Path, *, what: str, application_id: int, version: int, schema: str, checked: bool = True
    ) -> None:
        self.path = path
        self.damaged: Path | None = None
        self._what = what
        self._application_id = application_id
        self._version = version
        self._schema = schema
        self._sound = not checked
        self._identity: Identity | None = None
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        FORKS.register(self, inner=True)

    def use(self, action: Callable[[apsw.Connection], T]) -> T:
        """What ``action`` makes of the connection, held alone; SQLite's errors leave as ours.

        When the file turns out to be damaged on the way, the action is done again on a new one.
        """
        try:
            with self._opened() as connection:
                return action(connection)
        except StoreCorrupt:
            if not self._set_aside(self._identity):
                raise
        with self._opened() as connection:
            return action(connection)

    def close(self) -> None:
        """Close the file; a later use opens it again."""
        with self._lock:
            self._close()

    # forks: see memagent.forks

    def pause(self, timeout: float) -> bool:
        """Close the connection between two uses and keep other threads out, until :meth:`resume`."""
        if not self._lock.acquire(timeout=timeout):
            return False
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                # Emptying the log is left to a close that nobody waits for.
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close()
        except apsw.Error:
            leave_alone(connection)  # the next use opens another; in the child it is refused
            self._lock.release()
            return False
        return True

    def resume(self, *, in_child: bool) -> None:
        """Let other threads in again."""
        self._lock.release()

    def abandon(self) -> Identity | None:
        """In a forked child: leave the parent's connection alone for good."""
        self._lock = threading.Lock()
        connection, self._connection = self._connection, None
        if connection is not None:
            leave_alone(connection)
        return identity_of(self.path)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _opened(self) -> Iterator[apsw.Connection]:
        with self._lock, _our_errors(self.path):
            if self._connection is None:
                if identity_of(self.path) in FORKS.unsafe:
                    raise StoreUnavailable(f"{self.path} was in use when this process was forked", hint=FORK_HINT)
                self._connection = self._open()
            yield self._connection

    def _open(self) -> apsw.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # What is in it was said to a model: for the owner alone.
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._identity = identity_of(self.path)
        connection = apsw.Connection(str(self.path))
        try:
            connection.set_busy_timeout(_WAIT_MS)
            with transaction(connection):
                self._refuse_others(connection)
                if _is_empty(connection):  # before there is a log, so that the header says whose file it is
                    connection.execute(self._schema)
                    connection.pragma("application_id", self._application_id)
                    connection.pragma("user_version", self._version)
            _use_wal(connection)
            connection.pragma("synchronous", "NORMAL")
            connection.pragma("secure_delete", "ON")
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _refuse_others(self, connection: apsw.Connection) -> None:
        """Raise for a database that is not this cache, before anything in it is changed."""
        found = number(connection, "PRAGMA application_id"), number(connection, "PRAGMA user_version")
        if found != (self._application_id, self._version) and not _is_empty(connection):
            raise StoreCorrupt(f"{self.path} is not {self._what} of this version", hint="choose another file")

    def _check(self, connection: apsw.Connection) -> None:
        """Raise for a damaged file, once an object: entries are found again only in a sound one."""
        if not self._sound and connection.execute("PRAGMA integrity_check(1)").fetchall() != [("ok",)]:
            raise StoreCorrupt(f"{self.path} is damaged", hint="delete it; all it holds can be made again")
        self._sound = True

    def _set_aside(self, found: Identity | None) -> bool:
        """Move the file that was found damaged away, if it is this cache; whether there is another one to use now."""
        with self._lock, _our_errors(self.path):
            if identity_of(self.path) != found:  # another thread or process has done so
                if self._identity == found:
                    self._close()
                return True
            self._close()
            with self.path.open("rb") as file:
                header = file.read(_ID_AT + 8)
            versions = header[60:64], header[_ID_AT : _ID_AT + 4]
            ours = self._version.to_bytes(4, "big"), self._application_id.to_bytes(4, "big")
            if not header.startswith(_MAGIC) or versions != ours:
                return False
            self.damaged = self.path.with_name(f"{self.path.name}.damaged")
            self.path.replace(self.damaged)
            for ending in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + ending).unlink()
        _log.warning("%s was damaged: it is now %s, and a new one is begun", self.path, self.damaged.name)
        return True


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """A transaction that takes the write lock at once, so that it waits its turn instead of failing midway."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def number(connection: apsw.Connection, query: str, *values: str | int | bytes) -> int:
    """The one number that a query finds."""
    rows: list[Any] = connection.execute(query, values).fetchall()
    return int(rows[0][0])


def _use_wal(connection: apsw.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait by itself for others that are just doing the same."""
    deadline = time.monotonic() + _WAIT_MS / 1000
    while True:
        try:
            connection.pragma("journal_mode", "WAL")
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _is_empty(connection: apsw.Connection) -> bool:
    return number(connection, "SELECT count(*) FROM sqlite_schema") == 0


@contextmanager
def _our_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.BusyError as error:
        raise StoreBusy(f"{path} is held by another process", hint="try again") from error
    except apsw.FullError as error:
        raise StoreFull(f"no space left for {path}", hint="free space; the cache itself may be deleted") from error
    except apsw.ReadOnlyError as error:
        raise StoreReadOnly(f"{path} cannot be written", hint="choose another place for the cache") from error
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreCorrupt(f"{path} is damaged", hint="delete it; all it holds can be made again") from error
    except (apsw.Error, OSError) as error:
        raise StoreUnavailable(f"cannot use {path}: {error}", hint="check the folder and its permissions") from error
