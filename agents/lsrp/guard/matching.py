"""Where a text holds what is private, however it is typed: whole or split, in other characters, with a slip in it."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from memagent.agents.lsrp.guard import rules
from memagent.agents.lsrp.guard.facts import PASSAGE, SHORTEST_WORD, PrivateFacts, drawn, number, passages
from memagent.agents.lsrp.guard.folding import Folded, Word, digit_runs, folded, lookalike, mixed, words
from memagent.agents.lsrp.guard.numerals import dates, same_day, spelled
from memagent.agents.lsrp.guard.readings import Reading, readings, with_signs
from memagent.agents.lsrp.ports import Finding

SUSPICIOUS = "suspicious"
"""The kind of a word whose letters come from several scripts: it cannot be read reliably."""

_SPLIT = 5
"""A private word that stands in pieces counts from this length on, unless its pieces are single characters."""
_INSIDE = 6
"""A private word counts across the borders of others, inside of them, from this length on."""
_PRESENTATION = "\ufe0e\ufe0f"
"""Variation selectors of text and of emoji: nobody sees them, and keyboards differ in them."""


class Place(NamedTuple):
    """A private piece: its place in the folded text, its kind, and who found it."""

    start: int
    end: int
    kind: str
    found_by: str


def private_places(text: str, facts: PrivateFacts) -> list[Finding]:
    """The private pieces of ``text`` by rules and by the user's facts, in order; they may overlap."""
    form = folded(text)
    parts = list(words(form))
    found = {*_by_rules(form), *_numerals(form, facts), *_looks(form, parts, facts), *_copied(parts, facts)}
    for reading in readings(form, parts, facts):
        found.update(_known(reading, facts))
    given = [Finding(start=m.start, end=m.end, kind=m.kind, found_by="rules") for m in rules.in_given(text)]
    spans = ((*form.span(place.start, place.end), place) for place in found)
    given += [Finding(start=start, end=end, kind=p.kind, found_by=p.found_by) for start, end, p in spans]
    given += _literally(text, facts)
    return sorted(given, key=lambda finding: (finding.start, -finding.end, finding.kind, finding.found_by))


def _by_rules(form: Folded) -> Iterator[Place]:
    for match in rules.in_folded(form.small):
        yield Place(match.start, match.end, match.kind, "rules")


def _numerals(form: Folded, facts: PrivateFacts) -> Iterator[Place]:
    if facts.days:
        private = frozenset(facts.days)
        for date in dates(form.small):
            if same_day(date.days, private):
                yield Place(date.start, date.end, "date", "date")
    if facts.numbers:
        for start, end, value in spelled(form.small):
            if str(value) in facts.numbers:
                yield Place(start, end, "number", "number")


def _copied(parts: Sequence[Word], facts: PrivateFacts) -> Iterator[Place]:
    """Runs of words that stand in a private text as well."""
    for first, passage in enumerate(passages(parts)):
        if passage in facts.passages:
            yield Place(parts[first].start, parts[first + PASSAGE - 1].end, "passage", "passage")


def _literally(text: str, facts: PrivateFacts) -> Iterator[Finding]:
    """Profile values of a single letter, alone and in their own case, and those without letters and digits."""
    plain = _plain(text)
    for value, kind in facts.exact.items():
        if value.isalpha():
            found = re.finditer(rf"(?<![^\W_]){value}(?![^\W_])", plain)
        elif len(shown := _plain(value)) == 1 and shown.isascii():  # a single plain sign is everywhere
            found = re.finditer(re.escape(value), text)
        else:
            found = re.finditer(_signs(shown), plain)
        for match in found:
            yield Finding(start=match.start(), end=match.end(), kind=kind, found_by="profile")


def _plain(text: str) -> str:
    """As it looks, character by character: letters and signs of other forms as the plain ones."""
    return text if text.isascii() else "".join(map(lookalike, text))


def _signs(value: str) -> str:
    """The pattern of a value of signs, with the characters that choose between an emoji and a letter, or without."""
    signs = [re.escape(sign) for sign in value if sign not in _PRESENTATION]
    some = f"[{_PRESENTATION}]*"
    return some.join(signs) + some if signs else re.escape(value)


def _known(reading: Reading, facts: PrivateFacts) -> Iterator[Place]:
    """Facts that stand in the text, in one piece or in several."""
    whole = "".join(reading.texts)
    starts = [0]
    for text in reading.texts:
        starts.append(starts[-1] + len(text))
    at = {offset: index for index, offset in enumerate(starts)}
    for offset, form, key in reading.forms.starting(whole, starts[:-1]):
        first, last = at[offset], at.get(offset + len(form))
        if last is not None and _stands(key, first, last, reading, facts):
            yield _place(reading, first, last, key, facts)
    for offset, form, key in reading.forms.anywhere(whole):
        if len(form) >= _INSIDE and key not in facts.public:
            first = bisect_left(starts, offset + 1) - 1
            last = bisect_left(starts, offset + len(form))
            if last - first > 1 or reading.parts[first].small not in facts.public:
                yield _place(reading, first, last, key, facts)


def _stands(key: str, first: int, last: int, reading: Reading, facts: PrivateFacts) -> bool:
    """Whether the words ``first`` to ``last`` are the fact, and not by chance the same letters."""
    if last - first == 1:
        # A public word is not taken for another that it looks like.
        return not reading.found_by or reading.parts[first].small not in facts.public
    if key in facts.phrases or all(len(text) == 1 for text in reading.texts[first:last]):
        return True
    if key.isdigit():
        pairs = zip(reading.parts[first : last - 1], reading.parts[first + 1 : last], strict=True)
        return all(after.start - before.end <= 1 for before, after in pairs)
    return len(key) >= _SPLIT


def _place(reading: Reading, first: int, last: int, key: str, facts: PrivateFacts) -> Place:
    one, two = reading.parts[first], reading.parts[last - 1]
    start, end = min(one.start, two.start), max(one.end, two.end)
    return Place(start, end, facts.kinds[key], reading.found_by or _source(key, facts))


def _looks(form: Folded, parts: Sequence[Word], facts: PrivateFacts) -> Iterator[Place]:
    """Words that hold a private number, and words of no list that hold or resemble a fact."""
    plain = form.given.isascii()
    for part in parts:
        for digits in digit_runs(form, part) if not plain or not part.small.isalpha() else ():
            kind = facts.numbers.get(number(digits))
            if kind is not None:
                yield Place(part.start, part.end, kind, "number")
        for text in (part.small,) if plain or part.small == part.large else (part.small, part.large):
            if len(text) >= SHORTEST_WORD and text not in facts.public:
                yield from _resembling(part, text, facts)
        if not plain and mixed(form.given[slice(*form.span(part.start, part.end))]):
            yield Place(part.start, part.end, SUSPICIOUS, "script")
    for part, text in with_signs(form):
        if text not in facts.public:
            yield from _resembling(part, text, facts)


def _resembling(part: Word, text: str, facts: PrivateFacts) -> Iterator[Place]:
    shape = drawn(text)
    for _, held, key in facts.shapes.anywhere(shape):
        if len(held) == len(shape) or key not in facts.public:
            yield Place(part.start, part.end, facts.kinds[key], "shape")
            return
    near = facts.near.get(text)
    if near is not None:
        yield Place(part.start, part.end, facts.kinds[near], "fuzzy")


def _source(key: str, facts: PrivateFacts) -> str:
    return "profile" if key in facts.by_profile else "memory"
