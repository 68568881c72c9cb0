"""Ways to write a text so that a person reads it and a plain comparison does not find it."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

Disguise: TypeAlias = Callable[[str, random.Random], str]

_CYRILLIC = str.maketrans("aceiopsxyjABCEHKMOPTX", "асеіорѕхујАВСЕНКМОРТХ")
_GREEK = str.maketrans("oviABEHIKMNOPTXYZ", "ονιΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
_DIGITS = str.maketrans("aeiostAEIOST", "431057431057")
_SIGNS = str.maketrans("asAS", "@$@$")
_SMALL_CAPITALS = str.maketrans("abcdeghjkmnoprtuvwz", "ᴀʙᴄᴅᴇɢʜᴊᴋᴍɴᴏᴘʀᴛᴜᴠᴡᴢ")
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u180e\u034f\ufe0f"
_MARKS = "\u0336\u0301\u0308\u0323\u0335"


def as_it_is(text: str, rng: random.Random) -> str:
    """No disguise."""
    del rng
    return text


def upper_case(text: str, rng: random.Random) -> str:
    """Capitals."""
    del rng
    return text.upper()


def any_case(text: str, rng: random.Random) -> str:
    """Capitals and small letters at random."""
    return "".join(rng.choice((character.upper(), character.lower())) for character in text)


def full_width(text: str, rng: random.Random) -> str:
    """Full-width letters and digits (NFKC makes them ASCII)."""
    del rng
    return "".join(chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() else c for c in text)


def mathematical(text: str, rng: random.Random) -> str:
    """Bold or script letters from the mathematical block."""
    first = rng.choice((0x1D400, 0x1D468, 0x1D4D0, 0x1D56C))
    places = {**{chr(65 + i): first + i for i in range(26)}, **{chr(97 + i): first + 26 + i for i in range(26)}}
    return "".join(chr(places.get(c, 0x1D7CE + ord(c) - 48 if c.isascii() and c.isdigit() else ord(c))) for c in text)


def circled(text: str, rng: random.Random) -> str:
    """Letters in circles, or white on black squares."""
    if rng.random() < 0.5:
        return "".join(chr(0x1F170 + ord(c.upper()) - 65) if c.isascii() and c.isalpha() else c for c in text)
    return "".join(chr(0x24D0 + ord(c.lower()) - 97) if c.isascii() and c.isalpha() else c for c in text)


def other_digits(text: str, rng: random.Random) -> str:
    """Arabic, Devanagari or Thai digits."""
    zero = rng.choice((0x0660, 0x0966, 0x0E50))
    return "".join(chr(zero + ord(c) - 48) if c.isascii() and c.isdigit() else c for c in text)


def decomposed(text: str, rng: random.Random) -> str:
    """Canonically decomposed, with marks that belong to nothing."""
    return "".join(c + (rng.choice(_MARKS) if c.isalnum() else "") for c in unicodedata.normalize("NFD", text))


def zero_width(text: str, rng: random.Random) -> str:
    """Characters without width between all others."""
    return "".join(c + rng.choice(_INVISIBLE) for c in text[:-1]) + text[-1:]


def soft_hyphens(text: str, rng: random.Random) -> str:
    """Soft hyphens between letters."""
    return "".join(c + ("\u00ad" if rng.random() < 0.6 else "") for c in text[:-1]) + text[-1:]


def direction_marks(text: str, rng: random.Random) -> str:
    """Left-to-right and right-to-left marks around and inside."""
    at = rng.randrange(1, len(text)) if len(text) > 1 else 0
    return f"\u200f{text[:at]}\u200e{text[at:]}\u200f"


def turned_round(text: str, rng: random.Random) -> str:
    """Written backwards under a right-to-left override, word by word."""
    del rng
    return " ".join(f"\u202e{word[::-1]}\u202c" for word in text.split(" "))


def cyrillic(text: str, rng: random.Random) -> str:
    """Cyrillic letters that look like Latin ones."""
    return _some(text, _CYRILLIC, rng)


def greek(text: str, rng: random.Random) -> str:
    """Greek letters that look like Latin ones."""
    return _some(text, _GREEK, rng)


def small_capitals(text: str, rng: random.Random) -> str:
    """Phonetic small capitals."""
    del rng
    return text.translate(_SMALL_CAPITALS)


def with_digits(text: str, rng: random.Random) -> str:
    """Digits in place of letters."""
    return _some(text, _DIGITS, rng)


def with_signs(text: str, rng: random.Random) -> str:
    """Signs in place of letters."""
    return _some(text, _SIGNS, rng)


def spaced_out(text: str, rng: random.Random) -> str:
    """Every character apart."""
    return rng.choice((" ", "-", ".", "_", "\u00a0")).join(text.replace(" ", ""))


def in_two(text: str, rng: random.Random) -> str:
    """A space, a hyphen or a line's end inside."""
    at = len(text) // 2
    return text[:at] + rng.choice((" ", "-", "- ", "\n", "/")) + text[at:]


def invisible_tags(text: str, rng: random.Random) -> str:
    """Unicode tag characters: nothing is seen, a program reads it."""
    del rng
    return "".join(chr(0xE0000 + ord(c)) if " " <= c <= "~" else c for c in text)


def mistyped(text: str, rng: random.Random) -> str:
    """Two neighbouring letters swapped in each word of at least five letters."""
    words = []
    for word in text.split(" "):
        at = rng.randrange(1, len(word) - 2) if len(word) > 4 else 0
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :] if at else word
        words.append(swapped)
    return " ".join(words)


def _some(text: str, table: Mapping[int, int], rng: random.Random) -> str:
    """``text`` with at least one, and often all, of its letters exchanged."""
    places = [index for index, character in enumerate(text) if ord(character) in table]
    if not places:
        return text
    chosen = set(places if rng.random() < 0.4 else rng.sample(places, rng.randint(1, len(places))))
    return "".join(c.translate(table) if index in chosen else c for index, c in enumerate(text))


FOR_WORDS: Mapping[str, Disguise] = MappingProxyType(
    {
        make.__name__.replace("_", " "): make
        for make in (
            as_it_is, upper_case, any_case, full_width, mathematical, circled, decomposed, zero_width, soft_hyphens,
            direction_marks, turned_round, cyrillic, greek, small_capitals, with_digits, with_signs, spaced_out, in_two,
            invisible_tags, mistyped,
        )
    }
)  # fmt: skip
"""Disguises of words and names, by what they are called."""

FOR_NUMBERS: Mapping[str, Disguise] = MappingProxyType(
    {
        make.__name__.replace("_", " "): make
        for make in (
            as_it_is, full_width, mathematical, other_digits, zero_width, soft_hyphens, direction_marks, spaced_out,
            decomposed, invisible_tags,
        )
    }
)  # fmt: skip
"""Disguises of numbers."""
