"""Names that are public only as another language's function word: Mina and Hans are Swedish for my and his.

In a private text a capital shows that the name is meant. English words that are names too (Rose, Mark) stay public: in
headings and titles nearly every word has a capital.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from memagent.agents.lsrp.guard.folding import Folded, Word, squeezed
from memagent.agents.lsrp.guard.public import english_words
from memagent.lexical.stopwords import STOP_WORDS

_AMID = re.compile(r"[^\W\d_][,;(]?['\"(\u2018\u201c]? ?['\"(\u2018\u201c]?\Z")
"""What stands before a word amid a sentence: a letter, at most a comma, a bracket or a quotation mark, a space."""
_BEFORE = 5


def names_among_words(form: Folded, held: Sequence[Word]) -> Iterator[Word]:
    """The words of a private text that other languages have as a function word, and that are names here.

    They have a capital amid a sentence, or anywhere in a text that does not read like another language.
    """
    written_small = [word.small for word in held if _given(form, word)[:1].islower()]
    english = sum(small in _functions("en") for small in written_small)
    foreign = sum(small in _foreign() for small in written_small)
    for word in held:
        if word.small in _foreign() and _given(form, word)[:1].isupper() and (english >= foreign or _amid(form, word)):
            yield word


def _given(form: Folded, word: Word) -> str:
    return form.given[slice(*form.span(word.start, word.end))]


def _amid(form: Folded, word: Word) -> bool:
    """Whether the word before it is of the same sentence."""
    start, _ = form.span(word.start, word.end)
    return _AMID.search(form.given[max(0, start - _BEFORE) : start]) is not None


@cache
def _functions(language: str) -> frozenset[str]:
    return frozenset(form for word in STOP_WORDS[language] for form in squeezed(word))


@cache
def _foreign() -> frozenset[str]:
    """Words that are public for no other reason than being another language's function words."""
    return frozenset().union(*map(_functions, STOP_WORDS)) - english_words()
