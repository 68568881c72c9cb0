"""What one test of the simulation found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A title and rows of cells, the head first."""

    title: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One angle: what should come out if simulated users are any good, what came out, and whether that is the same.

    ``holds`` None: what was measured cannot tell. ``figures`` are the tables' numbers, for programs.
    """

    angle: str
    expected: str
    came: str
    holds: bool | None
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


def unmeasured(angle: str, expected: str, why: str) -> Finding:
    """What an angle says that these users, or this data, do not allow."""
    return Finding(angle=angle, expected=expected, came=f"Not measured: {why}.", holds=None)


def p_text(p: float) -> str:
    """A p-value as reports show it."""
    return "-" if not math.isfinite(p) else f"{p:.4f}" if p >= 0.001 else "< 0.001"


def with_interval(mean: float, low: float, high: float, *, digits: int = 3, sign: bool = False) -> str:
    """``0.123 [0.100, 0.150]``; a dash for what is not defined."""
    if not math.isfinite(mean):
        return "-"
    plus = "+" if sign else ""
    shown = f"{mean:{plus}.{digits}f}"
    return f"{shown} [{low:{plus}.{digits}f}, {high:{plus}.{digits}f}]" if math.isfinite(low) else shown


def yes_no(holds: bool | None) -> str:
    """``yes``, ``no``, or ``open``."""
    return "open" if holds is None else "yes" if holds else "no"
