"""Key phrases of a session, by YAKE (Campos et al. 2020): statistics of the text alone, no model, no corpus."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_SEPARATOR = "; "
_SIMILAR = 0.8  # a phrase that is more like a better one than this (0 to 1) is left out


@lru_cache(maxsize=32)
def _extractor(language: str, top: int) -> Any:
    import logging

    import yake

    # When an extraction fails, YAKE logs the beginning of the text.
    logging.getLogger("yake").setLevel(logging.CRITICAL)
    return yake.KeywordExtractor(lan=language, n=2, dedup_lim=_SIMILAR, top=top)


def keywords(text: str, language: str, *, top: int = 12) -> str:
    """At most ``top`` phrases of one or two words, most telling first, separated by semicolons; "" if there are none.

    ``language`` is an ISO 639-1 code; it chooses YAKE's stop words.
    """
    extractor = _extractor(language, top)
    try:
        found = extractor.extract_keywords(text)
    finally:
        extractor.clear_caches()  # or phrases of one user would stay in memory, even after the user was forgotten
    return _SEPARATOR.join(phrase for phrase, _ in found)
