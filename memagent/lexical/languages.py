"""Which language a text is in, cheaply: by its script, and in Latin script by its function words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from functools import cache

from memagent.errors import UnknownName
from memagent.lexical.stopwords import LOOKALIKES, STOP_WORDS
from memagent.lexical.words import UNSEGMENTED, words

LANGUAGES = (
    "en", "es", "fr", "de", "it", "pt", "nl", "sv", "da", "no", "fi", "pl", "ru", "el", "ar", "cjk", "none",
)  # fmt: skip
"""The languages a text can have: ``cjk`` for scripts read in pairs of characters, ``none`` for any other script.

Stored terms hold positions in this tuple: new languages are appended.
"""

LATIN = frozenset({"en", "es", "fr", "de", "it", "pt", "nl", "sv", "da", "no", "fi", "pl"})
"""The languages in Latin script."""

_SAMPLE = 4000
_SCRIPTS = {
    "cjk": re.compile(f"[{UNSEGMENTED}]"),
    "ru": re.compile("[\u0400-\u052f]"),
    "el": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "ar": re.compile("[\u0600-\u06ff\u0750-\u077f]"),
    "latin": re.compile("[a-zA-Z\u00aa-\u024f\u1e00-\u1eff]"),
}
# Letters that English has not; a word that holds one counts as half a function word.
_LETTERS = {
    language: frozenset(letters)
    for language, letters in {
        "es": "áéíñóú", "fr": "àâçèéêëîïôùûœ", "de": "äöü", "it": "àèéìòù", "pt": "áâãçéêíóôõú", "nl": "éëï",
        "sv": "åäö", "da": "åæø", "no": "åæø", "fi": "äö", "pl": "ąćęłńóśźż",
    }.items()
}  # fmt: skip
_CLITICS = frozenset({"s", "d", "m", "t", "ll", "re", "ve"})
_CERTAIN = 1.0
"""The evidence a language needs to be preferred to English: about one unmistakable function word,"""
_SHARE = 0.1
"""and so much for each distinct word of the text."""


def check_language(language: str) -> str:
    """``language`` if it is one of :data:`LANGUAGES`; else raises :class:`memagent.errors.UnknownName`."""
    if language not in LANGUAGES:
        raise UnknownName(f"unknown language {language!r}", hint=f"use one of {', '.join(LANGUAGES)}")
    return language


def detect_language(text: str, among: Collection[str] | None = None) -> str:
    """The language of ``text``, one of :data:`LANGUAGES`; ``en`` where nothing speaks for another.

    The script with most letters decides first; Latin script is decided by counts of function words and
    of letters with diacritics. ``among`` (default: all) restricts the Latin-script languages that are
    considered. Only the first 4,000 characters are read. Short texts without a function word count as
    English: a wrong guess costs little, because a query is analysed in every language of the bank.
    """
    sample = text[:_SAMPLE]
    script = "latin" if sample.isascii() else _script(unicodedata.normalize("NFKC", sample))
    if script != "latin":
        return script
    candidates = sorted(LATIN if among is None else LATIN.intersection(among), key=LANGUAGES.index)
    return _latin_language(words(sample), candidates or ["en"])


def _script(sample: str) -> str:
    counts = {name: len(pattern.findall(sample)) for name, pattern in _SCRIPTS.items()}
    other = sum(map(str.isalpha, sample)) - sum(counts.values())
    counts["cjk"] *= 2  # a character is about half a word there
    best = max(counts, key=counts.__getitem__)
    if other > counts[best]:
        return "none"
    return best if counts[best] else "latin"


def _latin_language(found: Iterable[str], candidates: list[str]) -> str:
    """The candidate with most evidence, each distinct word counted once; English, or the first, without any."""
    default = "en" if "en" in candidates else candidates[0]
    if len(candidates) == 1:
        return default
    distinct = set(found)
    evidence = dict.fromkeys(candidates, 0.0)
    for word in distinct:
        for language, weight in _evidence(word):
            if language in evidence:
                evidence[language] += weight
    best = max(candidates, key=evidence.__getitem__)
    needed = max(_CERTAIN, _SHARE * len(distinct)) if default == "en" else 0.0
    return best if evidence[best] > evidence[default] and evidence[best] >= needed else default


def _evidence(word: str) -> Iterable[tuple[str, float]]:
    """What one word says about the language of its text."""
    weights = _function_words().get(word)
    if weights:
        return weights
    if "'" in word:
        *_, before, last = word.split("'")
        if last in _CLITICS:
            return (("en", 0.5),)
        return [(language, 0.5) for language in ("fr", "it") if before in STOP_WORDS[language]]
    if word.isascii():
        return ()
    return [(language, 0.5) for language, letters in _LETTERS.items() if not letters.isdisjoint(word)]


@cache
def _function_words() -> dict[str, tuple[tuple[str, float], ...]]:
    """For each function word its languages and its weight for each: less where English text has the word too."""
    english = STOP_WORDS["en"]
    return {
        word: tuple(
            (language, 1.0 if language == "en" else 0.25 if word in LOOKALIKES else 0.5 if word in english else 1.0)
            for language in sorted(LATIN)
            if word in STOP_WORDS[language]
        )
        for word in frozenset().union(*(STOP_WORDS[language] for language in LATIN))
    }
