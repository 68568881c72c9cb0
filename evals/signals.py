"""What retrievers say they decided by: for one question, and over many.

A retriever may put a flat dict of numbers and texts under ``signals`` of its trace: RF-Mem the path it took, the
mean score and the entropy of its probe. Evaluation writes them beside each question and sums them up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Signals = dict[str, float | str]


def signals_of(trace: Mapping[str, Any]) -> Signals:
    """The signals of one search; what is neither a text nor a finite number is left out."""
    found: Signals = {}
    for name, value in (trace.get("signals") or {}).items():
        if isinstance(value, bool):
            found[name] = str(value).lower()
        elif isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value)):
            found[name] = value
    return found


def summed_up(signals: Iterable[Signals]) -> dict[str, dict[str, Any]]:
    """For each signal how often each text occurs, or the 5th percentile, median and 95th percentile of the numbers."""
    values: dict[str, list[float | str]] = {}
    for one in signals:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    return {name: _summary(found) for name, found in values.items()}


def _summary(values: list[float | str]) -> dict[str, Any]:
    numbers = [value for value in values if not isinstance(value, str)]
    if len(numbers) < len(values):
        return {"counts": dict(Counter(map(str, values)).most_common())}
    low, middle, high = (round(float(value), 6) for value in np.percentile(numbers, [5, 50, 95]))
    return {"p5": low, "median": middle, "p95": high}
