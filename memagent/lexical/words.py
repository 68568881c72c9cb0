"""Cuts a text into words, the same way for every language."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import pairwise

from memagent.lexical.stopwords import normal_form

MAX_WORD = 64
"""Longer words (links, encoded data) are cut to this many characters."""

# Scripts written without spaces between words: Han, kana, bopomofo, Hangul (whose spaces bound phrases
# with particles, not words), Thai, Lao, Myanmar, Khmer.
UNSEGMENTED = (
    "\u3005-\u3007\u3041-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
    "\u1100-\u11ff\uac00-\ud7a3\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
)
_RUNS = re.compile(f"([{UNSEGMENTED}]+)")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
# Typographic apostrophes become plain ones; characters that are invisible inside a word (soft hyphen,
# joiners, byte order mark) go, so that a word is found however it was typeset.
_CLEAN = str.maketrans({"\u2019": "'", "\u02bc": "'", "_": " "} | dict.fromkeys("\u00ad\u200c\u200d\u2060\ufeff", ""))


def words(text: str) -> list[str]:
    """The words of ``text`` in their order, case folded and in Unicode NFKC.

    A word is a run of letters, digits and combining marks, with apostrophes inside it kept. A run of a
    script that puts no spaces between words gives its overlapping pairs of characters (a single
    character gives itself).
    """
    if text.isascii():
        return [word[:MAX_WORD] for word in _ASCII_WORD.findall(text.lower())]
    found: list[str] = []
    for word in _unicode_word().findall(normal_form(text).translate(_CLEAN)):
        if word.isascii() or not _RUNS.search(word):
            found.append(word[:MAX_WORD])
        else:
            found += _pairs(word)
    return found


def _pairs(word: str) -> list[str]:
    """The parts of a word that holds a run of an unsegmented script."""
    found: list[str] = []
    for part in _RUNS.split(word):
        if not _RUNS.match(part):
            found += [piece[:MAX_WORD] for piece in part.split("'") if piece]
        elif len(part) == 1:
            found.append(part)
        else:
            found += [first + second for first, second in pairwise(part)]
    return found


@cache
def _unicode_word() -> re.Pattern[str]:
    # \w holds letters and digits but no combining marks, which many scripts write vowels with.
    marks = "".join(chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M")
    return re.compile(rf"\w[\w{marks}]*(?:'\w[\w{marks}]*)*")
