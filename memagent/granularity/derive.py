"""What is derived from a closed session without a language model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from memagent.granularity.keywords import keywords
from memagent.granularity.summary import Encode, sentences, summarize
from memagent.lexical import detect_language

_MAX_CHARACTERS = 200_000  # of a session: keyword extraction takes 4 seconds for a million
_SPEAKER = re.compile(r"^\[[^\]\n]{1,80}\]: ", re.MULTILINE)


class Derived(NamedTuple):
    """The texts of a session's summary and keyword units; "" where nothing could be said."""

    summary: str
    keywords: str


NOTHING = Derived("", "")


def derive(turns: Sequence[str], encode: Encode, *, given: Derived = NOTHING) -> Derived:
    """Summary and keywords of a session from the texts of its turns, in order; what is ``given`` stays as it is."""
    text = _said(turns)
    if not text:
        return given
    return Derived(given.summary or summarize(text, encode), given.keywords or keywords(text, detect_language(text)))


def combined(derived: Derived, turns: Sequence[str]) -> str:
    """The text of a combination unit: summary, keywords and turns, one below the other; what is empty is left out."""
    return "\n".join(part for part in (*derived, *turns) if part)


def embedded_texts(turns: Sequence[str]) -> list[str]:
    """The texts that :func:`derive` has had embedded: what to drop from a cache when the session is forgotten."""
    return sentences(_said(turns))


def _said(turns: Sequence[str]) -> str:
    """What was said, without who said it; of a very long session every n-th turn."""
    step = 1 + sum(map(len, turns)) // _MAX_CHARACTERS
    return _SPEAKER.sub("", "\n".join(turns[::step])).strip()[:_MAX_CHARACTERS]
