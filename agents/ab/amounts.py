"""Figures of metrics as people read them: shares in per cent, their differences in points."""

from __future__ import annotations

import math

from memagent.agents.ab.metrics import METRICS


def amount(metric: str, value: float) -> str:
    """A mean: ``30.7 %`` of a share, else three decimals; a dash for what is not defined."""
    if not math.isfinite(value):
        return "-"
    return f"{100 * value:.1f} %" if METRICS[metric].share else f"{value:.3f}"


def amount_in(metric: str, mean: float, low: float, high: float) -> str:
    """A mean and the ends of its interval."""
    if METRICS[metric].share:
        return f"{100 * mean:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def change(metric: str, value: float, *, unit: bool = True) -> str:
    """A difference of means, with its sign: in percentage points of a share; a dash for what is not defined."""
    if not math.isfinite(value):
        return "-"
    if METRICS[metric].share:
        return f"{100 * value:+.2f}{' points' if unit else ''}"
    return f"{value:+.4f}"


def p_value(value: float) -> str:
    """Three decimals, or that it is smaller."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
