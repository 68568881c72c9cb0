"""What the encoders over a token model share: prompts, windows, order, checks."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from memagent.encoders.checks import checked_texts, unit_vectors
from memagent.encoders.fingerprint import fingerprint, weights_digest
from memagent.encoders.model import ModelFolder
from memagent.encoders.tokens import Tokens
from memagent.encoders.windows import LongText, cut, merge
from memagent.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from memagent.encoders.related import RelatedWords
    from memagent.records import Vectors

Precision: TypeAlias = Literal["float32", "int8"]

_AT_ONCE = 2048
"""Texts tokenised and sorted together: enough for batches without padding, little enough to hold."""


class TextEncoder(ABC):
    """An :class:`memagent.encoders.port.Encoder` over a model folder; subclasses run the model.

    Building one reads nothing: the model is loaded by the first call that needs it, once, whatever
    the number of threads.
    """

    def __init__(
        self, model: ModelFolder, *, precision: Precision, long_text: LongText, batch_size: int, cache_dir: Path
    ) -> None:
        _check_choice("precision", precision, get_args(Precision))
        _check_choice("long_text", long_text, get_args(LongText))
        if batch_size < 1:
            raise InvalidInput(f"batch_size is {batch_size}", hint="use 1 or more")
        self._model = model
        self._precision: Precision = precision
        self._long_text: LongText = long_text
        self._batch_size = batch_size
        self._cache_dir = cache_dir
        self._lock = threading.RLock()
        self._tokenizer: Tokens | None = None

    @property
    def name(self) -> str:
        """The model's name, with the precision where it is not float32."""
        return self._model.name if self._precision == "float32" else f"{self._model.name} {self._precision}"

    @cached_property
    def fingerprint(self) -> str:
        """Names the vector space; reads the weights when no digest of them is remembered."""
        return fingerprint(self._model, weights=self._weights, precision=self._precision, long_text=self._long_text)

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self._model.dim if self._model.dim is not None else self._loaded_dim()

    @property
    def max_tokens(self) -> int | None:
        """Tokens of one window, special tokens included."""
        return self._model.max_tokens

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, float32, shape (len(texts), dim)."""
        return self._encode(checked_texts(texts), self._model.query_prompt)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of stored texts, float32, shape (len(texts), dim)."""
        return self._encode(checked_texts(texts), self._model.document_prompt)

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has, special tokens not counted."""
        return self._tokens.count(checked_texts([text])[0])

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Share of the texts' tokens, 0 to 1, that the model does not know: near 0 in its languages, high elsewhere."""
        return self._tokens.unknown_share(checked_texts(texts))

    def related_words(self, words: Sequence[str]) -> dict[str, tuple[tuple[str, float], ...]]:
        """For each of ``words`` (in lower case) that has any, the words the model holds closest to it, with cosines.

        From the model's table of word vectors (see :mod:`memagent.encoders.related`): the first call on a machine takes
        some seconds, later ones microseconds.
        """
        found = {word: self._related.of(word) for word in words}
        return {word: others for word, others in found.items() if others}

    @abstractmethod
    def _embed(self, sequences: list[list[int]]) -> Vectors:
        """The model's vectors of token sequences that fit its window, special tokens in place."""

    @abstractmethod
    def _loaded_dim(self) -> int:
        """Width of a vector, asked of the loaded model."""

    @abstractmethod
    def _load_tokens(self) -> Tokens:
        """The model's tokenizer."""

    @cached_property
    def _weights(self) -> str:
        return weights_digest(self._model, self._cache_dir)

    @cached_property
    def _related(self) -> RelatedWords:
        from memagent.encoders.related import related_words

        return related_words(self._model, weights=self._weights, cache_dir=self._cache_dir)

    @property
    def _tokens(self) -> Tokens:
        if self._tokenizer is None:
            with self._lock:
                if self._tokenizer is None:
                    self._tokenizer = self._load_tokens()
        return self._tokenizer

    def _encode(self, texts: list[str], prompt: str) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        parts = [self._encode_some(texts[start : start + _AT_ONCE], prompt) for start in range(0, len(texts), _AT_ONCE)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _encode_some(self, texts: list[str], prompt: str) -> Vectors:
        tokens = self._tokens
        limit = self._model.max_tokens
        windows = cut(
            tokens.ids([prompt + text for text in texts] if prompt else texts),
            room=None if limit is None else max(1, limit - tokens.specials),
            head=len(tokens.ids([prompt])[0]) if prompt else 0,
            long_text=self._long_text,
        )
        vectors = unit_vectors(self._embed([tokens.framed(ids) for ids in windows.ids]), rows=len(windows.ids))
        if len(windows.ids) == len(texts):
            return vectors
        return unit_vectors(merge(vectors, windows, rows=len(texts)), rows=len(texts))


def _check_choice(what: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        names = ", ".join(repr(name) for name in valid)
        raise UnknownName(f"unknown {what} {value!r}", hint=f"use one of {names}")
