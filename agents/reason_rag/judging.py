"""Reads the judge's score."""

from __future__ import annotations

import math
import re

_NUMBER = r"[-+]?\d+(?:[.,]\d+)?"
_SCORED = re.compile(
    rf"\b(?:score|rating|grade)\b(?:[\s*_:=–—>]|-(?!\d))*(?:is|of)?[\s*_:=(\[{{<]*({_NUMBER})"
    rf"[ \t*_>)\]}}]*(?:%|\(?[ \t]*(?:/|out of|of)[ \t]*({_NUMBER}))?",
    re.IGNORECASE,
)
_FRACTION = re.compile(rf"(?<![\w.])({_NUMBER})\s*(?:/|\bout\s+of\b)\s*({_NUMBER})", re.IGNORECASE)
_ANY = re.compile(rf"(?<![\w.,])({_NUMBER})(?!\w|[.,]\d)")
_UNIT = re.compile(r"[01][.,]\d+")


def read_score(text: str) -> float | None:
    """The judge's score as a value in [0, 1]; None if the reply holds none.

    The last "Score: n" counts, and is clamped to its scale. Without one the last line's last "n/m" or "n out of m"
    counts, else its last number; where that lies beyond the scale it is a year or the like, and no score. A score
    without a scale is one out of 100, "0.85" one out of 1. "15/100" is 0.15 and "87.5" is 0.875, where the released
    code takes the last integer of the whole reply (1.0 and 0.05).
    """
    if scored := _last(_SCORED, text):
        return _value(scored[1], scored[2], clamped=True)
    line = (text.strip().splitlines() or [""])[-1]
    if fraction := _last(_FRACTION, line):
        return _value(fraction[1], fraction[2], clamped=False)
    plain = _last(_ANY, line)
    return _value(plain[1], None, clamped=False) if plain else None


def _value(score: str, scale: str | None, *, clamped: bool) -> float | None:
    value = _number(score)
    most = _number(scale) if scale else 1.0 if _UNIT.fullmatch(score) and value <= 1 else 100.0
    if not most > 0 or math.isinf(most) or math.isinf(value):
        return None
    if not clamped and not 0 <= value <= most:
        return None
    return min(1.0, max(0.0, value / most))


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return max(pattern.finditer(text), key=lambda match: match.start(), default=None)
