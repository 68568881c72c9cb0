"""The angle "features": does an arm that sees less of users and items do worse with simulated users?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.agents.ab.keys import key_of
from memagent.agents.ab.statistics import ALPHA
from memagent.agents.ab.validation.findings import Finding
from memagent.agents.ab.validation.setting import Setting, figures
from memagent.agents.ab.validation.trend_tables import said_of, trend_figures, trend_table, trends

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from memagent.agents.ab.arms.machines import FM, DeepFM
    from memagent.agents.ab.arms.scoring import Scores, Training, Weights

EXPECTED = (
    "The arm does worst with the user's fields alone, better with the item's alone, best with all: CTR rises in that "
    "order, each step significant."
)
_STREAM = 47


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnTies:
    """``recipe`` with equal scores put in an order that is drawn for each user.

    An arm that sees the user alone gives every item the same score; in the order of the catalogue it would gain, or
    lose, by what stands first there.
    """

    recipe: FM | DeepFM
    kind: str = field(init=False, default="drawn-ties")

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """That of the recipe."""
        return self.recipe.fit(training, seed=seed, checkpoint=checkpoint)

    def scores(self, weights: Weights, training: Training) -> Scores:
        """Ranks in place of scores, ties in the order of numbers drawn by user."""
        given = self.recipe.scores(weights, training)

        def ranked(user: str) -> NDArray[np.float64]:
            scores = np.asarray(given(user))
            drawn = np.random.default_rng([_STREAM, key_of(user)]).random(len(scores))
            ranks = np.empty(len(scores))
            ranks[np.lexsort((drawn, scores))] = np.arange(len(scores))
            return ranks

        return ranked


def features(setting: Setting, recipe: FM | DeepFM, *, seed: int = 0) -> Finding:
    """The recipe with the fields of the user, of the item, and of both."""
    variants: dict[str, Any] = {
        "user only": DrawnTies(recipe=replace(recipe, features="user")),
        "item only": replace(recipe, features="item"),
        "all": replace(recipe, features="all"),
    }
    arms = [setting.arm(made, name=f"{recipe.kind} {name}", seed=seed) for name, made in variants.items()]
    _, values = figures(setting.simulated(arms, test=f"features-{recipe.kind}"))
    found = trends(values, list(variants), seed=setting.seed)
    ctr = found[0]
    return Finding(
        angle="features",
        expected=EXPECTED,
        came=f"{recipe.kind}: {said_of(found)}.",
        holds=ctr.monotone and all(step.p_holm <= ALPHA for step in ctr.steps),
        tables=[trend_table(recipe.kind, found)],
        notes=["With the user's fields alone all items have the same score: that list is drawn at random."],
        figures=trend_figures(found),
    )
