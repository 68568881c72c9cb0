"""Encoders for measuring everything but encoding."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.records import Vectors

_POOL = 1 << 16


class PrecomputedEncoder:
    """Unit vectors in random directions that depend on the text alone, at a few microseconds a text.

    A vector is the normalised sum of two stretches, chosen by a hash of the text, of one long list of normal
    numbers: some 4 * 10**9 directions. They say nothing about what a text means: only times are worth measuring
    with them. Vectors of texts given to :meth:`prepare` are looked up instead.
    """

    name = "precomputed"
    max_tokens = None

    def __init__(self, dim: int = 384, *, seed: int = 0) -> None:
        self.dim = dim
        self.fingerprint = f"bench/precomputed/{dim}/{seed}"
        self._numbers = np.random.default_rng(seed).standard_normal(_POOL + dim, dtype=np.float32)
        self._prepared: dict[str, Vectors] = {}

    def prepare(self, texts: Sequence[str]) -> None:
        """Compute the vectors of these texts now."""
        self._prepared.update((text, self._encoded([text])) for text in texts)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, (len(texts), dim) float32."""
        if len(texts) == 1 and texts[0] in self._prepared:
            return self._prepared[texts[0]]
        return self._encoded(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, (len(texts), dim) float32."""
        return self.encode_queries(texts)

    def count_tokens(self, text: str) -> int:
        """Words, for want of a tokenizer."""
        return len(text.split())

    def _encoded(self, texts: Sequence[str]) -> Vectors:
        vectors = np.empty((len(texts), self.dim), np.float32)
        for row, text in zip(vectors, texts, strict=True):
            first, second = np.frombuffer(blake2b(text.encode(), digest_size=4).digest(), "<u2").tolist()
            np.add(self._numbers[first : first + self.dim], self._numbers[second : second + self.dim], out=row)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


class LiveEncoder(PrecomputedEncoder):
    """Spends the time that ``encoder`` takes, and gives its vectors under the name of the precomputed ones.

    A store filled with precomputed vectors can then be searched and added to with encoding included.
    """

    def __init__(self, encoder: Encoder, *, seed: int = 0) -> None:
        super().__init__(encoder.dim, seed=seed)
        self._encoder = encoder

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """What the encoder makes of questions."""
        return self._encoder.encode_queries(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """What the encoder makes of stored texts."""
        return self._encoder.encode_documents(texts)
