"""Text in one form, however it is typed: what is compared is folded, what is cut out stands in the text as given.

A character is decomposed (NFKD), loses its marks and invisible characters, has its digits turned into ASCII ones and
its case folded, and becomes the ASCII letter that it looks like (Unicode's confusables and some more). Every folded
character knows where in the text it comes from. Letters of other scripts that resemble none stay as they are.

Cyrillic and Greek capitals may resemble another letter than their small ones (H and n for eta), so there are two
forms: ``small`` folds the case first, ``large`` looks at the capital. They differ in few words, and both are compared.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from memagent.lexical.words import UNSEGMENTED

# Beside Unicode's table: small capitals, turned and barred letters, Cyrillic small letters drawn as capitals, and the
# syllabics and Coptic letters of which "fancy text" is made.
_MORE = {
    "a": "ᴀɐⱥᗩⲁ", "b": "вʙƀɓᗷ", "c": "ȼƈᑕ", "d": "đɖɗᴅðᗪ", "e": "ǝᴇɛєэɇⲉ", "f": "ꜰɟᖴ", "g": "ɢǥɠᘜ", "h": "ħʜнɥᕼⲏ",
    "i": "ıɨⲓ", "j": "ᴊȷɉᒍ", "k": "кᴋƙκꝁⲕ", "l": "łʟƚⱡᒪ", "m": "мᴍᗰⲙ", "n": "пɴηŋɲᑎⲛ", "o": "øᗝ", "p": "ᴘᵽᑭ", "q": "ᑫ",
    "r": "яʀɹɾɍᖇ", "s": "ꜱᔕ", "t": "тᴛŧʇτⱦⲧ", "u": "ʉᑌ", "v": "ʌᐯ", "w": "ʍᗯ", "x": "᙭", "y": "ʎʏɏⲩ", "z": "ƶᘔ",
    "ae": "æӕᴁ", "oe": "œ", "th": "þ", "H": "Η", "P": "Ρ", "B": "В",
}  # fmt: skip
# Letters in circles, squares and flags, which have no decomposition: (first, last, the letter of the first).
_DRAWN = ((0x1F150, 0x1F169, "a"), (0x1F170, 0x1F189, "a"), (0x1F1E6, 0x1F1FF, "a"))
_TAGS = range(0xE0021, 0xE007F)
"""Characters that nobody sees and that spell ASCII."""
# Seen as nothing, though Unicode counts them as letters or symbols.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5")
_DIGITS = re.compile("[0-9]+")
_DECIMALS = re.compile(r"\d+")
_WORD = re.compile(rf"[{UNSEGMENTED}]|[^\W_{UNSEGMENTED}]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A text's two forms, of equal length, and ``origin``: each character's index in the text, then its length."""

    given: str
    small: str
    large: str
    origin: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where the folded characters ``start`` to ``end`` stand in the text, with the marks that follow them."""
        first = self.origin[start]
        return first, max(self.origin[end], self.origin[end - 1] + 1)


class Word(NamedTuple):
    """A run of letters and digits (of one character in scripts without spaces); places in the folded text."""

    start: int
    end: int
    small: str
    large: str


def folded(text: str) -> Folded:
    """``text`` in its folded forms."""
    if text.isascii():
        lower = text.lower()
        return Folded(given=text, small=lower, large=lower, origin=range(len(text) + 1))
    small: list[str] = []
    large: list[str] = []
    origin: list[int] = []
    for index, character in enumerate(text):
        one, two = _forms(character)
        small.append(one)
        large.append(two)
        origin.extend([index] * len(one))
    origin.append(len(text))
    return Folded(given=text, small="".join(small), large="".join(large), origin=origin)


def words(text: Folded) -> Iterator[Word]:
    """The words of a folded text, in order."""
    for match in _WORD.finditer(text.small):
        start, end = match.span()
        yield Word(start, end, match[0], text.large[start:end])


def squeezed(text: str) -> set[str]:
    """The letters and digits of ``text`` alone, in its folded forms (one, or two that differ)."""
    form = folded(text)
    return {"".join(_WORD.findall(each)) for each in (form.small, form.large)}


def digit_runs(form: Folded, word: Word) -> set[str]:
    """The runs of digits in a word: folded, and as given (a letter may be folded to a digit beside them)."""
    found = set(_DIGITS.findall(word.small))
    given = form.given[slice(*form.span(word.start, word.end))]
    if not given.isascii():
        found |= {"".join(str(unicodedata.decimal(each)) for each in run) for run in _DECIMALS.findall(given)}
    return found


@cache
def lookalike(character: str) -> str:
    """The ASCII letter that a letter of another script looks like, in its case; any other character in NFKC, if one."""
    form = unicodedata.normalize("NFKC", character)
    if len(form) != 1:
        return character
    letter = _forms(form)[1]
    if not form.isalpha() or unicodedata.decomposition(form) or not (len(letter) == 1 and letter.isascii()):
        return form
    return letter.upper() if form.isupper() else letter


def mixed(word: str) -> bool:
    """Whether letters of several scripts stand in one word: nobody writes so who wants to be read by a program."""
    if word.isascii():
        return False
    scripts = {_script(character) for character in unicodedata.normalize("NFKD", word) if character.isalpha()}
    return len(scripts - {""}) > 1


@cache
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    """Lookalikes after folding case, and before."""
    before: dict[str, str] = {}
    text = (files("memagent") / "data" / "guard" / "lookalikes.txt").read_text(encoding="utf-8")
    rows = [tuple(line.split(" ", 1)) for line in text.splitlines()]
    for letter, others in [*rows, *_MORE.items()]:
        # Unicode draws a capital I in full width or a mathematical style like an l; what it is decides.
        drawn = [other for other in others if not unicodedata.normalize("NFKC", other).isascii()]
        before.update(dict.fromkeys(drawn, letter.casefold()))
    after = {other: letter for other, letter in before.items() if other.casefold() == other}
    for other, letter in before.items():
        if not other.casefold().isascii():  # the long s folds to a plain one
            after.setdefault(other.casefold(), letter)
    return after, before


@cache
def _forms(character: str) -> tuple[str, str]:
    if character.isascii():
        return character.lower(), character.lower()
    after, before = _tables()
    plain = character if character in before else _plain(character)
    one = "".join(after.get(each, each) for each in plain.casefold())
    two = "".join(before.get(each) or "".join(after.get(x, x) for x in each.casefold()) for each in plain)
    return (one, two) if len(one) == len(two) else (one, one)


def _plain(character: str) -> str:
    """A character decomposed, without marks and what cannot be seen, its digits in ASCII."""
    code = ord(character)
    if code in _TAGS:
        return chr(code - 0xE0000)
    for first, last, letter in _DRAWN:
        if first <= code <= last:
            return chr(ord(letter) + code - first)
    if unicodedata.category(character) == "Pd" or character == "\u2212":
        return "-"
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    return "".join(
        each
        for each in unicodedata.normalize("NFKD", character)
        if each not in _BLANK and unicodedata.category(each) not in {"Mn", "Mc", "Me", "Cf"}
    )


@cache
def _script(character: str) -> str:
    """The first word of a letter's Unicode name (LATIN, GREEK, ...); nothing where letters of any script may stand."""
    name = unicodedata.name(character, "").partition(" ")[0]
    return "" if name in {"MODIFIER", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"} else name
