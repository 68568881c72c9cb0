"""What an augmentation came to, as tables and sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent._version import __version__
from memagent.evals.ab.augmenting import KINDS, NOTHING, Augmentation

if TYPE_CHECKING:
    from memagent.agents.ab.auc import Change

LIMITS = (
    (
        "Visitors of the policy taste have their tastes from validation rows: simulated rows can teach what those say, "
        "and no more. The line with the validation rows themselves shows how much that is."
    ),
    "Arms, reference and models learn from training rows; no test row is shown to anything but the AUC.",
    (
        "The intervals over seeds vary simulation and training on one split; those over users vary the users of the "
        "test part with the models as they are. Neither is corrected for the number of lines."
    ),
)


def markdown(result: Augmentation) -> str:
    """Tables of AUC, of its changes and of the filter, then what they rest on."""
    parts = [
        f"# {result.title}",
        "",
        _setting(result.facts),
        "",
        "## Test AUC",
        "",
        *_table(auc_rows(result)),
        "",
        "## Filtered, and against the control",
        "",
        *_table(between_rows(result)),
        "",
        "`random`: as many rows for each user, of items drawn at random. Intervals are of 95 %.",
        "",
        "## What was simulated",
        "",
        *_table(simulated_rows(result)),
        "",
        *(f"- {text}" for text in LIMITS),
        "",
    ]
    return "\n".join(parts)


def _setting(facts: dict[str, Any]) -> str:
    seeds = ", ".join(map(str, facts["seeds"]))
    used = f" Language models: {facts['models']}." if "models" in facts else ""
    return (
        f"{facts['data']}: {facts['train']:,} training and {facts['test']:,} test rows; {facts['users']} users of the "
        f"policy {facts['policy']} in {', '.join(facts['arms'])}, with the seeds {seeds}. Liked: a rating of "
        f"{facts['liked']:g} or more. Filter: the {facts['rank_limit']} best of {facts['reference']}.{used}"
    )


def auc_rows(result: Augmentation) -> list[list[str]]:
    """Head, and a row for each model, kind of negatives and what was added."""
    changes = {(c.model, c.negatives, c.added): c for c in result.comparisons if c.against == NOTHING}
    rows = [["model", "negatives", "added", "rows", "AUC", "change, over seeds", "change, over users"]]
    for row in result.rows:
        change = changes.get((row.model, row.negatives, row.added))
        shown = [_interval(change.seeds), _interval(change.users)] if change else ["", ""]
        rows.append([row.model, row.negatives, row.added, f"{row.rows:,.0f}", f"{np.mean(row.auc):.4f}", *shown])
    return rows


def between_rows(result: Augmentation) -> list[list[str]]:
    """Head, and a row for each pair of additions that is compared."""
    rows = [["model", "negatives", "added", "against", "change, over seeds", "change, over users"]]
    return rows + [
        [c.model, c.negatives, c.added, c.against, _interval(c.seeds), _interval(c.users)]
        for c in result.comparisons
        if c.against != NOTHING
    ]


def simulated_rows(result: Augmentation) -> list[list[str]]:
    """Head, and a row for clicks and for views."""
    rows = [["simulated", "kept by the filter", "also a validation row"]]
    return rows + [[kind, f"{result.kept[kind]:.1%}", f"{result.of_validation[kind]:.1%}"] for kind in KINDS]


def as_dict(result: Augmentation) -> dict[str, Any]:
    """The result as JSON has it; an interval without end has None."""
    comparisons = [
        {
            **{name: getattr(c, name) for name in ("model", "negatives", "added", "against")},
            "over_seeds": _finite(c.seeds),
            "over_users": _finite(c.users),
        }
        for c in result.comparisons
    ]
    return {**asdict(result), "comparisons": comparisons, "limits": LIMITS, "version": __version__, "schema": 1}


def _finite(change: Change) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in change._asdict().items()}


def _interval(change: Change) -> str:
    if not math.isfinite(change.low):
        return f"{change.mean:+.4f}"
    return f"{change.mean:+.4f} [{change.low:+.4f}, {change.high:+.4f}]"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = rows
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]
