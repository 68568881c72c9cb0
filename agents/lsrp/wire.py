"""Everything that crosses between device and cloud, written down before it leaves and as it arrives.

A log holds one record a message: which way it went, when, the head (HTTP's request or status line and headers; empty in
a local call), the body exactly as it crossed, and how many bytes crossed in all. Only a token is blotted out. In a file
it is one JSON object a line; a body that is no UTF-8 stands there as base64.
"""

from __future__ import annotations

import base64
import binascii
import errno
import fcntl
import json
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

from memagent.errors import DataError, StoreFull, StoreUnavailable
from memagent.files import as_path, file_to_write

Direction: TypeAlias = Literal["up", "down"]
BLOT = b"<token>"
"""Stands in a log's head in place of the token."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """One message that crossed: ``up`` to the cloud or ``down`` to the device. ``size``: bytes of head and body."""

    direction: Direction
    at: datetime
    body: bytes
    size: int
    head: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        shown: dict[str, Any] = {"direction": self.direction, "at": self.at.isoformat(), "size": self.size}
        if self.head:
            shown["head"] = self.head
        try:
            shown["body"] = self.body.decode("utf-8")
        except UnicodeDecodeError:
            shown["body_base64"] = base64.b64encode(self.body).decode("ascii")
        return shown

    @classmethod
    def from_json(cls, value: Any) -> Crossed:
        """What :meth:`to_json` has written; raises DataError for anything else."""
        try:
            encoded = value.get("body_base64")
            body = value["body"].encode("utf-8") if encoded is None else base64.b64decode(encoded, validate=True)
            at = datetime.fromisoformat(value["at"])
            direction, size, head = value["direction"], value["size"], value.get("head", "")
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise DataError(f"this is no record of a wire log: {error!r}", hint="a WireLog writes them") from None
        if direction not in ("up", "down") or type(size) is not int or not isinstance(head, str) or at.tzinfo is None:
            raise DataError(f"this is no record of a wire log: {value!r:.200}", hint="a WireLog writes them")
        return cls(direction=direction, at=at, body=body, size=size, head=head)


_seen: ContextVar[list[Crossed] | None] = ContextVar("memagent_crossed", default=None)


@contextmanager
def crossing() -> Iterator[list[Crossed]]:
    """The records that any log makes inside this block, in this thread or task."""
    found: list[Crossed] = []
    token = _seen.set(found)
    try:
        yield found
    finally:
        _seen.reset(token)


class WireLog:
    """The log of one device. Safe from several threads.

    ``path``: a file to which each record is appended (made for its owner alone; several logs, of one process or many,
    may share it). The last ``keep`` records stay in memory. A record is in the file before what it records is sent;
    where that fails, StoreUnavailable or StoreFull is raised and nothing is sent.
    """

    def __init__(self, path: str | Path | None = None, *, keep: int = 1_000) -> None:
        self._path = None if path is None else file_to_write(path, "the wire log")
        self._records: deque[Crossed] = deque(maxlen=keep)
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._process = 0

    @property
    def records(self) -> tuple[Crossed, ...]:
        """The latest records, oldest first."""
        with self._lock:
            return tuple(self._records)

    def record(self, direction: Direction, body: bytes, *, head: bytes = b"", token: str | None = None) -> Crossed:
        """Write down what is about to be sent, or what has arrived; ``token`` is blotted out of the head."""
        shown = head.replace(token.encode(), BLOT) if token else head
        made = Crossed(
            direction=direction,
            at=datetime.now(UTC),
            head=shown.decode("latin-1"),
            body=body,
            size=len(head) + len(body),
        )
        with self._lock:
            if self._path is not None:
                self._append(self._path, json.dumps(made.to_json(), ensure_ascii=False).encode("utf-8") + b"\n")
            self._records.append(made)
        seen = _seen.get()
        if seen is not None:
            seen.append(made)
        return made

    def close(self) -> None:
        """Close the file; a later record opens it again."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _append(self, path: Path, line: bytes) -> None:
        try:
            if self._file is None or self._process != os.getpid():  # a forked child would share the parent's lock
                self._file, self._process = _opened(path), os.getpid()
            with _locked(self._file.fileno()) as descriptor:
                _drop_torn(descriptor)
                if self._file.write(line) != len(line):
                    _drop_torn(descriptor)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            kind = StoreFull if error.errno in _NO_SPACE else StoreUnavailable
            raise kind(
                f"the wire log {path} cannot be written: {error.strerror}", hint="nothing is sent that is not logged"
            ) from None


def read_wire_log(path: str | Path) -> list[Crossed]:
    """The records in a file; a last line that was cut off is left out. Raises DataError for what is no wire log."""
    place = as_path(path, "the wire log")
    try:
        lines = place.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{place} cannot be read: {error.strerror}", hint="a WireLog with a path writes it") from None
    return [_record(place, number, line) for number, line in enumerate(lines[:-1], start=1)]


def _record(place: Path, number: int, line: bytes) -> Crossed:
    try:
        return Crossed.from_json(json.loads(line))
    except (ValueError, RecursionError) as error:  # a DataError is a ValueError
        raise DataError(f"{place}, line {number}: {error}", hint="a WireLog writes a JSON object a line") from None


def _opened(path: Path) -> BinaryIO:
    """The file for appending, unbuffered."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "r+b", buffering=0)


@contextmanager
def _locked(descriptor: int) -> Iterator[int]:
    """A block in which no other log writes to the file."""
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield descriptor
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _drop_torn(descriptor: int) -> None:
    """Take away a record that a crash or a full disk has cut off, as it was never sent; the file must be locked."""
    whole = kept = os.fstat(descriptor).st_size
    while kept and os.pread(descriptor, 1, kept - 1) != b"\n":
        kept -= 1
    if kept < whole:
        os.ftruncate(descriptor, kept)
