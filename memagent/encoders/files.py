"""Files that several processes make and read: locks, atomic replacement, remembered digests."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memagent.errors import EncoderError
from memagent.files import replacing

_CHUNK = 1 << 20


def default_cache_dir() -> Path:
    """Where the platform keeps what can be made again; nothing is created."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "memagent"
    return Path.home() / ".cache" / "memagent"


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def stamp(path: Path) -> dict[str, int]:
    """Size and modification time: what changes when a file is replaced, truncated or edited."""
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None when the file is absent, unreadable or not an object."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def replace_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Make ``path`` through ``write(temporary)``: readers see the old file or the whole new one, also after a crash."""
    with replacing(path, mode=0o666) as temporary:
        write(temporary)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace ``path`` by this object, atomically."""
    replace_atomically(path, lambda temporary: _write_text(temporary, json.dumps(value, sort_keys=True)))


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``: one holder among all threads and processes; a dead holder's lock is free."""
    with path.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remembered_digest(path: Path, cache_dir: Path) -> str:
    """The SHA-256 of a large file, computed once for each (size, modification time) and noted in ``cache_dir``.

    A note that cannot be written is not an error: the file is then read each time. Raises
    :class:`EncoderError` when the file itself cannot be read.
    """
    note = cache_dir / "digests" / f"{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]}.json"
    try:
        now = stamp(path)
        known = read_json(note)
        if known is not None and {key: known.get(key) for key in now} == now and isinstance(known.get("sha256"), str):
            return str(known["sha256"])
        digest = sha256_of(path)
    except OSError as error:
        raise EncoderError(f"cannot read {path}: {error.strerror}", hint="reinstall or download the model") from error
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_json(note, {**now, "sha256": digest})
    except OSError:
        return digest
    return digest


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
