"""Key phrases of a session, by YAKE (Campos et al. 2020): statistics of the text alone, no model, no corpus."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_SEPARATOR = "; "


@lru_cache(maxsize=32)
def _extractor(language: str, top: int) -> Any:
    import yake

    return yake.KeywordExtractor(lan=language, n=2, dedupLim=0.8, top=top)


def keywords(text: str, language: str, *, top: int = 12) -> str:
    """At most ``top`` phrases of one or two words, most telling first, separated by semicolons; "" if there are none.

    ``language`` is an ISO 639-1 code; it chooses YAKE's stop words.
    """
    found = _extractor(language, top).extract_keywords(text)
    return _SEPARATOR.join(phrase for phrase, _ in found)
