"""A directory of SQLite files, one a user.

    <root>/users/<first two hex digits>/<sha256 of the user id>.db    the history (and -wal, -shm while open)
                                        <sha256 of the user id>.lock  held by whoever writes

The name of a file cannot be chosen by a user id (``../x``, a case variant, 4 kB of Unicode), and no two ids share one.

A user is erased by renaming ``.db`` to ``.forgotten``, in one step and without needing space, and then removing what
is there of the user. Whoever comes across a ``.forgotten`` file finishes what a killed process began.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from memagent.errors import (
    ErasureFinished,
    InvalidUserId,
    MemagentError,
    StoreBusy,
    StoreCorrupt,
    UnknownMemory,
    UnknownUser,
    UserForgotten,
)
from memagent.files import sync_directory
from memagent.records import to_micros, utc_now
from memagent.stores import sqlite_schema
from memagent.stores.locks import FileLock, make_directory
from memagent.stores.sqlite_errors import DAMAGED, translated
from memagent.stores.sqlite_user import SQLiteUser, owner_of

_ATTEMPTS = 100  # how often a user who is erased while being opened is looked for again
_PARTS = (".db-wal", ".db-shm", ".db-journal", ".new", ".forgotten")
"""Endings of what there may be of a user beside ``.db`` and ``.lock``; the last one marks that all of it must go."""
_OWNER = re.compile(r"[0-9a-f]{64}")


def checked_user_id(user_id: object) -> str:
    """The id itself if it can name a user; raises InvalidUserId."""
    if not isinstance(user_id, str):
        raise InvalidUserId(f"a user id is a text, not {type(user_id).__name__}", hint="pass user_id='...'")
    if not user_id:
        raise InvalidUserId("the user id is empty", hint="pass user_id='...'")
    try:
        user_id.encode()
    except UnicodeEncodeError:
        raise InvalidUserId("the user id holds a lone surrogate", hint="decode the id properly first") from None
    return user_id


class SQLiteStore:
    """Users' histories in files under ``root``.

    ``timeout`` is how long, in seconds, a call waits for a file that others are using. ``vfs`` names a
    SQLite virtual file system (tests use it to make file operations fail).
    """

    volatile = False

    def __init__(self, root: Path, *, timeout: float = 30.0, vfs: str | None = None) -> None:
        self.root = root
        self._timeout = timeout
        self._vfs = vfs
        self._root_is_durable = False

    def _path(self, owner: str) -> Path:
        return self.root / "users" / owner[:2] / f"{owner}.db"

    def open(self, user_id: str, *, create: bool = False) -> SQLiteUser:
        """The user's store; raises UnknownUser unless ``create``, ErasureFinished if that was this call's doing."""
        user_id = checked_user_id(user_id)
        path = self._path(owner_of(user_id))
        for _ in range(_ATTEMPTS):
            with translated(str(path)):
                finished = self._finish_erasure(path)
                if not path.exists():
                    if not create:
                        raise _unknown_user(user_id, ErasureFinished if finished else UnknownUser)
                    self._create(path, user_id)
            with suppress(UserForgotten):
                return self._opened(path, user_id)
        raise StoreBusy(f"{path} is erased and begun anew all the time", hint="try again")

    def open_owner(self, owner: str) -> SQLiteUser:
        """The store whose memory ids begin with ``owner``; raises UnknownMemory."""
        if not _OWNER.fullmatch(owner):
            raise _unknown_owner()
        path = self._path(owner)
        with translated(str(path)):
            self._finish_erasure(path)
            if not path.exists():
                raise _unknown_owner()
        try:
            return self._opened(path, None)
        except UserForgotten:
            raise _unknown_owner() from None

    def _opened(self, path: Path, user_id: str | None) -> SQLiteUser:
        user = SQLiteUser(path, timeout=self._timeout, vfs=self._vfs)
        if user.owner != path.stem or user_id not in (None, user.user_id):
            user.close()
            raise StoreCorrupt(f"{path} belongs to another user", hint=DAMAGED)
        return user

    def _create(self, path: Path, user_id: str) -> None:
        """Put a complete new file in place by renaming: a file that is there is never half made.

        Its name is made durable before the first commit.
        """
        self._make_directory(path.parent)
        with self._locked(path):
            if path.exists():
                return
            log = path.with_suffix(".db-wal")
            if log.exists() and log.stat().st_size:
                raise StoreCorrupt(f"{path} is missing, but its log {log.name} is there", hint=DAMAGED)
            partial = path.with_suffix(".new")
            try:
                with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(sqlite_schema.blank(user_id, to_micros(utc_now())))
                    file.flush()
                    os.fsync(file.fileno())
                partial.replace(path)
            except BaseException:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)
                raise

    def _make_directory(self, path: Path) -> None:
        make_directory(path)
        if not self._root_is_durable:
            # Made before, by a process that was killed before its name was synced, or by somebody else.
            with suppress(PermissionError):
                sync_directory(self.root.absolute().parent)
            self._root_is_durable = True

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Exclude other writers of a user; an erasure that was begun is finished first."""
        lock = FileLock(path.with_suffix(".lock"))
        with lock.held(self._timeout, what=str(path)):
            if path.with_suffix(_PARTS[-1]).exists():
                self._sweep(path)
            yield
            if not path.exists():
                lock.path.unlink(missing_ok=True)
                sync_directory(path.parent)

    def owners(self) -> Iterator[str]:
        """The names of all users' files, without ending; finishes erasures that were cut off."""
        found: list[str] = []
        with translated(str(self.root)):
            for directory in sorted((self.root / "users").glob("??")):
                names = [path.relative_to(directory) for path in directory.iterdir()]
                there = {name.stem for name in names if name.suffix == ".db" and _OWNER.fullmatch(name.stem)}
                gone = {name.stem for name in names if name.suffix == ".forgotten"}
                left = {name.stem for name in names if name.suffix in (".lock", ".new")} - there
                for owner in sorted(gone | left):
                    self._sweep_later(self._path(owner))
                found += sorted(there)
        return iter(found)

    def users(self) -> Iterator[str]:
        """The ids of all users."""
        for owner in self.owners():
            try:
                user = self._opened(self._path(owner), None)
            except UserForgotten:
                continue
            try:
                yield user.user_id
            finally:
                user.close()

    # erasure

    def forget(self, user_id: str) -> None:
        """Erase every file of a user, also those that an erasure or a first call that was cut off has left.

        Waits for writers; a handle that stays open elsewhere finds out. Raises UnknownUser if there is no file.
        """
        path = self._path(owner_of(checked_user_id(user_id)))
        with translated(str(path)):
            if not any(path.with_suffix(suffix).exists() for suffix in (".db", ".lock", *_PARTS)):
                raise _unknown_user(user_id)
            with self._locked(path):
                if path.exists():
                    # From here on the user is gone.
                    path.replace(path.with_suffix(_PARTS[-1]))
                    sync_directory(path.parent)
                self._sweep(path)

    def _finish_erasure(self, path: Path) -> bool:
        """Finish what was cut off; whether there was something to finish."""
        if not path.with_suffix(_PARTS[-1]).exists():
            return False
        with self._locked(path):
            return True

    def _sweep(self, path: Path) -> None:
        """Remove what is left of an erased user, what marks it last. The caller holds the lock."""
        if not path.exists():
            for suffix in _PARTS[:-1]:
                path.with_suffix(suffix).unlink(missing_ok=True)
            sync_directory(path.parent)
        path.with_suffix(_PARTS[-1]).unlink(missing_ok=True)
        sync_directory(path.parent)

    def _sweep_later(self, path: Path) -> None:
        """Remove leftovers of a user who is not there, unless that is being done, or the user made, at the moment."""
        with suppress(MemagentError, OSError), FileLock(path.with_suffix(".lock")).held(0.0, what=str(path)):
            self._sweep(path)
            if not path.exists():
                path.with_suffix(".lock").unlink(missing_ok=True)


class MemoryOnlyStore:
    """Users' histories in this process's memory, for simulations and tests; gone with the object."""

    volatile = True

    def __init__(self, *, timeout: float = 30.0) -> None:
        self._timeout = timeout
        self._users: dict[str, SQLiteUser] = {}

    def open(self, user_id: str, *, create: bool = False) -> SQLiteUser:
        """The user's store; raises UnknownUser unless ``create``."""
        owner = owner_of(checked_user_id(user_id))
        user = self._users.get(owner)
        if user is None:
            if not create:
                raise _unknown_user(user_id)
            image = sqlite_schema.blank(user_id, to_micros(utc_now()))
            user = self._users.setdefault(owner, SQLiteUser(None, timeout=self._timeout, image=image))
        return user

    def open_owner(self, owner: str) -> SQLiteUser:
        """The store whose memory ids begin with ``owner``; raises UnknownMemory."""
        if owner not in self._users:
            raise _unknown_owner()
        return self._users[owner]

    def owners(self) -> Iterator[str]:
        """The prefixes of all users' memory ids."""
        return iter(list(self._users))

    def users(self) -> Iterator[str]:
        """The ids of all users."""
        return iter([user.user_id for user in self._users.values()])

    def forget(self, user_id: str) -> None:
        """Drop a user's database."""
        user = self._users.pop(owner_of(checked_user_id(user_id)), None)
        if user is None:
            raise _unknown_user(user_id)
        user.close()


def _unknown_user(user_id: str, kind: type[UnknownUser] = UnknownUser) -> UnknownUser:
    shown = repr(user_id if len(user_id) <= 64 else user_id[:61] + "...")
    return kind(f"nothing is stored for user {shown}", hint="add something first")


def _unknown_owner() -> UnknownMemory:
    return UnknownMemory("no memory has this id: its user is not in this store", hint="check the id")
