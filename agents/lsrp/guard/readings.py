"""The ways in which a text's words may be read: as they stand, with slips put right, by their shapes, backwards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from memagent.agents.lsrp.guard.facts import PrivateFacts, drawn
from memagent.agents.lsrp.guard.folding import Folded, Word, words
from memagent.agents.lsrp.guard.lookup import Forms

_MONEY = dict(zip("₳฿₿₵₡¢₫€₣₲₴₭₤£₥₦₱₽₮₩¥", "abbcccdefghkllmnpptwy", strict=True))
_MIXED = re.compile(rf"[a-z][0-9@$!|+]|[0-9@$|+!][a-z]|[{''.join(_MONEY)}]")
_SIGNS = str.maketrans({"@": "a", "$": "s", "|": "l", "!": "i", "+": "t", **_MONEY})
_BREAK = re.compile(r"-[ \t]*\r?\n[ \t]*")
_OVERRIDES = re.compile("[\u202d\u202e\u2066\u2067]")


class Reading(NamedTuple):
    """Words in the order of reading, each with its place and its text, and the forms to look for in them."""

    parts: Sequence[Word]
    texts: Sequence[str]
    forms: Forms
    found_by: str = ""


def readings(form: Folded, parts: Sequence[Word], facts: PrivateFacts) -> Iterator[Reading]:
    """All readings of a text; ``parts`` are its words."""
    small = [part.small for part in parts]
    yield Reading(parts, small, facts.forms)
    if form.large is not form.small and form.large != form.small:
        yield Reading(parts, [part.large for part in parts], facts.forms)
    put_right = [_put_right(text, facts) for text in small]
    if put_right != small:
        yield Reading(parts, put_right, facts.forms, "fuzzy")
    if _MIXED.search(form.small):
        yield shapes(form, facts)
    if _BREAK.search(form.small):
        whole = list(_across_lines(form, parts))
        yield Reading(whole, [part.small for part in whole], facts.forms)
    if _OVERRIDES.search(form.given):
        turned = [text[::-1] for text in small]
        yield Reading(parts, turned, facts.forms, "reversed")
        yield Reading(parts[::-1], turned[::-1], facts.forms, "reversed")


def _across_lines(form: Folded, parts: Sequence[Word]) -> Iterator[Word]:
    """The words, those that a hyphen carries over to the next line as one."""
    last: Word | None = None
    for part in parts:
        if last and _BREAK.fullmatch(form.small, last.end, part.start):
            last = Word(last.start, part.end, last.small + part.small, last.large + part.large)
            continue
        if last:
            yield last
        last = part
    if last:
        yield last


def shapes(form: Folded, facts: PrivateFacts) -> Reading:
    """Words by what their signs and digits look like: k@te and d4n are Kate and Dan."""
    pairs = list(_sign_words(form))
    return Reading([part for part, _ in pairs], [drawn(text) for _, text in pairs], facts.shapes, "shape")


def with_signs(form: Folded) -> Iterator[tuple[Word, str]]:
    """The words that hold a sign, as they stand, and with letters in place of the signs."""
    if _MIXED.search(form.small):
        yield from ((part, text) for part, text in _sign_words(form) if part.small != text)


def _sign_words(form: Folded) -> Iterator[tuple[Word, str]]:
    letters = form.small.translate(_SIGNS)
    for word in words(Folded(given=form.given, small=letters, large=letters, origin=form.origin)):
        given = form.small[word.start : word.end]
        yield Word(word.start, word.end, given, given), word.small


def _put_right(text: str, facts: PrivateFacts) -> str:
    """A word of no list as the word of the profile that it is a slip of, if it is one."""
    if len(text) < facts.vocabulary.shortest - 1 or text in facts.public or text in facts.forms:
        return text
    return facts.vocabulary.get(text) or text
