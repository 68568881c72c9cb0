"""Dates that a question names, and how near to them things were said.

Understood: days (``May 3, 2023``, ``3rd of May``, ``3. Mai``, ``3 de mayo de 2023``, ``2023-05-03``, ``03.05.2023``,
``2023年5月3日``), months with or without a year, and years. Month names of twelve languages, with or without accents,
and their abbreviations where a number stands beside them. What depends on today (*last week*) is not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.retrievers.ranking import Scores

_DAY = 86_400_000_000  # microseconds
_EPOCH = date(1970, 1, 1)
_YEARS = range(1900, 2101)

_MONTHS = """
january february march april may june july august september october november december
enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
janvier fevrier mars avril mai juin juillet aout septembre octobre novembre decembre
januar februar marz april mai juni juli august september oktober november dezember
gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre
janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro
januari februari maart april mei juni juli augustus september oktober november december
januari februari mars april maj juni juli augusti september oktober november december
januar februar marts april maj juni juli august september oktober november december
januar februar mars april mai juni juli august september oktober november desember
stycznia lutego marca kwietnia maja czerwca lipca sierpnia wrzesnia pazdziernika listopada grudnia
styczen luty marzec kwiecien maj czerwiec lipiec sierpien wrzesien pazdziernik listopad grudzien
января февраля марта апреля мая июня июля августа сентября октября ноября декабря
январь февраль март апрель май июнь июль август сентябрь октябрь ноябрь декабрь
январе феврале марте апреле мае июне июле августе сентябре октябре ноябре декабре
"""
_SHORT = "jan feb mar apr may jun jul aug sep oct nov dec"
_OTHER_WORDS = frozenset({"may", "march", "mars", "august", "mai", "maja", "marca", "marco", "luty"})
"""Month names that are ordinary words or names too: a number or one of the following words must stand beside them."""
_SMALL_WORDS = """
in of since during early late mid last next this until till by before after from
en de du des depuis im seit bis vom em desde nel dal di del sinds tot i sedan siden fra w od do в с до
"""
_BEFORE_A_MONTH = frozenset(_SMALL_WORDS.split())
_INSIDE_A_DATE = "st nd rd th of the de del du der den e er"
_BETWEEN = frozenset(_INSIDE_A_DATE.split())

_TOKEN = re.compile(r"\d+|[^\W\d_]+|[,;:?!]")
_ISO = re.compile(r"(?<!\d)(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)")
_NUMBERS = re.compile(r"(?<!\d)(\d{1,2})([./])(\d{1,2})\2(\d{4})(?!\d)")
_IDEOGRAPHS = re.compile(r"(?:(\d{4})年)?(\d{1,2})月(?:(\d{1,2})日)?|(\d{4})年")


class NamedDate(NamedTuple):
    """A year, a month, or a day; what was not named is None (a month or day without a year recurs)."""

    year: int | None
    month: int | None = None
    day: int | None = None

    def spans(self, years: range) -> Iterator[tuple[int, int]]:
        """Its first day and the day after its last, counted from 1970, in each of ``years`` it may mean."""
        for year in years if self.year is None else (self.year,):
            try:
                begin = date(year, self.month or 1, self.day or 1)
                end = self._next(begin)
            except (ValueError, OverflowError):  # 29 February of another year, a year that no calendar has
                continue
            yield (begin - _EPOCH).days, (end - _EPOCH).days

    def _next(self, begin: date) -> date:
        if self.day is not None:
            return date.fromordinal(begin.toordinal() + 1)
        if self.month is not None:
            return date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
        return date(begin.year + 1, 1, 1)


def named_dates(text: str) -> list[NamedDate]:
    """The dates that a text names, each once, in the order of their kinds (numeric ones first)."""
    found, rest = _numeric(text)
    tokens = [(token, _plain(token)) for token in _TOKEN.findall(rest)]
    used: set[int] = set()
    for place, (token, plain) in enumerate(tokens):
        month = _MONTH_OF.get(plain) or _SHORT_OF.get(plain)
        if month is not None and (named := _around(tokens, place, month, token)) is not None:
            found.append(named[0])
            used |= named[1]
    found += [
        NamedDate(int(token))
        for place, (token, _) in enumerate(tokens)
        if place not in used and len(token) == 4 and token.isdecimal() and int(token) in _YEARS
    ]
    return list(dict.fromkeys(found))


def nearness(dates: Sequence[NamedDate], event_at: NDArray[np.int64], *, after: float, before: float) -> Scores:
    """How near each moment (n,), microseconds since 1970, is to the nearest of ``dates``, (n,): 1 inside it, towards 0.

    It falls to 1/e within ``after`` days after a date (things are told when they are over) and ``before`` days before.
    """
    near = np.zeros(len(event_at))
    if not len(event_at):
        return near
    days = event_at / _DAY
    first, last = (int(1970 + end // 365.2425) for end in (days.min(), days.max()))
    for named in dates:
        for begin, end in named.spans(range(first - 1, last + 2)):
            late, early = np.maximum(days - end, 0.0), np.maximum(begin - days, 0.0)
            near = np.maximum(near, np.exp(-late / after - early / before))
    return near


def _numeric(text: str) -> tuple[list[NamedDate], str]:
    """The dates written in digits, and the text without them."""
    found: list[NamedDate] = []
    for match in _ISO.finditer(text):
        found += _valid(int(match[1]), int(match[2]), int(match[3]))
    text = _ISO.sub(" ", text)
    for match in _NUMBERS.finditer(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        found += _valid(year, second, first)
        if match[2] == "/":  # written the other way round in some countries: either may be meant
            found += _valid(year, first, second)
    text = _NUMBERS.sub(" ", text)
    for match in _IDEOGRAPHS.finditer(text):
        parts = [int(part) if part else None for part in (match[1] or match[4], match[2], match[3])]
        said = NamedDate(*parts)
        # 2000 is a leap year: it has every day that a date without a year can mean.
        if _valid(*(least if part is None else part for part, least in zip(parts, (2000, 1, 1), strict=True))):
            found.append(said)
    return found, _IDEOGRAPHS.sub(" ", text)


def _valid(year: int, month: int, day: int) -> list[NamedDate]:
    try:
        date(year, month, day)
    except ValueError:
        return []
    return [NamedDate(year, month, day)]


def _around(tokens: Sequence[tuple[str, str]], place: int, month: int, token: str) -> tuple[NamedDate, set[int]] | None:
    """The date around a month's name and the places of its numbers; None if the name seems to be another word."""
    behind, ahead = _skip(tokens, place, -1), _skip(tokens, place, 1)
    day = _day(tokens, behind)
    used = set() if day is None else {behind}
    stands_as_month = place > 0 and tokens[place - 1][1] in _BEFORE_A_MONTH and token != "may"
    plain = tokens[place][1]
    if day is None and (token[0].isupper() or plain not in _OTHER_WORDS or stands_as_month):
        day = _day(tokens, ahead)
        if day is not None:
            used.add(ahead)
            ahead = _skip(tokens, ahead, 1)
    if ahead < len(tokens) and tokens[ahead][0] == ",":
        ahead += 1
    year = _number(tokens, ahead)
    if year in _YEARS:
        used.add(ahead)
    else:
        year = None
    if not used and (plain not in _MONTH_OF or (plain in _OTHER_WORDS and not stands_as_month)):
        return None
    return NamedDate(year, month, day), used


def _skip(tokens: Sequence[tuple[str, str]], place: int, step: int) -> int:
    """The place of the next token in a direction that is no ordinal ending or small word."""
    place += step
    while 0 <= place < len(tokens) and tokens[place][1] in _BETWEEN:
        place += step
    return place


def _day(tokens: Sequence[tuple[str, str]], place: int) -> int | None:
    """The number in a place if it can be a day; hours (10:30) are none."""
    number = _number(tokens, place)
    is_time = any(0 <= near < len(tokens) and tokens[near][0] == ":" for near in (place - 1, place + 1))
    return number if number is not None and 1 <= number <= 31 and not is_time else None


def _number(tokens: Sequence[tuple[str, str]], place: int) -> int | None:
    if 0 <= place < len(tokens) and tokens[place][0].isdecimal() and len(tokens[place][0]) <= 4:
        return int(tokens[place][0])
    return None


def _plain(token: str) -> str:
    """In lower case, without accents; the Russian short i keeps its own."""
    folded = token.casefold()
    if folded.isascii() or "й" in folded:
        return folded
    return "".join(c for c in unicodedata.normalize("NFD", folded) if not unicodedata.combining(c))


_MONTH_OF = {name: month for line in _MONTHS.split("\n") for month, name in enumerate(line.split(), start=1)}
_SHORT_OF = {name: month for month, name in enumerate(_SHORT.split(), start=1)} | {"sept": 9}
