"""The angle "data": does an arm that learned from more do better with simulated users?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from memagent.agents.ab.validation.findings import Finding
from memagent.agents.ab.validation.setting import Setting, figures
from memagent.agents.ab.validation.trend_tables import said_of, trend_figures, trend_table, trends
from memagent.agents.ab.validation.trends import Trend
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from memagent.agents.ab.arms.scoring import Recipe
    from memagent.agents.ab.ratings import Ratings

EXPECTED = (
    "CTR rises with the share of the training rows that the arm learns from: monotone means, and a significant trend "
    "within users (Page's test)."
)


def data_shares(
    setting: Setting,
    recipes: Sequence[tuple[str, Recipe, int]],
    shares: Sequence[float],
    rows_of: Callable[[float], Ratings],
) -> Finding:
    """Each recipe (name, recipe, seed) trained on ``rows_of(share)`` of the training rows, which contain each other.

    Users and what they know stay the same: only what the arm learned differs. Raises InvalidInput for shares that do
    not rise.
    """
    if len(shares) < 2 or sorted(set(shares)) != list(shares):
        raise InvalidInput(f"shares {list(shares)}", hint="give two or more, rising")
    conditions = [f"{share:.0%}" for share in shares]
    found: dict[str, list[Trend]] = {}
    for name, recipe, seed in recipes:
        arms = [
            setting.arm(recipe, name=f"{name} {condition}", seed=seed, ratings=rows_of(share))
            for condition, share in zip(conditions, shares, strict=True)
        ]
        _, values = figures(setting.simulated(arms, test=f"data-{name}"))
        found[name] = trends(values, conditions, seed=setting.seed)
    return Finding(
        angle="data",
        expected=EXPECTED,
        came=" ".join(f"{name}: {said_of(of_arm)}." for name, of_arm in found.items()),
        holds=all(of_arm[0].rises for of_arm in found.values()),
        tables=[trend_table(name, of_arm) for name, of_arm in found.items()],
        notes=["The rows of a smaller share are a part of those of a larger one."],
        figures={name: trend_figures(of_arm) for name, of_arm in found.items()},
    )
