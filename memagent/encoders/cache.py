"""An embedding cache: vectors by the hash of their text, so that nothing is encoded twice.

One SQLite file may serve several encoders and processes. It holds hashes and vectors, no text; all of
it can be made again, so it is written with ``synchronous=NORMAL``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from memagent.encoders.checks import checked_texts
from memagent.encoders.port import Encoder
from memagent.errors import StoreBusy
from memagent.files import as_path
from memagent.sqlite_cache import SqliteCache, number, transaction

if TYPE_CHECKING:
    from types import TracebackType

    import apsw

    from memagent.records import Vectors

Kind: TypeAlias = Literal["query", "document"]

_APPLICATION_ID = 0x6D656D65
_SCHEMA_VERSION = 1
_FILE_NAME = "embeddings.sqlite"
_KEYS_PER_STATEMENT = 500
_TEXTS_AT_ONCE = 1024
_ENCODER = "(SELECT id FROM encoders WHERE fingerprint = ?)"

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
    :class:`memagent.errors.StoreError` (by subclass) when the file cannot be opened or is something else; a damaged one
    is moved aside and begun anew. Safe from several threads and processes; two that miss the same text both compute it.
    """

    def __init__(self, encoder: Encoder, path: str | Path) -> None:
        place = as_path(path, "the path of the cache")
        self._encoder = encoder
        self._fingerprint = encoder.fingerprint
        self._file = SqliteCache(
            place / _FILE_NAME if place.is_dir() else place,
            what="an embedding cache",
            application_id=_APPLICATION_ID,
            version=_SCHEMA_VERSION,
            schema=_SCHEMA,
            checked=False,  # it may have gigabytes; damage shows when a page is read
        )
        self._hits = 0
        self._misses = 0
        self._file.use(lambda connection: None)

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

        def count(connection: apsw.Connection) -> CacheStats:
            entries = number(connection, f"SELECT count(*) FROM vectors WHERE encoder = {_ENCODER}", self._fingerprint)
            return CacheStats(hits=self._hits, misses=self._misses, entries=entries)

        return self._file.use(count)

    def forget(self, texts: Sequence[str]) -> int:
        """Erase every vector of these texts, of all encoders, as query and as document; returns how many there were.

        Once this returns no byte of them is in the file or its log. Raises :class:`StoreBusy` when another
        process reads for so long that the log cannot be emptied; calling again finishes the work.
        """
        keys = [_key(kind, text) for text in set(checked_texts(texts)) for kind in ("query", "document")]

        def erase(connection: apsw.Connection) -> int:
            with transaction(connection):
                before = connection.total_changes()
                connection.executemany(
                    "DELETE FROM vectors WHERE key = ? AND encoder IN (SELECT id FROM encoders)",
                    [(key,) for key in keys],
                )
                erased = connection.total_changes() - before
            if number(connection, "PRAGMA wal_checkpoint(TRUNCATE)"):
                raise StoreBusy(f"{self._file.path} is being read by others", hint="call forget again")
            return erased

        return self._file.use(erase)

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        self._file.close()

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
        known = self._read(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        encode = self._encoder.encode_queries if kind == "query" else self._encoder.encode_documents
        for some in _slices(list(missing), _TEXTS_AT_ONCE):
            made = dict(zip(some, encode([missing[key] for key in some]), strict=True))
            self._write(made)  # what is written here survives an interruption of the rest
            known |= made
        return np.ascontiguousarray(np.stack([known[key] for key in keys]), dtype=np.float32)

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        """The stored vectors of these keys, counted as hits, the others as misses."""
        size = 4 * self.dim

        def find(connection: apsw.Connection) -> dict[bytes, Vectors]:
            found: dict[bytes, Vectors] = {}
            for some in _slices(sorted(set(keys)), _KEYS_PER_STATEMENT):
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    f"SELECT key, vector FROM vectors WHERE encoder = {_ENCODER} AND key IN ({marks})",
                    (self._fingerprint, *some),
                )
                found |= {key: np.frombuffer(blob, dtype="<f4") for key, blob in rows if len(blob) == size}
            misses = sum(key not in found for key in keys)
            self._misses += misses
            self._hits += len(keys) - misses
            return found

        return self._file.use(find)

    def _write(self, vectors: dict[bytes, Vectors]) -> None:
        rows = [(key, np.asarray(vector, dtype="<f4").tobytes()) for key, vector in vectors.items()]

        def keep(connection: apsw.Connection) -> None:
            with transaction(connection):
                connection.execute("INSERT OR IGNORE INTO encoders (fingerprint) VALUES (?)", (self._fingerprint,))
                encoder = number(connection, f"SELECT {_ENCODER}", self._fingerprint)
                connection.executemany(
                    "INSERT OR REPLACE INTO vectors (encoder, key, vector) VALUES (?, ?, ?)",
                    [(encoder, *row) for row in rows],
                )

        self._file.use(keep)


def _key(kind: str, text: str) -> bytes:
    return hashlib.sha256(f"{kind}\0{text}".encode()).digest()


def _slices(keys: list[bytes], size: int) -> Iterable[list[bytes]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
