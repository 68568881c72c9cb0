"""The verbs, each defined once as a flow for both faces (see :mod:`memagent.memory.flow`).

This class holds what the verbs share; the verbs themselves are in the modules named after what they do.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.bank.bank import MemoryBank
from memagent.errors import EncoderError, InvalidInput, InvalidVector, MemagentError
from memagent.files import directory_to_use
from memagent.index import checked_vectors
from memagent.memory.banks import Banks
from memagent.memory.flow import Flow
from memagent.memory.queueing import Inferring
from memagent.records import Granularity
from memagent.retrievers.association import Association
from memagent.stores.port import MemoryStore, UserStore
from memagent.stores.sqlite import MemoryOnlyStore, SQLiteStore

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.llm.model import Model, ModelLike
    from memagent.memory.inferrer import Inferrer
    from memagent.records import Vector, Vectors
    from memagent.retrievers.port import Retriever


KEPT_UNITS = (Granularity.TURN, Granularity.SESSION, Granularity.SUMMARY, Granularity.KEYWORDS)
"""The units that are kept unless others are asked for."""


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
        association: Association | None,
        store: MemoryStore | None,
        model: ModelLike | None = None,
        inferring: Inferring | None = None,
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
        if association is not None and not isinstance(association, Association):
            raise InvalidInput(f"association is {association!r:.100}", hint="pass an Association, or None for no graph")
        self.association = association
        self.store: MemoryStore = _store_at(path, self.timeout) if store is None else store
        limit = int(positive(max_open_users, "max_open_users"))
        self.banks = Banks(self.store, self._bank, limit=limit)
        self.last_used = time.monotonic()
        self.closed = False
        self.on_closed: Callable[[str], None] | None = None
        if inferring is not None and not isinstance(inferring, Inferring):
            raise InvalidInput(f"inferring is {inferring!r:.100}", hint="pass an Inferring")
        self.inferring = inferring or Inferring()
        self.model = None if model is None else _model(model)
        self.inferrer: Inferrer | None = None

    def _bank(self, store: UserStore) -> MemoryBank:
        return MemoryBank(store, lambda: (self.encoder.fingerprint, self.encoder.dim))

    @property
    def has_encoder(self) -> bool:
        """Whether the encoder is there already; one that is only named is loaded when it is first needed."""
        return self._encoder is not None and not isinstance(self._encoder, str)

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
        vectors: Vectors = yield partial(self.vectors, list(texts))
        return vectors

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Vectors of stored texts, (len(texts), dim); raises EncoderError if there are none that can be used."""
        return self._encoded(self.encoder.encode_documents, texts)

    def query_vector(self, text: str) -> Vector:
        """The vector of a question, (dim,); raises EncoderError."""
        vector: Vector = self._encoded(self.encoder.encode_queries, [text])[0]
        return vector

    def related_words(self, text: str) -> dict[str, Sequence[tuple[str, float]]]:
        """For words of a question, words that mean much the same; none if the encoder knows none. EncoderError."""
        from memagent.lexical.words import words

        known = getattr(self.encoder, "related_words", None)
        return dict(known(list(dict.fromkeys(words(text))))) if callable(known) else {}

    def _encoded(self, encode: Callable[[Sequence[str]], Vectors], texts: Sequence[str]) -> Vectors:
        try:
            return checked_vectors(encode(texts), self.encoder.dim, rows=len(texts))
        except InvalidVector as error:
            raise EncoderError(f"the encoder {self.encoder.name!r} is at fault: {error.message}") from error
        except MemagentError:
            raise
        except Exception as error:
            raise EncoderError(f"the encoder {self.encoder.name!r} failed: {type(error).__name__}: {error}") from error

    def forget_texts(self, texts: Sequence[str]) -> int:
        """Drop the vectors of texts from the encoder's cache, if it has one; how many there were.

        To be called before the commit that removes the texts: afterwards nobody would know them if the call were cut
        off.
        """
        # An encoder that is only named, and not loaded yet, has no cache.
        forget = getattr(self._encoder, "forget", None)
        return int(forget(list(texts))) if texts and callable(forget) else 0

    def refuse_if_closed(self) -> None:
        """Raise InvalidInput after the memory was closed."""
        if self.closed:
            raise InvalidInput("this memory is closed", hint="make a new Memory on the same path")

    def touch(self) -> None:
        """Note that the memory is in use: background work waits for a pause."""
        self.last_used = time.monotonic()

    def begin(self) -> None:
        """At the start of a call: refuse it if the memory is closed, and have the work of earlier processes done."""
        self.refuse_if_closed()
        if self.inferrer is not None and self.background:
            self.inferrer.begin()

    def stop_inferring(self) -> None:
        """End the calls to the language model; what they were about stays in the queue."""
        if self.inferrer is not None:
            self.inferrer.stop()

    def inference_due(self, user_id: str) -> None:
        """Say that there may be something for a language model to write of a user."""
        if self.inferrer is not None and self.background:
            self.inferrer.schedule(user_id)

    def closed_session(self, user_id: str) -> None:
        """Say that a user has a closed session whose summary is due."""
        if self.on_closed is not None:
            self.on_closed(user_id)


def _store_at(path: object, timeout: float) -> MemoryStore:
    if isinstance(path, str) and path == ":memory:":
        return MemoryOnlyStore(timeout=timeout)
    return SQLiteStore(directory_to_use(path, "the path of the memory"), timeout=timeout)


def _model(model: ModelLike) -> Model:
    from memagent.llm.model import Model, as_model  # not needed by those who have no model
    from memagent.llm.wire import Wire

    if not isinstance(model, str | Model | Wire) and not hasattr(model, "ainvoke"):
        raise InvalidInput(
            f"model is {model!r:.100}", hint="pass a memagent.llm.Model, a LangChain chat model, a URL or a name"
        )
    return as_model(model)


def positive(value: Any, what: str) -> float:
    """``value`` if it is a finite number above 0; raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InvalidInput(f"{what} is {value!r}", hint=f"{what} is a number above 0")
    return value
