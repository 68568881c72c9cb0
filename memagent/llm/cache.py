"""A reply cache: what a model answered, by all that was sent, so that a repeated evaluation costs nothing.

The file holds replies as text, which may repeat what users said: it is readable by its owner alone, and forgetting a
user does not reach it. Use it for evaluations and simulations, and delete it with their data.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.files import as_path
from memagent.llm.reply import Raw, TokenLogprob, Usage
from memagent.sqlite_cache import SqliteCache, number, transaction

if TYPE_CHECKING:
    from types import TracebackType

    import apsw

_APPLICATION_ID = 0x6D656D72
_SCHEMA_VERSION = 1
_FILE_NAME = "replies.sqlite"
_SEAL = 8  # bytes
_SCHEMA = "CREATE TABLE replies (key BLOB PRIMARY KEY, reply BLOB NOT NULL) WITHOUT ROWID;"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyCacheStats:
    """Replies in the file, and the place to which a damaged file was moved by this object (None: it was sound)."""

    entries: int
    damaged: Path | None


class ReplyCache:
    """Replies on disk, by the key of their request.

    ``path``: the file; an existing folder stands for the file ``replies.sqlite`` in it. Safe from several threads and
    processes. Raises :class:`~memagent.errors.StoreError` (by subclass) when the file cannot be used or is something
    else. Of a damaged file what can be read is used; the rest counts as not there.
    """

    def __init__(self, path: str | Path) -> None:
        place = as_path(path, "the path of the cache")
        self._file = SqliteCache(
            place / _FILE_NAME if place.is_dir() else place,
            what="a reply cache",
            application_id=_APPLICATION_ID,
            version=_SCHEMA_VERSION,
            schema=_SCHEMA,
        )

    def get(self, key: bytes) -> Raw | None:
        """The reply under this key; None if there is none that can be read."""

        def find(connection: apsw.Connection) -> list[Any]:
            return connection.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchall()

        rows = self._file.use(find)
        return _unpacked(key, rows[0][0]) if rows else None

    def put(self, key: bytes, raw: Raw) -> None:
        """Keep a reply; one that is there already is replaced."""
        row = (key, _packed(key, raw))

        def keep(connection: apsw.Connection) -> None:
            with transaction(connection):
                connection.execute("INSERT OR REPLACE INTO replies (key, reply) VALUES (?, ?)", row)

        self._file.use(keep)

    def clear(self) -> int:
        """Erase all replies; returns how many there were."""

        def erase(connection: apsw.Connection) -> int:
            with transaction(connection):
                entries = number(connection, "SELECT count(*) FROM replies")
                connection.execute("DELETE FROM replies")
            connection.pragma("wal_checkpoint(TRUNCATE)")
            return entries

        return self._file.use(erase)

    def stats(self) -> ReplyCacheStats:
        """How many replies there are."""
        entries = self._file.use(lambda connection: number(connection, "SELECT count(*) FROM replies"))
        return ReplyCacheStats(entries=entries, damaged=self._file.damaged)

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        self._file.close()

    def __enter__(self) -> ReplyCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _packed(key: bytes, raw: Raw) -> bytes:
    usage = raw.usage
    content = {
        "text": raw.text,
        "finish": raw.finish,
        "usage": [usage.input, usage.output, usage.cached, usage.estimated],
        "logprobs": None if raw.logprobs is None else [[one.token, one.logprob, one.top] for one in raw.logprobs],
    }
    packed = zlib.compress(json.dumps(content).encode())
    return _seal(key, packed) + packed


def _seal(key: bytes, packed: bytes) -> bytes:
    """Bytes that tell whether these are the reply to this key, whatever has become of the file."""
    return hashlib.sha256(key + packed).digest()[:_SEAL]


def _unpacked(key: bytes, blob: bytes) -> Raw | None:
    """The reply; None when its bytes are damaged or belong to another key."""
    packed = blob[_SEAL:]
    if blob[:_SEAL] != _seal(key, packed):
        return None
    try:
        content = json.loads(zlib.decompress(packed))
        sent, received, cached, estimated = content["usage"]
        found = content["logprobs"]
        return Raw(
            text=content["text"],
            finish=content["finish"],
            usage=Usage(input=sent, output=received, cached=cached, estimated=estimated),
            logprobs=None if found is None else tuple(map(_token, found)),
        )
    except (zlib.error, ValueError, KeyError, TypeError):
        return None


def _token(row: list[Any]) -> TokenLogprob:
    token, logprob, top = row
    return TokenLogprob(token=token, logprob=logprob, top=tuple((other, value) for other, value in top))
