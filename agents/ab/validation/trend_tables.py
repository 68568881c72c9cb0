"""Trends as tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.validation.findings import Table, p_text, with_interval, yes_no
from memagent.agents.ab.validation.setting import METRICS
from memagent.agents.ab.validation.trends import Trend, trend

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def trends(values: NDArray[np.float64], conditions: Sequence[str], *, seed: int) -> list[Trend]:
    """The trend of each of :data:`METRICS` in ``values`` (users, conditions, metrics)."""
    return [
        trend(values[:, :, place], metric=metric, conditions=conditions, seed=seed)
        for place, metric in enumerate(METRICS)
    ]


def trend_table(title: str, found: Iterable[Trend]) -> Table:
    """A row for each metric: means, slope, Page's test, steps."""
    rows: list[list[str]] = []
    for one in found:
        if not rows:
            rows.append(["metric", *one.conditions, "rise a step", "Page's p", "monotone", "steps' p (Holm)", "users"])
        steps = ", ".join(p_text(step.p_holm) for step in one.steps)
        rows.append([
            one.metric, *(f"{mean:.3f}" for mean in one.means), with_interval(*one.slope, digits=4, sign=True),
            p_text(one.p), yes_no(one.monotone), steps, str(one.users),
        ])  # fmt: skip
    return Table(title=title, rows=rows)


def trend_figures(found: Iterable[Trend]) -> dict[str, Any]:
    """The same for programs."""
    return {
        one.metric: {
            "means": dict(zip(one.conditions, one.means, strict=True)),
            "slope": one.slope._asdict(),
            "page_p": one.p,
            "monotone": one.monotone,
            "steps": [
                {"difference": step.difference, "low": step.low, "high": step.high, "p_holm": step.p_holm}
                for step in one.steps
            ],
            "users": one.users,
        }
        for one in found
    }


def said_of(found: Sequence[Trend]) -> str:
    """Which metrics rise, and which steps are not sure by themselves."""
    rising = [one.metric for one in found if one.rises]
    parts = []
    if rising:
        parts.append(f"{', '.join(rising)} {'rises' if len(rising) == 1 else 'rise'}")
    for one in found:
        means = ", ".join(f"{mean:.3f}" for mean in one.means)
        if not one.users:
            parts.append(f"{one.metric} is defined in all conditions for nobody")
        elif not one.rises:
            parts.append(f"{one.metric} does not ({means}; Page's p {p_text(one.p)})")
        elif one.unsure_steps:
            parts.append(f"the step {' and '.join(one.unsure_steps)} of {one.metric} is not significant by itself")
    return "; ".join(parts)
