"""What is private of a user, prepared for looking up: the values of a profile, and the words and numbers of texts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from memagent.agents.lsrp.guard import rules
from memagent.agents.lsrp.guard.folding import Folded, Word, digit_runs, folded, squeezed, words
from memagent.agents.lsrp.guard.lookup import Forms, Near
from memagent.agents.lsrp.guard.names import names_among_words
from memagent.agents.lsrp.guard.numerals import Day, dates, spelled
from memagent.agents.lsrp.guard.public import public_words
from memagent.lexical.words import UNSEGMENTED

SHORTEST_WORD = 4
"""A word of the user's texts counts from this length on; values of the profile and numbers count at any length."""

PASSAGE = 8
"""So many words that stand in a private text one after the other are private together, however common each is."""

_NAME_FIELD = re.compile(r"name|signature", re.IGNORECASE)
_ACCOUNT_FIELD = re.compile(r"user|account|login|handle|file|domain", re.IGNORECASE)
_PLACE_FIELD = re.compile(r"city|town|country|place|location|address|region|state$|residence|origin", re.IGNORECASE)
_TITLES = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "jr",
        "sr",
        "van",
        "von",
        "de",
        "der",
        "den",
        "del",
        "la",
        "le",
        "da",
        "di",
        "du",
        "dos",
        "bin",
        "al",
        "el",
        "the",
        "of",
        "and",
    ]
)
_ITEMS = re.compile(r"[,;/|\n]+")
_RUNS = re.compile(rf"[^\W_]*[{UNSEGMENTED}][^\W_]*")
_DIGITS = re.compile(r"\d+")
_GROUPED = re.compile(r"\d{1,3}(?:[,.'’ ]\d{3})+(?!\d)")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})
_DRAWN = str.maketrans("0123456789i", "olzeasbtbgl")


@dataclass(slots=True)
class PrivateFacts:
    """Private texts by their letters and digits alone (folded, without spaces), each with its kind.

    ``phrases`` are those of several words, ``exact`` the values that are compared as they are, ``by_profile`` those
    that the profile holds. They are looked up by their ``forms``, by their ``shapes`` (:func:`drawn`), as words with a
    slip (``near``); ``passages`` are all runs of :data:`PASSAGE` words, ``vocabulary`` the words of those values of the
    profile that have several.
    """

    public: Collection[str]
    kinds: dict[str, str] = field(default_factory=dict)
    phrases: set[str] = field(default_factory=set)
    by_profile: set[str] = field(default_factory=set)
    exact: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    days: set[Day] = field(default_factory=set)
    passages: set[str] = field(default_factory=set)
    forms: Forms = field(default_factory=Forms)
    shapes: Forms = field(default_factory=Forms)
    near: Near = field(default_factory=Near)
    vocabulary: Near = field(default_factory=Near)

    def add(self, key: str, kind: str, *, phrase: bool = False, profile: bool = False) -> None:
        """Take in one private text; what the profile says of its kind comes first."""
        if not key:
            return
        if profile:
            self.by_profile.add(key)
        if phrase:
            self.phrases.add(key)
        if key in self.kinds:
            return
        self.kinds[key] = kind
        self.forms.add(key, key)
        if len(key) >= SHORTEST_WORD and not key.isdigit():
            self.shapes.add(drawn(key), key)
            if not phrase:
                self.near.add(key)

    def add_number(self, digits: str, kind: str = "number") -> None:
        """Take in a number, also to be found when its digits stand apart."""
        self.numbers.setdefault(number(digits), kind)
        if len(digits) > 1:
            self.add(digits, kind)


def private_facts(profile: Iterable[tuple[str, str]], texts: Iterable[str], public: Collection[str]) -> PrivateFacts:
    """The facts of a profile (field and value) and of texts that the user wrote; ``public``: words that say nothing."""
    facts = PrivateFacts(public=public)
    for name, value in profile:
        _add_value(facts, name, value)
    for text in texts:
        _add_text(facts, text, "word", profile=False)
    return facts


def passages(held: Sequence[Word]) -> Iterator[str]:
    """All runs of :data:`PASSAGE` words, each as one text, in order."""
    texts = [word.small for word in held]
    return ("".join(texts[first : first + PASSAGE]) for first in range(len(texts) - PASSAGE + 1))


def drawn(word: str) -> str:
    """A folded word with digits as the letters that they stand for, and pairs of letters as the one they look like."""
    return word.translate(_DRAWN).replace("rn", "m").replace("vv", "w").replace("cl", "d")


def number(digits: str) -> str:
    """A number as it is compared: without leading zeros."""
    return digits.lstrip("0") or "0"


def kind_of(name: str, value: str) -> str:
    """The kind of a profile's value, by the name of its field, or by its form."""
    if _NAME_FIELD.search(name) and not _ACCOUNT_FIELD.search(name):
        return "name"
    if _PLACE_FIELD.search(name):
        return "place"
    if next(dates(folded(value).small), None):
        return "date"
    return "number" if _DIGITS.fullmatch(folded(value).small.strip()) else "profile"


def _add_value(facts: PrivateFacts, name: str, value: str) -> None:
    kind = kind_of(name, value)
    items = [value]
    if kind in {"name", "place"}:
        items += _ITEMS.split(value)
    for item in items:
        held = [word.small for word in words(folded(item))]
        if _literal(item.strip(), held):
            facts.exact[item.strip()] = kind
            continue
        for form in _spellings(item):
            facts.add(form, kind, phrase=len(held) > 1, profile=True)
        if len(held) > 1:
            for word in held:
                facts.vocabulary.add(word)
    if kind == "name":
        for part in words(folded(value)):
            if len(part.small) >= 2 and part.small not in _TITLES:
                facts.add(part.small, kind, profile=True)
                facts.add(part.large, kind, profile=True)
    _add_text(facts, value, kind, profile=True)


def _literal(value: str, held: list[str]) -> bool:
    """Whether a value is compared as it is: a single letter, or none at all. A single sign is not: it is everywhere."""
    if len(value) == 1 and value.isalpha() and value.isascii():
        return True
    return not held and (len(value) > 1 or (len(value) == 1 and not value.isascii()))


def _add_text(facts: PrivateFacts, text: str, kind: str, *, profile: bool) -> None:
    form = folded(text)
    held = list(words(form))
    for word in held:
        for digits in digit_runs(form, word):
            facts.add_number(digits)
        start, end = form.span(word.start, word.end)
        _add_word(facts, word, kind, max(end - start, len(word.small)), profile=profile)
    _add_names(facts, form, held, kind, profile=profile)
    facts.passages.update(passages(held))
    _add_numerals(facts, form)
    for found in rules.in_folded(form.small):
        for whole in squeezed(form.small[found.start : found.end]):
            facts.add(whole, found.kind, phrase=True, profile=profile)
    if text.isascii():
        return
    for each in (form.small, form.large):
        for run in _RUNS.findall(each):
            if len(run) >= SHORTEST_WORD:
                facts.add(run, kind, phrase=True, profile=profile)
    for word in words(folded(text.translate(_UMLAUTS))):
        _add_word(facts, word, kind, len(word.small), profile=profile)


def _add_names(facts: PrivateFacts, form: Folded, held: Sequence[Word], kind: str, *, profile: bool) -> None:
    """Public words that are names here; a list of one's own knows best which words are public."""
    if facts.public is not public_words():
        return
    for word in names_among_words(form, held):
        if len(word.small) >= SHORTEST_WORD:
            facts.add(word.small, kind, profile=profile)


def _add_numerals(facts: PrivateFacts, form: Folded) -> None:
    """Numbers with their thousands apart, numbers in several words, dates; digits come with their words."""
    for grouped in _GROUPED.findall(form.small):
        facts.add_number("".join(_DIGITS.findall(grouped)))
    for start, end, value in spelled(form.small):
        if not form.small[start:end].isalpha():  # one word alone (twenty, hundred) is a public one
            facts.numbers.setdefault(str(value), "number")
    for date in dates(form.small):
        facts.days |= date.days


def _add_word(facts: PrivateFacts, word: Word, kind: str, length: int, *, profile: bool) -> None:
    """A word of a text; ``length``: its characters as given, marks counted."""
    if length < SHORTEST_WORD or word.small.isdigit():
        return
    for form in {word.small, word.large}:
        if form not in facts.public:
            facts.add(form, kind, profile=profile)


def _spellings(text: str) -> set[str]:
    return squeezed(text) | (set() if text.isascii() else squeezed(text.translate(_UMLAUTS)))
