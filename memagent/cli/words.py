"""How much of what is said an encoder cannot read.

A tokenizer made for one language meets another's words in two ways: as its unknown token (Chinese, Thai, Amharic for
all-MiniLM-L6-v2) or, where it knows the letters, spelled out letter by letter (Russian, Greek, Arabic, Hindi, Korean).
Either way their meaning is lost.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder

_UNKNOWN = 0.1  # of tokens
_SPELLED = 0.3  # of words; measured: 0.01 in English, Spanish and Polish, 0.8 in Russian, Greek, Arabic, Hindi
_TOKENS_A_LETTER = 0.7  # measured: at most 0.5 for words of languages that the tokenizer was made for
_LETTERS = 4  # shorter words say nothing: "I" is one letter and one token
_WORDS = 2000  # distinct words that are looked at
_MARKS = ".,;:!?()[]{}\"'…«»“”‘’–—-/।"


class Missed(NamedTuple):
    """Share of unknown tokens, and share of distinct words spelled letter by letter; both 0 to 1."""

    unknown: float
    spelled: float

    @property
    def much(self) -> bool:
        """Whether it is more than a few names."""
        return self.unknown > _UNKNOWN or self.spelled > _SPELLED


def missed(encoder: Encoder, texts: Sequence[str]) -> Missed:
    """What the encoder misses of these texts; its ``unknown_share`` is asked where it has one."""
    unknown_share = getattr(encoder, "unknown_share", None)
    unknown = float(unknown_share([_without_symbols(text) for text in texts])) if callable(unknown_share) else 0.0
    words = list(dict.fromkeys(word for text in texts for word in map(_bare, text.split()) if _telling(word)))[:_WORDS]
    spelled = sum(encoder.count_tokens(word) >= _TOKENS_A_LETTER * len(word) for word in words)
    return Missed(unknown, spelled / len(words) if words else 0.0)


def _without_symbols(text: str) -> str:
    """The text without emoji and other symbols: they are unknown to many tokenizers, and no language."""
    return "".join(letter for letter in text if unicodedata.category(letter)[0] not in "SC" or letter.isspace())


def _bare(word: str) -> str:
    return word.strip(_MARKS)


def _telling(word: str) -> bool:
    """Whether it is a word of a script with letters; Chinese characters are words of their own for any tokenizer."""
    # Decomposed, a Korean syllable is two or three letters.
    long = len(unicodedata.normalize("NFD", word)) >= _LETTERS
    return long and any(map(str.isalpha, word)) and not any("\u2e80" <= letter <= "\u9fff" for letter in word)
