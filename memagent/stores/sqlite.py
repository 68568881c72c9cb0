"""A directory of SQLite files, one a user.

    <root>/users/<first two hex digits>/<sha256 of the user id>.db    the history (and -wal, -shm while open)
                                        <sha256 of the user id>.lock  held by whoever writes

The name of a file cannot be chosen by a user id (``../x``, a case variant, 4 kB of Unicode), and no two ids share one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from memagent.errors import InvalidUserId, StoreCorrupt, UnknownMemory, UnknownUser
from memagent.records import to_micros, utc_now
from memagent.stores import sqlite_schema
from memagent.stores.locks import TOMBSTONE, FileLock, sync_directory
from memagent.stores.sqlite_errors import translated
from memagent.stores.sqlite_user import SQLiteUser, owner_of

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

    def _path(self, owner: str) -> Path:
        return self.root / "users" / owner[:2] / f"{owner}.db"

    def open(self, user_id: str, *, create: bool = False) -> SQLiteUser:
        """The user's store; raises UnknownUser unless ``create``."""
        user_id = checked_user_id(user_id)
        path = self._path(owner_of(user_id))
        with translated(str(path)):
            if self._half_forgotten(path):
                self._erase(path)
            if not path.exists():
                if not create:
                    raise UnknownUser(f"nothing is stored for user {_shown(user_id)}", hint="add something first")
                self._create(path, user_id)
        return self._opened(path, user_id)

    def open_owner(self, owner: str) -> SQLiteUser:
        """The store whose memory ids begin with ``owner``; raises UnknownMemory."""
        path = self._path(owner)
        if not _OWNER.fullmatch(owner) or not path.exists():
            raise UnknownMemory("no memory has this id: its user is not in this store", hint="check the id")
        return self._opened(path, None)

    def _opened(self, path: Path, user_id: str | None) -> SQLiteUser:
        user = SQLiteUser(path, timeout=self._timeout, vfs=self._vfs)
        if user.owner != path.stem or user_id not in (None, user.user_id):
            user.close()
            raise StoreCorrupt(f"{path} belongs to another user", hint="restore it from a backup or an export")
        return user

    def _create(self, path: Path, user_id: str) -> None:
        """Put a complete new file in place by renaming: a file that is there is never half made."""
        self._make_directory(path.parent)
        with FileLock(path.with_suffix(".lock")).held(self._timeout, what=str(path)):
            if path.exists():
                return
            image = sqlite_schema.blank(user_id, to_micros(utc_now()))
            partial = path.with_suffix(".new")
            with partial.open("wb") as file:
                file.write(image)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            sync_directory(path.parent)

    def _make_directory(self, directory: Path) -> None:
        if directory.is_dir():
            return
        self._make_directory(directory.parent)
        directory.mkdir(exist_ok=True, mode=0o700)
        sync_directory(directory.parent)

    def owners(self) -> Iterator[str]:
        """The names of all users' files, without ending."""
        return iter(sorted(path.stem for path in (self.root / "users").glob("??/*.db")))

    def users(self) -> Iterator[str]:
        """The ids of all users."""
        for owner in self.owners():
            user = self._opened(self._path(owner), None)
            try:
                yield user.user_id
            finally:
                user.close()

    # erasure

    def _half_forgotten(self, path: Path) -> bool:
        lock = path.with_suffix(".lock")
        return lock.exists() and lock.stat().st_size > 0 and lock.read_bytes().startswith(TOMBSTONE)

    def forget(self, user_id: str) -> None:
        """Erase every file of a user. Waits for writers; a handle that stays open elsewhere finds out."""
        path = self._path(owner_of(checked_user_id(user_id)))
        with translated(str(path)):
            if not path.exists() and not self._half_forgotten(path):
                raise UnknownUser(f"nothing is stored for user {_shown(user_id)}", hint="there is nothing to forget")
            self._erase(path)

    def _erase(self, path: Path) -> None:
        lock_path = path.with_suffix(".lock")
        with FileLock(lock_path).held(self._timeout, what=str(path)) as lock:
            # From here on the user is gone: whoever opens the file next finishes what a killed process began.
            os.pwrite(lock, TOMBSTONE, 0)
            os.fsync(lock)
            for suffix in (".db", ".db-wal", ".db-shm", ".new"):
                path.with_suffix(suffix).unlink(missing_ok=True)
            sync_directory(path.parent)
            lock_path.unlink(missing_ok=True)
            sync_directory(path.parent)


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
                raise UnknownUser(f"nothing is stored for user {_shown(user_id)}", hint="add something first")
            image = sqlite_schema.blank(user_id, to_micros(utc_now()))
            user = self._users.setdefault(owner, SQLiteUser(None, timeout=self._timeout, image=image))
        return user

    def open_owner(self, owner: str) -> SQLiteUser:
        """The store whose memory ids begin with ``owner``; raises UnknownMemory."""
        if owner not in self._users:
            raise UnknownMemory("no memory has this id: its user is not in this store", hint="check the id")
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
            raise UnknownUser(f"nothing is stored for user {_shown(user_id)}", hint="there is nothing to forget")
        user.close()


def _shown(user_id: str) -> str:
    return repr(user_id if len(user_id) <= 64 else user_id[:61] + "...")
