"""Bearer tokens and the users for whom they stand.

The file is JSON: the SHA-256 of each token in hexadecimal, and its user. Who reads it learns no token.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memagent.errors import DataError, InvalidInput, InvalidUserId
from memagent.files import Identity, as_path, file_to_write, replacing
from memagent.stores.sqlite import checked_user_id
from memagent.stores.sqlite_errors import translated

_HINT = "`memagent mcp-token` writes such a file"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LENGTH = 32  # random bytes of a token


class Tokens:
    """The tokens in a file. A change of the file counts from the next request; while it is damaged nobody is let in."""

    def __init__(self, path: str | Path) -> None:
        self.path = as_path(path, "the file of tokens")
        self._lock = threading.Lock()
        self._seen: tuple[Identity, int, int] | None = None
        self._users: dict[str, str] = {}

    def users(self) -> dict[str, str]:
        """The user of each token's digest; raises DataError for a file that is missing or damaged."""
        with self._lock, translated(str(self.path)):
            try:
                status = self.path.stat()
            except FileNotFoundError:
                raise DataError(f"there is no file {self.path}", hint=_HINT) from None
            seen = ((status.st_dev, status.st_ino), status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._users = _read(self.path)
                self._seen = seen
            return self._users

    def user_of(self, token: str) -> str | None:
        """The user for whom a token stands; None if there is none."""
        return self.users().get(digest(token))


def digest(token: str) -> str:
    """The SHA-256 of a token. Tokens are random and long, so that a digest needs no salt and no slow hash."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def add_token(path: str | Path, user_id: str) -> str:
    """A new token for a user, whose digest is added to the file (made if need be, readable by its owner alone).

    The token itself is returned, and kept nowhere. Raises DataError for a damaged file.
    """
    checked_user_id(user_id)
    target = file_to_write(path, "the file of tokens")
    token = secrets.token_urlsafe(_LENGTH)
    with translated(str(target)), _alone_in(target.parent):
        users = _read(target) if target.exists() else {}
        users[digest(token)] = user_id
        with replacing(target) as partial:
            partial.write_text(json.dumps(users, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return token


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait for others who add a token to a file of this folder: of two at once neither is lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, str]:
    try:
        found: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: {error}", hint=_HINT) from None
    if not isinstance(found, dict):
        raise DataError(f"{path}: not an object", hint=_HINT)
    for key, user in found.items():
        if not _DIGEST.fullmatch(key):
            # What stands here in place of a digest may be a token, and messages end in logs.
            raise DataError(f"{path}: a key is no SHA-256 in hexadecimal", hint=_HINT)
        try:
            checked_user_id(user)
        except InvalidUserId as error:
            raise DataError(f"{path}: {error.message}", hint=_HINT) from None
    return found


def refuse_open_door(host: str, tokens: Tokens | None) -> None:
    """Raise InvalidInput for a server without tokens that other machines could reach."""
    if tokens is None and host not in LOOPBACK:
        raise InvalidInput(
            f"a server on {host} that asks for no token would give the memory to everybody",
            hint="pass --tokens FILE, or listen on 127.0.0.1",
        )


LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only this machine reaches."""
