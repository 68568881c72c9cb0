"""An embedding cache: vectors by the hash of their text, so that nothing is encoded twice.

One SQLite file may serve several encoders and processes. It holds hashes and vectors, no text; all of
it can be made again, so it is written with ``synchronous=NORMAL``.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import apsw
import numpy as np

from memagent.encoders.checks import checked_texts
from memagent.encoders.port import Encoder
from memagent.errors import StoreBusy, StoreCorrupt, StoreFull, StoreReadOnly, StoreUnavailable
from memagent.files import Identity, as_path, identity_of
from memagent.forks import FORK_HINT, FORKS, leave_alone

if TYPE_CHECKING:
    from types import TracebackType

    from memagent.records import Vectors

Kind: TypeAlias = Literal["query", "document"]

_APPLICATION_ID = 0x6D656D65
_SCHEMA_VERSION = 1
_FILE_NAME = "embeddings.sqlite"
_WAIT_MS = 30_000
_KEYS_PER_STATEMENT = 500
_TEXTS_AT_ONCE = 1024

_SCHEMA = """
CREATE TABLE encoders (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE);
CREATE TABLE vectors (
    encoder INTEGER NOT NULL, key BLOB NOT NULL, vector BLOB NOT NULL, PRIMARY KEY (encoder, key)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """Texts found and not found by one :class:`CachedEncoder`, and the vectors the file holds for its encoder."""

    hits: int
    misses: int
    entries: int


class CachedEncoder:
    """An encoder that looks vectors up before it computes them.

    ``path``: the cache file; an existing folder stands for the file ``embeddings.sqlite`` in it. Raises
    :class:`memagent.errors.StoreError` (by subclass) when the file cannot be opened, is damaged or is something
    else. Safe from several threads and processes; two that miss the same text both compute it.
    """

    def __init__(self, encoder: Encoder, path: str | Path) -> None:
        place = as_path(path, "the path of the cache")
        self._encoder = encoder
        self._path = place / _FILE_NAME if place.is_dir() else place
        self._lock = threading.Lock()
        self._connection: apsw.Connection | None = None
        self._encoder_id = 0
        self._hits = 0
        self._misses = 0
        FORKS.register(self, inner=True)
        with self._opened():
            pass

    @property
    def name(self) -> str:
        """The wrapped encoder's name."""
        return self._encoder.name

    @property
    def fingerprint(self) -> str:
        """The wrapped encoder's fingerprint."""
        return self._encoder.fingerprint

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self._encoder.dim

    @property
    def max_tokens(self) -> int | None:
        """The wrapped encoder's window."""
        return self._encoder.max_tokens

    @property
    def wrapped(self) -> Encoder:
        """The encoder behind the cache."""
        return self._encoder

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, float32, shape (len(texts), dim)."""
        return self._encode(checked_texts(texts), "query")

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of stored texts, float32, shape (len(texts), dim)."""
        return self._encode(checked_texts(texts), "document")

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has, special tokens not counted."""
        return self._encoder.count_tokens(text)

    def related_words(self, words: Sequence[str]) -> dict[str, tuple[tuple[str, float], ...]]:
        """The related words of the wrapped encoder; none if it knows none."""
        found = getattr(self._encoder, "related_words", None)
        return found(words) if callable(found) else {}

    def stats(self) -> CacheStats:
        """Hits and misses of this object, and the entries of its encoder in the file."""
        with self._opened() as (connection, encoder):
            entries = _number(connection, "SELECT count(*) FROM vectors WHERE encoder = ?", encoder)
            return CacheStats(hits=self._hits, misses=self._misses, entries=entries)

    def forget(self, texts: Sequence[str]) -> int:
        """Erase every vector of these texts, of all encoders, as query and as document; returns how many there were.

        Once this returns no byte of them is in the file or its log. Raises :class:`StoreBusy` when another
        process reads for so long that the log cannot be emptied; calling again finishes the work.
        """
        keys = [_key(kind, text) for text in set(checked_texts(texts)) for kind in ("query", "document")]
        with self._opened() as (connection, _):
            with _transaction(connection):
                before = connection.total_changes()
                connection.executemany(
                    "DELETE FROM vectors WHERE key = ? AND encoder IN (SELECT id FROM encoders)",
                    [(key,) for key in keys],
                )
                erased = connection.total_changes() - before
            busy = _number(connection, "PRAGMA wal_checkpoint(TRUNCATE)")
        if busy:
            raise StoreBusy(f"{self._path} is being read by others", hint="call forget again")
        return erased

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    # forks: see memagent.forks

    def pause(self, timeout: float) -> bool:
        """Close the connection between two calls and keep other threads out, until :meth:`resume`."""
        if not self._lock.acquire(timeout=timeout):
            return False
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                # Emptying the log is left to a close that nobody waits for.
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close()
        except apsw.Error:
            leave_alone(connection)  # the next call opens another; in the child it is refused
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
        return identity_of(self._path)

    def __enter__(self) -> CachedEncoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _encode(self, texts: list[str], kind: Kind) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        keys = [_key(kind, text) for text in texts]
        known = self._read(set(keys))
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        encode = self._encoder.encode_queries if kind == "query" else self._encoder.encode_documents
        for some in _slices(list(missing), _TEXTS_AT_ONCE):
            made = dict(zip(some, encode([missing[key] for key in some]), strict=True))
            self._write(made)  # what is written here survives an interruption of the rest
            known |= made
        misses = sum(key in missing for key in keys)
        with self._lock:
            self._misses += misses
            self._hits += len(keys) - misses
        return np.ascontiguousarray(np.stack([known[key] for key in keys]), dtype=np.float32)

    def _read(self, keys: set[bytes]) -> dict[bytes, Vectors]:
        found: dict[bytes, Vectors] = {}
        size = 4 * self.dim
        with self._opened() as (connection, encoder):
            for some in _slices(sorted(keys), _KEYS_PER_STATEMENT):
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, vector FROM vectors WHERE encoder = ? AND key IN ({marks})",
                    (encoder, *some),
                )
                found |= {key: np.frombuffer(blob, dtype="<f4") for key, blob in rows if len(blob) == size}
        return found

    def _write(self, vectors: dict[bytes, Vectors]) -> None:
        rows = [(key, np.asarray(vector, dtype="<f4").tobytes()) for key, vector in vectors.items()]
        with self._opened() as (connection, encoder), _transaction(connection):
            connection.executemany(
                "INSERT OR REPLACE INTO vectors (encoder, key, vector) VALUES (?, ?, ?)",
                [(encoder, *row) for row in rows],
            )

    @contextmanager
    def _opened(self) -> Iterator[tuple[apsw.Connection, int]]:
        """The connection, held alone, and the encoder's id in the file; SQLite's errors leave as ours."""
        with self._lock, _our_errors(self._path):
            if self._connection is None:
                if identity_of(self._path) in FORKS.unsafe:
                    raise StoreUnavailable(f"{self._path} was in use when this process was forked", hint=FORK_HINT)
                connection = _open(self._path)
                self._encoder_id = _registered(connection, self._encoder.fingerprint)
                self._connection = connection
            yield self._connection, self._encoder_id


def _key(kind: str, text: str) -> bytes:
    return hashlib.sha256(f"{kind}\0{text}".encode()).digest()


def _slices(keys: list[bytes], size: int) -> Iterable[list[bytes]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))


@contextmanager
def _transaction(connection: apsw.Connection) -> Iterator[None]:
    """A transaction that takes the write lock at once, so that it waits its turn instead of failing midway."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _open(path: Path) -> apsw.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = apsw.Connection(str(path))
    try:
        connection.set_busy_timeout(_WAIT_MS)
        with _transaction(connection):
            _refuse_others(connection, path)
        _use_wal(connection)
        # One by one: in a chain of statements, one that returns a row holds back those after it.
        connection.pragma("synchronous", "NORMAL")
        connection.pragma("secure_delete", "ON")
        with _transaction(connection):
            if _is_empty(connection):
                connection.execute(_SCHEMA)
                connection.pragma("application_id", _APPLICATION_ID)
                connection.pragma("user_version", _SCHEMA_VERSION)
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_others(connection: apsw.Connection, path: Path) -> None:
    """Raise :class:`StoreCorrupt` for a database that is not this cache, before anything in it is changed."""
    found = _number(connection, "PRAGMA application_id"), _number(connection, "PRAGMA user_version")
    if found != (_APPLICATION_ID, _SCHEMA_VERSION) and not _is_empty(connection):
        raise StoreCorrupt(f"{path} is not an embedding cache of this version", hint="choose another file")


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
    return _number(connection, "SELECT count(*) FROM sqlite_schema") == 0


def _registered(connection: apsw.Connection, fingerprint: str) -> int:
    with _transaction(connection):
        connection.execute("INSERT OR IGNORE INTO encoders (fingerprint) VALUES (?)", (fingerprint,))
        return _number(connection, "SELECT id FROM encoders WHERE fingerprint = ?", fingerprint)


def _number(connection: apsw.Connection, query: str, *values: str | int) -> int:
    rows: list[Any] = connection.execute(query, values).fetchall()
    return int(rows[0][0])


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
        raise StoreCorrupt(f"{path} is damaged", hint="delete it; all it holds can be computed again") from error
    except (apsw.Error, OSError) as error:
        raise StoreUnavailable(f"cannot use {path}: {error}", hint="check the folder and its permissions") from error
