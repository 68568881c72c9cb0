"""What is derived from a closed session without a language model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from memagent.encoders.port import Encoder
from memagent.granularity.keywords import keywords
from memagent.granularity.summary import summarize
from memagent.lexical import detect_language

_SPEAKER = re.compile(r"^\[[^\]\n]{1,80}\]: ", re.MULTILINE)


class Derived(NamedTuple):
    """The texts of a session's summary and keyword units; "" where nothing could be said."""

    summary: str
    keywords: str


def derive(turns: Sequence[str], encoder: Encoder) -> Derived:
    """Summary and keywords of a session from the texts of its turns, in order."""
    text = _SPEAKER.sub("", "\n".join(turns)).strip()
    if not text:
        return Derived("", "")
    return Derived(summarize(text, encoder), keywords(text, detect_language(text)))
