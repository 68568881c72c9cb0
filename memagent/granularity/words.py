"""Words that libraries and our own analysis remember between texts, to be quick."""

from __future__ import annotations

import sys

from memagent.lexical import clear_cache


def clear_word_caches() -> None:
    """Drop all remembered words of this process: those of an erased text may be among them."""
    clear_cache()
    yake = sys.modules.get("yake.data.utils")
    if yake is not None:
        yake.get_tag.cache_clear()
