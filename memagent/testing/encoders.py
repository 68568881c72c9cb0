"""An encoder double: deterministic, fast, offline, and sensitive to the words of a text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from memagent.encoders.checks import checked_texts
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.records import Vectors

_WORD = re.compile(r"\w+")
_PLACES_PER_WORD = 4
_TRIGRAM_WEIGHT = 0.7


class HashingEncoder:
    """Bags of hashed words and letter triples: texts that share words have similar vectors.

    Each lower-cased word adds plus or minus one in four places chosen by its hash (signed feature
    hashing, Weinberger et al. 2009), and 0.7 of that in one place for each of its letter triples, so that
    inflected forms stay close. The vectors are the same in every process and on every machine.
    """

    max_tokens: int | None = None

    def __init__(self, dim: int = 384) -> None:
        if dim < 1:
            raise InvalidInput(f"dim is {dim}", hint="use 1 or more")
        self._dim = dim

    @property
    def name(self) -> str:
        """A readable name, for reports."""
        return f"hashing {self._dim}"

    @property
    def fingerprint(self) -> str:
        """Names the vector space."""
        return f"hashing/{self._dim}"

    @property
    def dim(self) -> int:
        """Width of a vector."""
        return self._dim

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, float32, shape (len(texts), dim); the same as for documents."""
        return self.encode_documents(texts)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, float32, shape (len(texts), dim)."""
        checked = checked_texts(texts)
        out: Vectors = np.zeros((len(checked), self._dim), dtype=np.float32)
        for row, text in zip(out, checked, strict=True):
            _fill(row, text)
        return out

    def count_tokens(self, text: str) -> int:
        """Number of words."""
        return len(_WORD.findall(text))


def _fill(row: NDArray[np.float32], text: str) -> None:
    words = _WORD.findall(text.lower())
    # A text without words still has a vector of its own; all blank texts have the same.
    for word in words or [f"\0{text.strip()}"]:
        places, values = _features(word, len(row))
        np.add.at(row, places, values)
    length = float(np.sqrt(np.dot(row, row)))
    if length == 0:  # every feature was cancelled by another one
        row[0] = length = 1.0
    row /= np.float32(length)


@lru_cache(maxsize=65_536)
def _features(word: str, dim: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Places (intp) and signed weights (float32) of a word."""
    padded = f"<{word}>"
    triples = [padded[start : start + 3] for start in range(len(padded) - 2)]
    named = [(f"{n} {word}", 1.0) for n in range(_PLACES_PER_WORD)] + [(t, _TRIGRAM_WEIGHT) for t in triples]
    hashes = [int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) for name, _ in named]
    places = np.array([(number >> 1) % dim for number in hashes], dtype=np.intp)
    signs = [1.0 if number & 1 else -1.0 for number in hashes]
    values = np.array([sign * weight for sign, (_, weight) in zip(signs, named, strict=True)], dtype=np.float32)
    return places, values
