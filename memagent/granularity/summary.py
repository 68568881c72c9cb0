"""Extractive summaries: the sentences of a session closest to all of it, without repeating each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from memagent.records import Vectors

Encode: TypeAlias = "Callable[[Sequence[str]], Vectors]"
"""Turns texts into unit vectors, (len(texts), dim)."""

# A full stop ends a sentence only before a space: not in 3.5, in www.example.com or in v2.0.
_SENTENCE = re.compile(r"(?:[^.!?。！？…\n]+|[.!?…](?![\s.!?…]|$))+[.!?。！？…]*")
_MIN_LETTERS = 12
_MIN_IDEOGRAPHS = 4
_MAX_SENTENCES = 256
_REDUNDANCY = 0.3  # weight of similarity to what is chosen already, against closeness to the whole


def sentences(text: str) -> list[str]:
    """The sentences of a text that say something, each once, at most 256 spread evenly over it."""
    found = dict.fromkeys(
        stripped for match in _SENTENCE.finditer(text) if _says_something(stripped := match.group().strip())
    )
    every = list(found)
    if len(every) <= _MAX_SENTENCES:
        return every
    return [every[i] for i in np.linspace(0, len(every) - 1, _MAX_SENTENCES).astype(int)]


def _says_something(text: str) -> bool:
    letters = [character for character in text if character.isalpha()]
    # Scripts without spaces say a sentence in a few characters.
    return len(letters) >= _MIN_LETTERS or sum(ord(letter) > 0x2E80 for letter in letters) >= _MIN_IDEOGRAPHS


def summarize(text: str, encode: Encode, *, length: int = 3) -> str:
    """At most ``length`` sentences of ``text``, in their order there; a text with none that short is cut.

    Chosen greedily by cosine with the mean of all sentence vectors, less 0.3 times the highest cosine with a
    sentence chosen before (maximal marginal relevance, Carbonell and Goldstein 1998, over sentence vectors).
    """
    candidates = sentences(text)
    if len(candidates) <= length:
        return " ".join(candidates) or text.strip()[:500]
    vectors = encode(candidates)
    chosen = _central(vectors, length)
    return " ".join(candidates[i] for i in sorted(chosen))


def _central(vectors: Vectors, length: int) -> Sequence[int]:
    centre = vectors.mean(axis=0)
    closeness = vectors @ (centre / max(float(np.linalg.norm(centre)), 1e-12))
    overlap = np.zeros(len(vectors), np.float32)
    chosen: list[int] = []
    for _ in range(length):
        value = closeness - _REDUNDANCY * overlap
        value[chosen] = -np.inf
        best = int(np.argmax(value))
        chosen.append(best)
        overlap = np.maximum(overlap, vectors @ vectors[best])
    return chosen
