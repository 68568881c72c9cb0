"""JSON as language models write it.

What is valid JSON is read as JSON; of the rest, what has one plausible reading is read so, and each departure is named:
``repeated keys`` (the last wins, as in Python's own parser), ``trailing comma``, ``missing comma``, ``comment``,
``quotes`` (single or typographic ones), ``unquoted`` (keys, words, Python's True, False, None), ``raw characters``
(line breaks and tabs in a string), ``escapes``, ``inner quotes``, ``unclosed`` (brackets missing at the end).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEEPEST = 48
"""Brackets within brackets; no answer needs more, and each costs the parser a call."""

_SPACE = re.compile(r"[\s\ufeff\u200b\u2060]*")
_COMMENT = re.compile(r"//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_WORD = re.compile(r"[^\s,:{}\[\]\"']+")
_PHRASE = re.compile(r"(?:(?!(?<!:)//|/\*|\s#)[^,{}\[\]\"\n])+")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_DIGITS = 400  # of a whole number; more is no number that anyone asked for
_CLOSING = {'"': '"', "'": "'", "\u201c": "\u201d\u201c", "\u201e": "\u201c\u201d", "\u2018": "\u2019", "`": "`"}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_HEX = re.compile(r"[0-9a-fA-F]{4}")
# What may follow the end of a string: in an object also a comma and another key, in an array a comma and anything.
_AFTER_KEY = re.compile(r"\s*[:=]")
_AFTER_VALUE = re.compile(
    r"\s*(?:\Z|[}\]]|//|/\*|#|,\s*(?:[}\"'\u201c]|//|#|/\*|\Z|[\w-]+[\"'\u201d]?\s*:)|\n\s*[\"'\u201c])"
)
_AFTER_ITEM = re.compile(r"\s*(?:\Z|[}\],]|//|/\*|#|\n\s*[\"'\u201c{\[])")


class NotJson(ValueError):
    """There is no readable value here. ``cut_off``: there is the beginning of one, and the text ends in it."""

    def __init__(self, problem: str, *, cut_off: bool = False) -> None:
        super().__init__(problem)
        self.cut_off = cut_off


def read_value(text: str, start: int = 0) -> tuple[Any, int, frozenset[str]]:
    """The value that begins at ``start``, where it ends, and what was wrong with it. Raises :class:`NotJson`."""
    repeated: list[str] = []

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(found)
        repeated.extend(["repeated keys"] if len(made) < len(found) else [])
        return made

    decoder = json.JSONDecoder(object_pairs_hook=pairs, parse_constant=_refuse, parse_float=_finite)
    try:
        value, end = decoder.raw_decode(text, start)
    except RecursionError:
        raise NotJson("it is nested too deeply") from None
    except ValueError:
        reader = _Reader(text, start)
        value = reader.value(0, _AFTER_VALUE)
        return value, reader.at, frozenset(reader.repairs)
    return value, end, frozenset(repeated)


def _refuse(name: str) -> Any:
    raise NotJson(f"{name} is not a JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotJson(f"{digits[:20]} is too large for a number")
    return value


class _Reader:
    """A position in a text, and what had to be overlooked on the way there."""

    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at
        self.repairs: set[str] = set()

    def value(self, depth: int, after: re.Pattern[str]) -> Any:
        """The value at the position; ``after`` is what may follow it if it is a string."""
        if depth > DEEPEST:
            raise NotJson("it is nested too deeply")
        self._skip()
        mark = self._here()
        if mark == "{":
            return self._object(depth)
        if mark == "[":
            return self._array(depth)
        if mark in _CLOSING and mark:
            return self._string(after)
        return self._bare()

    def _here(self) -> str:
        return self.text[self.at : self.at + 1]

    def _skip(self) -> None:
        while True:
            space = _SPACE.match(self.text, self.at)
            self.at = space.end() if space else self.at
            comment = _COMMENT.match(self.text, self.at)
            if comment is None:
                return
            self.repairs.add("comment")
            self.at = comment.end()

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        found: dict[str, Any] = {}
        while not self._closed("}", first=not found):
            key = self._key()
            self._skip()
            if self._here() not in (":", "="):
                raise NotJson(f"there is no colon after the key {key[:40]!r}", cut_off=not self._here())
            self.at += 1
            if key in found:
                self.repairs.add("repeated keys")
            found[key] = self.value(depth + 1, _AFTER_VALUE)
        return found

    def _array(self, depth: int) -> list[Any]:
        self.at += 1
        found: list[Any] = []
        while not self._closed("]", first=not found):
            found.append(self.value(depth + 1, _AFTER_ITEM))
        return found

    def _closed(self, bracket: str, *, first: bool) -> bool:
        """Go past what stands between two entries, or past the end; whether it was the end."""
        self._skip()
        commas = 0
        while self._here() == ",":
            commas += 1
            self.at += 1
            self._skip()
        mark = self._here()
        if mark == bracket:
            self.at += 1
        elif mark and mark in "}]":  # the other bracket: this one was forgotten
            self.repairs.add("unclosed")
        elif not mark:
            if first or commas:
                raise NotJson("it ends in the middle", cut_off=True)
            self.repairs.add("unclosed")
        elif not first and not commas:
            self.repairs.add("missing comma")
        closed = not mark or mark in "}]"
        if commas > (0 if first or closed else 1):
            self.repairs.add("trailing comma")
        return closed

    def _key(self) -> str:
        if self._here() in _CLOSING:
            return self._string(_AFTER_KEY)
        word = _WORD.match(self.text, self.at)
        if word is None:
            raise NotJson(f"{self._here()!r} stands where a key should be")
        self.repairs.add("unquoted")
        self.at = word.end()
        return word.group()

    def _string(self, after: re.Pattern[str]) -> str:
        opening = self._here()
        if opening != '"':
            self.repairs.add("quotes")
        closing = _CLOSING[opening]
        parts: list[str] = []
        self.at += 1
        while mark := self._here():
            self.at += 1
            if mark == "\\":
                parts.append(self._escape())
            elif mark in closing and after.match(self.text, self.at):
                return "".join(parts)
            else:
                self._note(mark, closing)
                parts.append(mark)
        raise NotJson("it ends in the middle of a text", cut_off=True)

    def _note(self, mark: str, closing: str) -> None:
        if mark in closing:
            self.repairs.add("inner quotes")
        elif mark < " ":
            self.repairs.add("raw characters")

    def _escape(self) -> str:
        mark = self._here()
        self.at += 1
        if mark == "u" and _HEX.match(self.text, self.at):
            code = self.text[self.at : self.at + 4]
            self.at += 4
            return chr(int(code, 16))
        if mark not in _ESCAPES:
            self.repairs.add("escapes")
        # A model writes \' and \_ for the mark itself, and \d in a pattern for both.
        return _ESCAPES.get(mark, mark if not mark.isalnum() else f"\\{mark}")

    def _bare(self) -> Any:
        """A number, a constant, or words without quotes."""
        found = _PHRASE.match(self.text, self.at)
        words = found.group().strip() if found else ""
        if not words:
            raise NotJson("a value is missing", cut_off=not self._here())
        self.at += len(found.group()) if found else 0
        if words in _CONSTANTS:
            if not words[0].islower():
                self.repairs.add("unquoted")
            return _CONSTANTS[words]
        if _NUMBER.match(words) and len(words) < _DIGITS:
            return int(words) if words.lstrip("+-").isdigit() else _finite(words)
        if words.lower().lstrip("+-") in {"nan", "inf", "infinity", "undefined"}:
            raise NotJson(f"{words} is not a JSON value")
        self.repairs.add("unquoted")
        return words
