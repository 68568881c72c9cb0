"""Extractive summaries: the sentences of a session closest to all of it, without repeating each other."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from memagent.encoders.port import Encoder

_SENTENCE = re.compile(r"[^.!?。！？…\n]+(?:[.!?…]+(?=\s|$)|[。！？]+|\n|$|[.!?…]+)")
_MIN_LETTERS = 12
_MAX_SENTENCES = 256
_REDUNDANCY = 0.3  # weight of similarity to what is chosen already, against closeness to the whole


def sentences(text: str) -> list[str]:
    """The sentences of a text that say something, each once, at most 256 spread evenly over it."""
    found = dict.fromkeys(
        stripped
        for match in _SENTENCE.finditer(text)
        if sum(map(str.isalpha, stripped := match.group().strip())) >= _MIN_LETTERS or _is_dense(stripped)
    )
    every = list(found)
    if len(every) <= _MAX_SENTENCES:
        return every
    return [every[i] for i in np.linspace(0, len(every) - 1, _MAX_SENTENCES).astype(int)]


def _is_dense(text: str) -> bool:
    # Scripts without spaces say a sentence in a few characters.
    return len(text) >= 4 and text.isalpha() is False and any(ord(c) > 0x2E80 for c in text)


def summarize(text: str, encoder: Encoder, *, length: int = 3) -> str:
    """At most ``length`` sentences of ``text``, in their order there; a text with none that short is cut.

    Chosen greedily by cosine with the mean of all sentence vectors, less 0.3 times the highest cosine with a
    sentence chosen before (maximal marginal relevance, Carbonell and Goldstein 1998, over sentence vectors).
    """
    candidates = sentences(text)
    if len(candidates) <= length:
        return " ".join(candidates) or text.strip()[:500]
    vectors = encoder.encode_documents(candidates)
    chosen = _central(vectors, length)
    return " ".join(candidates[i] for i in sorted(chosen))


def _central(vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]], length: int) -> Sequence[int]:
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
