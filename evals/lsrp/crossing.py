"""Which private facts a text holds: the checker of what crossed the wire.

It is written apart from the guard (:mod:`memagent.agents.lsrp.guard`) and shares no code with it, so that a fault of
one is not a fault of the other; both read the same public word list. A text is looked at as it is, and folded: NFKC,
without marks and invisible characters, case folded, lookalikes of Latin letters replaced, spelled-out letters joined.

A private fact is any value of the profile (one of a single letter: in its own case), and any word of at least four
characters and any number in the profile's values or the user's texts that is not a public word.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Literal

from memagent.agents.lsrp.ports import PrivateTask
from memagent.lexical.stopwords import STOP_WORDS

_TOKEN = re.compile(r"[^\W_]+")
_SPELLED_OUT = re.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,3}[^\W_](?![^\W_])){2,}")
_CYRILLIC = str.maketrans("авекмнорстухіјѕԁһԛԝгѵҽ", "abekmhopctyxijsdhqwrve")
_CYRILLIC_CAPITALS = str.maketrans("АВЕКМНОРСТУХІЈЅҮ", "ABEKMHOPCTYXIJSY")
_GREEK = str.maketrans("αβγεικνορτυχωϲϳ", "abyeikvoptuxwcj")
_GREEK_CAPITALS = str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX")
_OTHERS = str.maketrans("օսոհցզեɑɡıɩⲟꓮꓚꓳ", "ounhgqeagiioACO")
_LOOKALIKES = _CYRILLIC | _CYRILLIC_CAPITALS | _GREEK | _GREEK_CAPITALS | _OTHERS


@dataclass(frozen=True, slots=True)
class Fact:
    """One private fact: a whole value, a word or a number, and the field of the profile or ``history``."""

    kind: Literal["value", "word", "number"]
    text: str
    source: str


def private_facts(task: PrivateTask) -> list[Fact]:
    """All private facts of a task's user, each once."""
    facts = [Fact("value", value, name) for name, value in task.profile.items() if _TOKEN.search(value)]
    for name, value in task.profile.items():
        facts += _tokens(value, name)
    for written in task.history:
        facts += _tokens(f"{written.title}\n{written.text}", "history")
    found: dict[tuple[str, str], Fact] = {}
    for fact in facts:
        found.setdefault((fact.kind, fact.text), fact)
    return list(found.values())


def crossed(facts: Iterable[Fact], wire: str) -> list[Fact]:
    """Those of ``facts`` that can be read from ``wire``, a text that left the device."""
    views = [wire, *_views(wire)]
    words = [set(_TOKEN.findall(view)) for view in views]
    letters = words[0] | set(_TOKEN.findall(unicodedata.normalize("NFKC", wire)))
    return [fact for fact in facts if _letter(fact) in letters or any(map(_holder(fact), views, words))]


def sent_texts(body: str) -> list[str]:
    """All strings in a message's JSON body, field names left out; a body that is no JSON is its own text."""
    try:
        return list(_strings(json.loads(body)))
    except json.JSONDecodeError:
        return [body]


def folded(text: str) -> str:
    """NFKC, lookalikes replaced, marks and invisible characters off, case folded, digits in ASCII."""
    if text.isascii():
        return text.casefold()
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).translate(_LOOKALIKES))
    seen = (c for c in plain if not unicodedata.combining(c) and unicodedata.category(c) != "Cf")
    digits = "".join(str(unicodedata.decimal(c, None) if c.isdecimal() else c) for c in seen)
    return digits.casefold().translate(_LOOKALIKES)


class _Holder:
    """Tests whether a text (with its words) holds one fact."""

    def __init__(self, fact: Fact) -> None:
        self._forms = {fact.text.casefold(), folded(fact.text)}
        self._words = [] if _letter(fact) else [tuple(_TOKEN.findall(form)) for form in self._forms]

    def __call__(self, view: str, words: set[str]) -> bool:
        return any(self._held(parts, view, words) for parts in self._words)

    @staticmethod
    def _held(parts: tuple[str, ...], view: str, words: set[str]) -> bool:
        if not parts or not words.issuperset(parts):
            return False
        if len(parts) == 1:
            return True
        pattern = r"[\W_]+".join(map(re.escape, parts))
        return re.search(rf"(?<![^\W_]){pattern}(?![^\W_])", view) is not None


def _letter(fact: Fact) -> str | None:
    """The letter that a value consists of: it counts in its own case alone."""
    text = fact.text.strip()
    return text if fact.kind == "value" and len(text) == 1 and text.isascii() and text.isalpha() else None


@lru_cache(maxsize=4096)
def _holder(fact: Fact) -> _Holder:
    return _Holder(fact)


def _views(text: str) -> list[str]:
    """``text`` case folded; folded; and folded with letters that stand one by one joined to words."""
    plain = folded(text)
    joined = _SPELLED_OUT.sub(lambda match: "".join(_TOKEN.findall(match[0])), plain)
    return [text.casefold(), plain, joined]


@lru_cache(maxsize=512)
def _tokens(text: str, source: str) -> tuple[Fact, ...]:
    return tuple(_each_token(text, source))


def _each_token(text: str, source: str) -> Iterator[Fact]:
    for token in _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold()):
        for digits in re.findall(r"\d+", token):
            yield Fact("number", digits, source)
        if len(token) >= 4 and not token.isdigit() and folded(token) not in _public():
            yield Fact("word", token, source)


@cache
def _public() -> frozenset[str]:
    listed = (files("memagent") / "data" / "guard" / "public_words.txt").read_text(encoding="utf-8").split()
    return frozenset(listed).union(folded(word) for words in STOP_WORDS.values() for word in words)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
