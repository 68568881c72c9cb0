"""Words that are public: those that say nothing about a user, though they stand in private texts."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from memagent.agents.lsrp.guard.folding import squeezed
from memagent.lexical.stopwords import STOP_WORDS


@cache
def public_words() -> frozenset[str]:
    """The bundled list (40,598 English words of at least four letters) and the function words of fifteen languages.

    Folded, without words that are always written with a capital; see ``memagent/data/guard/SOURCES.md``. Some are a
    name as well: those of other languages (Hans is "his" in Swedish) are told by
    :mod:`memagent.agents.lsrp.guard.names`, those of English (Rose) are public.
    """
    return english_words() | {form for words in STOP_WORDS.values() for word in words for form in squeezed(word)}


@cache
def english_words() -> frozenset[str]:
    """The bundled list and the function words of English, folded."""
    listed = (files("memagent") / "data" / "guard" / "public_words.txt").read_text(encoding="utf-8").split()
    return frozenset(listed) | {form for word in STOP_WORDS["en"] for form in squeezed(word)}
