"""Turns text into the terms BM25 counts: words, without function words, stemmed, hashed.

A term is stored as a 64-bit hash of its stem, never as text: no vocabulary has to be stored or loaded
beside the documents, and when the last document with a word is deleted, no list keeps the word. A hash
is no encryption (a guessed word can be checked against it), so the hashes of a deleted text go with it.
That any two of 200,000 words share a hash has a probability of about 1 in 10**9, and would only count them
as one term.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import snowballstemmer

from memagent.lexical.languages import LATIN, check_language, detect_language
from memagent.lexical.stopwords import STOP_WORDS
from memagent.lexical.terms import Terms
from memagent.lexical.words import words

ANALYSIS_VERSION = 1
"""Grows whenever the same text would give other terms; stored terms of another version are to be made again."""

_SNOWBALL = {
    "en": "english", "es": "spanish", "fr": "french", "de": "german", "it": "italian", "pt": "portuguese",
    "nl": "dutch", "sv": "swedish", "da": "danish", "no": "norwegian", "fi": "finnish", "pl": "polish",
    "ru": "russian", "el": "greek", "ar": "arabic",
}  # fmt: skip
_CLITIC = re.compile("(?:n't|'(?:s|d|m|ll|re|ve))$")
# Letters that Unicode does not decompose into a base letter and an accent.
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ß": "ss"})
_stemmers = threading.local()  # a stemmer keeps state while it works: one for each thread


def analyze(text: str, language: str) -> Terms:
    """The terms of ``text`` and their counts.

    ``language`` (one of ``LANGUAGES``; :func:`detect_language` finds it) decides how the words in Latin
    script are treated: English where it is a language of another script. Words in Cyrillic, Greek and
    Arabic script are always Russian, Greek and Arabic; scripts without spaces between words give pairs
    of characters; words of any other script stay as they are. Raises
    :class:`memagent.errors.UnknownName` for an unknown language.
    """
    latin = _latin(check_language(language))
    return Terms.of(term for word in words(text) for term in _terms_of(word, latin))


def query_terms(text: str, languages: Collection[str]) -> Terms:
    """The terms of a query against documents in ``languages``: the union of its stems under each of them.

    Each language leaves out its own function words, and what is a function word in the query's own
    language (the most likely one of ``languages``) is left out under all of them. With one Latin-script
    language this is exactly :func:`analyze`. A count is the number of the query's words that give the
    term. Raises :class:`memagent.errors.UnknownName` for an unknown language.
    """
    return Terms.of(term for _, terms in content_words(text, languages) for term in terms)


def content_words(text: str, languages: Collection[str]) -> list[tuple[str, tuple[int, ...]]]:
    """The words of a query that are not function words, and the terms of each; see :func:`query_terms`.

    The first term of a word is the one it has in the query's own language.
    """
    latin = _latin_of(languages)
    own = latin[0] if len(latin) == 1 else _latin(detect_language(text, among=latin))
    return [(word, _terms_under(word, (own, *latin))) for word in words(text) if _terms_of(word, own)]


def terms_of_word(word: str, languages: Collection[str]) -> tuple[int, ...]:
    """The distinct terms of one word, as :func:`words` would give it, against documents in ``languages``."""
    return _terms_under(word, _latin_of(languages))


def _latin_of(languages: Collection[str]) -> list[str]:
    return sorted({_latin(check_language(language)) for language in languages}) or ["en"]


def _terms_under(word: str, latin: Iterable[str]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(term for language in latin for term in _terms_of(word, language)))


def clear_cache() -> None:
    """Forget the words seen so far (the cache from words to hashes of this process, at most 100,000)."""
    _terms_of.cache_clear()


@lru_cache(maxsize=100_000)
def _terms_of(word: str, latin: str) -> tuple[int, ...]:
    """The hashes of one word's terms: none for a function word, several where an apostrophe joins words."""
    language = _language_of(word, latin)
    stop = STOP_WORDS.get(language, frozenset())
    return tuple(_hash(_stem(part, language)) for part in _parts(word, language, stop) if part not in stop)


def _parts(word: str, language: str, stop: Collection[str]) -> list[str]:
    """The words that an apostrophe joins (``l'arte``); in English the word without its clitic (``she'll``)."""
    if "'" not in word:
        return [word]
    if language == "en":
        return [] if word in stop else [_CLITIC.sub("", word)]
    return [part for part in word.split("'") if part]


def _language_of(word: str, latin: str) -> str:
    """The language a word is treated in, by the script of its first letter."""
    if word.isascii():
        return latin
    code = next((ord(character) for character in word if character.isalpha()), 0)
    if code < 0x250 or 0x1E00 <= code < 0x1F00:
        return latin
    if code < 0x400 or 0x1F00 <= code < 0x2000:
        return "el"
    if code < 0x530:
        return "ru"
    return "ar" if 0x600 <= code < 0x780 else "none"


def _latin(language: str) -> str:
    return language if language in LATIN else "en"


def _stem(word: str, language: str) -> str:
    """The stem of a word, without accents, so that what was typed without them is found.

    Stemmers need the accents of their language; English has none of its own (résumé is stemmed as resume).
    """
    if language not in _SNOWBALL:
        return word
    return _without_accents(_stemmer(language)(_without_accents(word) if language == "en" else word))


def _without_accents(word: str) -> str:
    if word.isascii():
        return word
    bare = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    return bare.translate(_PLAIN)


def _stemmer(language: str) -> Callable[[str], str]:
    stem: Callable[[str], str] | None = getattr(_stemmers, language, None)
    if stem is None:
        stemmer: Any = snowballstemmer.stemmer(_SNOWBALL[language])
        if hasattr(stemmer, "maxCacheSize"):
            stemmer.maxCacheSize = 0  # it would keep words where clear_cache() does not reach
        stem = stemmer.stemWord
        setattr(_stemmers, language, stem)
    return stem


def _hash(term: str) -> int:
    return int.from_bytes(blake2b(term.encode(), digest_size=8).digest(), "little")
