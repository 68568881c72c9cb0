"""Personal data that shows by its form, whoever's it is: e-mail addresses, phones, cards, accounts, streets, names.

The patterns run over folded text, so that a full-width or split-up address is one too. Dates are not among them: a date
is personal only if it is the user's, which :mod:`memagent.agents.lsrp.guard.matching` looks up.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from memagent.lexical.stopwords import STOP_WORDS

_FUNCTIONS = frozenset().union(*STOP_WORDS.values())
_AT = r"(?:\s?@\s?|\s?[\[({]\s?at\s?[\])}]\s?|\s+at\s+)"
_DOT = r"(?:\.|\s?[\[({]\s?dot\s?[\])}]\s?|\s+dot\s+)"
_DOMAIN = rf"[a-z0-9-]{{1,63}}(?:{_DOT}[a-z0-9-]{{1,63}}){{0,4}}?{_DOT}[a-z]{{2,24}}"
_EMAIL = re.compile(rf"(?<![\w.+-])[\w.+%-]{{1,64}}{_AT}{_DOMAIN}\b")
_PHONE = re.compile(r"(?<![\w.,/-])(?:\+\s?|00)?\(?\d(?:[\s().\-/]{0,2}\d){6,14}(?![\w/-]|[.,]\d)")
_CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IBAN = re.compile(r"(?<!\w)[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?(?!\w)")
_SOCIAL = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_ID = re.compile(r"(?<!\w)(?:[a-z]{1,3}[ -]?\d{6,10}[a-z]?|\d{6,10}[ -]?[a-z]{1,3})(?!\w)")
_NETWORK = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]|-\d)")
_HANDLE = re.compile(r"(?<![\w@.])@[a-z_][\w.]{2,30}\b")
_DIGIT = re.compile("[0-9]")
_DATE = re.compile(r"\d{4}\D\d{1,2}\D\d{1,2}|\d{1,2}\D\d{1,2}\D\d{4}")
_LOCAL_PHONE = re.compile(r"\d{3}[-. ]\d{4}")

_STREET = re.compile(
    r"(?<![\w.])\d{1,5}[A-Za-z]?,?\s+(?:[A-Z][\w'.-]+\s+){1,3}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Court|Ct|Way|Place|Pl|Square|Terrace|Close|Crescent)"
    r"\b|\b[A-Z]\w+(?:straße|strasse|gasse|gatan|gata|straat|vej)\s+\d{1,4}[a-z]?\b"
    r"|\b(?:[Rr]ue|[Aa]venue|[Vv]ia|[Cc]alle|[Rr]ua|[Uu]lica|ul\.)\s+(?:(?:de|du|des|la|le|da|del|do)\s+)*[A-Z]\w+"
    r"(?:\s+[A-Z]\w+)?,?\s+\d{1,4}\b"
)
_CUE = (
    r"(?:[Mm]y name is|[Mm]y name's|[Ii] am called|[Cc]all me|[Ss]igned,?|\bMr\.?|\bMrs\.?|\bMs\.?|\bDr\.?"
    r"|[Mm]y (?:wife|husband|partner|son|daughter|brother|sister|mother|father|boss|friend|fianc[ée]e?),?)"
)
_NAMED = re.compile(rf"{_CUE}\s+(?P<name>[A-Z][\w'’-]+(?:\s+[A-Z][\w'’-]+)?)")


class Match(NamedTuple):
    """A place in the text that a rule was run over, and the kind of data."""

    start: int
    end: int
    kind: str


def in_folded(text: str) -> Iterator[Match]:
    """What shows by its form in folded text."""
    if "@" in text or " at " in text or "at]" in text or "at)" in text or "at}" in text:
        yield from (Match(*match.span(), "email") for match in _EMAIL.finditer(text))
        yield from (Match(*match.span(), "id") for match in _HANDLE.finditer(text))
    if _DIGIT.search(text):
        for pattern, kind, holds in _NUMBERED:
            yield from (Match(*match.span(), kind) for match in pattern.finditer(text) if holds(match[0]))


def in_given(text: str) -> Iterator[Match]:
    """What shows by its form and its capitals, in the text as given."""
    yield from (Match(*match.span(), "address") for match in _STREET.finditer(text))
    yield from (Match(*match.span("name"), "name") for match in _NAMED.finditer(text))


def _is_phone(text: str) -> bool:
    """Long enough for a phone number, or written like one; a date or a range of years is none."""
    digits = sum(character.isdigit() for character in text)
    if _DATE.fullmatch(text.strip()):
        return False
    return digits >= 9 or text.startswith(("+", "00", "(")) or _LOCAL_PHONE.fullmatch(text) is not None


def _is_card(text: str) -> bool:
    """The check digit of Luhn (ISO/IEC 7812-1)."""
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_account(text: str) -> bool:
    """The check digits of an IBAN (ISO 13616: modulo 97 of the rearranged number is 1)."""
    plain = text.replace(" ", "")
    return int("".join(str(int(character, 36)) for character in plain[4:] + plain[:4])) % 97 == 1


def _is_id(text: str) -> bool:
    """A number with letters to it, and not one between words: "of 250000" and "1000000 and" are none."""
    apart = re.split("[ -]", text)
    return len(apart) == 1 or not _FUNCTIONS.intersection(apart)


def _is_network(text: str) -> bool:
    return all(int(part) < 256 for part in text.split("."))


def _always(text: str) -> bool:
    return bool(text)


_NUMBERED: tuple[tuple[re.Pattern[str], str, Callable[[str], bool]], ...] = (
    (_CARD, "card", _is_card),
    (_IBAN, "account", _is_account),
    (_SOCIAL, "id", _always),
    (_ID, "id", _is_id),
    (_NETWORK, "network", _is_network),
    (_PHONE, "phone", _is_phone),
)
