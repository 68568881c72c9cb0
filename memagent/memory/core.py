"""The verbs, each defined once as a flow for both faces (see :mod:`memagent.memory.flow`).

This class holds what the verbs share; the verbs themselves are in the modules named after what they do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.bank.bank import MemoryBank
from memagent.errors import InvalidInput
from memagent.memory.banks import Banks
from memagent.memory.flow import Flow
from memagent.records import Granularity
from memagent.stores.port import MemoryStore, UserStore
from memagent.stores.sqlite import MemoryOnlyStore, SQLiteStore

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.records import Vectors
    from memagent.retrievers.port import Retriever


class Core:
    """The state behind ``Memory`` and ``AsyncMemory``: a store, an encoder, the open banks, and settings."""

    def __init__(
        self,
        path: str | Path,
        *,
        encoder: Encoder | str | None,
        retriever: Retriever | str,
        max_open_users: int,
        timeout: float,
        max_message_bytes: int,
        granularities: Sequence[Granularity | str],
        session_vectors: str,
        background: bool,
        store: MemoryStore | None,
    ) -> None:
        self._encoder = encoder
        self._encoder_lock = threading.Lock()
        self.retriever = retriever
        self.timeout = positive(timeout, "timeout")
        self.max_message_bytes = int(positive(max_message_bytes, "max_message_bytes"))
        self.granularities = frozenset(Granularity.of(g) for g in granularities) | {
            Granularity.TURN,
            Granularity.SESSION,
        }
        if session_vectors not in ("mean", "text"):
            raise InvalidInput(f"session_vectors is {session_vectors!r}", hint="use 'mean' or 'text'")
        self.text_vectors = session_vectors == "text"
        self.background = background
        self.store: MemoryStore = store or _store_at(path, self.timeout)
        limit = int(positive(max_open_users, "max_open_users"))
        self.banks = Banks(self.store, self._bank, limit=limit)
        self.last_used = time.monotonic()
        self.on_closed: Callable[[str], None] | None = None

    def _bank(self, store: UserStore) -> MemoryBank:
        return MemoryBank(store, dim=self.encoder.dim, fingerprint=self.encoder.fingerprint)

    @property
    def encoder(self) -> Encoder:
        """The encoder; loaded when it is first needed."""
        encoder = self._encoder
        if encoder is not None and not isinstance(encoder, str):
            return encoder
        from memagent.encoders import load_encoder

        with self._encoder_lock:
            encoder = self._encoder
            if encoder is None or isinstance(encoder, str):
                encoder = self._encoder = load_encoder(encoder)
        return encoder

    def encode(self, texts: Sequence[str]) -> Flow[Vectors]:
        """Vectors of stored texts, (len(texts), dim)."""
        from memagent.index import checked_vectors

        listed = list(texts)

        def work() -> Vectors:
            return checked_vectors(self.encoder.encode_documents(listed), self.encoder.dim, rows=len(listed))

        vectors: Vectors = yield work
        return vectors

    def touch(self) -> None:
        """Note that the memory is in use: background work waits for a pause."""
        self.last_used = time.monotonic()

    def closed_session(self, user_id: str) -> None:
        """Say that a user has a closed session whose summary is due."""
        if self.on_closed is not None:
            self.on_closed(user_id)


def _store_at(path: object, timeout: float) -> MemoryStore:
    if isinstance(path, str) and path == ":memory:":
        return MemoryOnlyStore(timeout=timeout)
    if not isinstance(path, str | Path) or not str(path):
        raise InvalidInput(f"the path is {path!r}", hint="pass a directory, or ':memory:'")
    root = Path(path).expanduser()
    if root.exists() and not root.is_dir():
        raise InvalidInput(f"{root} is a file", hint="pass a directory: each user has a file in it")
    return SQLiteStore(root, timeout=timeout)


def positive(value: Any, what: str) -> float:
    """``value`` if it is a number above 0; raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise InvalidInput(f"{what} is {value!r}", hint=f"{what} is a number above 0")
    return value
