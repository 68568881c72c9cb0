"""Numbers and dates in a folded text, however they are written: 1,250, thirty-one, 1987-03-14, 14th of March 1987."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

Day: TypeAlias = "tuple[int, int, int]"
"""Year (0: not said), month and day."""

SPELLED_FROM = 13
"""Smaller numbers are not looked for in words: "two" and "ten" stand in every other text."""

_SMALL = {
    word: value
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
        ]
    )
}
_TENS = dict(
    zip(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], range(20, 100, 10), strict=True)
)
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_NUMBER_WORDS = "|".join(sorted([*_SMALL, *_TENS, *_SCALES], key=len, reverse=True))
_SPELLED = re.compile(rf"\b(?:{_NUMBER_WORDS})(?:(?:[\s-]*|\s+and\s+)(?:{_NUMBER_WORDS})){{0,19}}\b")
_DIGIT = re.compile("[0-9]")
_UNITS = "|".join(word for word, value in _SMALL.items() if value < 10)
_DIGIT_BY_DIGIT = re.compile(rf"\b(?:{_UNITS})(?:[\s,.-]+(?:{_UNITS})){{2,19}}\b")
_NUMBER_WORD = re.compile(_NUMBER_WORDS)

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = r"(?P<month>" + "|".join(f"{m[:3]}(?:{m[3:]})?" if len(m) > 3 else m for m in _MONTHS) + r"|sept)\b\.?"
_DAY = r"(?P<day>0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?\b"
_YEAR = r"(?P<year>\d{4})\b"
_DATES = (
    re.compile(rf"\b{_DAY}(?:\s+of)?[\s-]+{_MONTH}(?:[\s,-]+{_YEAR})?"),
    re.compile(rf"\b{_MONTH}\s+(?:the\s+)?{_DAY}(?:[\s,]+{_YEAR})?"),
    re.compile(r"\b(?P<year>\d{4})\s?[-/.]\s?(?P<first>\d{1,2})\s?[-/.]\s?(?P<second>\d{1,2})\b"),
    re.compile(r"\b(?P<first>\d{1,2})\s?[-/.]\s?(?P<second>\d{1,2})\s?[-/.]\s?(?P<year>\d{4}|\d{2})\b"),
)


class Dated(NamedTuple):
    """A date's place in a folded text and the days that it may be (day and month may be either way round)."""

    start: int
    end: int
    days: frozenset[Day]


def dates(text: str) -> Iterator[Dated]:
    """The dates of a folded text, in English or in numbers."""
    if not _DIGIT.search(text):
        return
    for pattern in _DATES:
        for match in pattern.finditer(text):
            days = frozenset(_days(match.groupdict()))
            if days:
                yield Dated(*match.span(), days)


def same_day(said: frozenset[Day], private: frozenset[Day]) -> bool:
    """Whether a date that was said is a private one; without a year on either side month and day decide."""
    if any(day in private or (0, *day[1:]) in private for day in said):
        return True
    partial = {day[1:] for day in said if not day[0]}
    return bool(partial) and any(day[1:] in partial for day in private)


def spelled(text: str) -> Iterator[tuple[int, int, int]]:
    """Start, end and value of the numbers in words, from :data:`SPELLED_FROM` on, also if spelled digit by digit."""
    for match in _SPELLED.finditer(text):
        value = _value(_NUMBER_WORD.findall(match[0]))
        if value >= SPELLED_FROM:
            yield (*match.span(), value)
    for match in _DIGIT_BY_DIGIT.finditer(text):
        digits = "".join(str(_SMALL[word]) for word in _NUMBER_WORD.findall(match[0]))
        yield (*match.span(), int(digits))


def _days(found: dict[str, str | None]) -> Iterator[Day]:
    year = int(found.get("year") or 0)
    century = [year] if year >= 100 or not year else [1900 + year, 2000 + year]
    month_name = found.get("month")
    if month_name:
        month = next(index for index, name in enumerate(_MONTHS, 1) if name.startswith(month_name[:3]))
        pairs = {(month, int(found["day"] or 0))}
    else:
        first, second = int(found["first"] or 0), int(found["second"] or 0)
        pairs = {(first, second), (second, first)}
    for month, day in pairs:
        if 1 <= month <= 12 and 1 <= day <= 31:
            for each in century:
                yield (each, month, day)


def _value(words: list[str]) -> int:
    """The value of number words; years in two halves (nineteen eighty-seven) are read as such."""
    total = group = 0
    for word in words:
        if word in _SCALES:
            scale = _SCALES[word]
            if scale == 100:
                group = max(group, 1) * 100
            else:
                total, group = total + max(group, 1) * scale, 0
        elif word in _SMALL or word in _TENS:
            add = _SMALL.get(word, _TENS.get(word, 0))
            # A second number below a hundred after a full one: nineteen | eighty-seven, twenty | twenty-five.
            joined = 0 < group < 100 and (group % 10 or add >= 10)
            group = group * 100 + add if joined else group + add
    return total + group
