"""Words that are public: those that say nothing about a user, though they stand in private texts."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from memagent.agents.lsrp.guard.folding import squeezed
from memagent.lexical.stopwords import STOP_WORDS


@cache
def public_words() -> frozenset[str]:
    """The bundled list (40,598 English words of at least four letters) and the function words of fifteen languages.

    Folded, without names of people and places; see ``memagent/data/guard/SOURCES.md``.
    """
    listed = (files("memagent") / "data" / "guard" / "public_words.txt").read_text(encoding="utf-8").split()
    functions = {form for words in STOP_WORDS.values() for word in words for form in squeezed(word)}
    return frozenset(listed) | frozenset(functions)
