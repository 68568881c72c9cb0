"""What all tests of a simulation share: data, users, policy, and how arms are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.scoring import Recipe, ScoringArm, Training
from memagent.agents.ab.experiment import Experiment, Outcome
from memagent.agents.ab.metrics import table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memagent.agents.ab.arms.port import Arm
    from memagent.agents.ab.ratings import Dataset, Ratings, Split
    from memagent.agents.ab.users import User

METRICS = ("ctr", "cvr", "ar")
"""What the paper validates by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """``experiment`` holds catalogue, arms, users, policy, layout and fatigue; tests change its arms and users.

    ``folder`` keeps the logs of their runs, so that a test that was stopped goes on; ``cache`` the trained arms.
    ``everybody`` are all users of the data set, those of the experiment among them.
    """

    dataset: Dataset
    parts: Split
    experiment: Experiment
    everybody: Sequence[User]
    folder: Path | None = None
    cache: Path | None = None
    say: Callable[[str], None] = lambda _: None
    after: Callable[[], None] | None = None
    """Called after each block of users that was simulated."""

    @property
    def seed(self) -> int:
        """Of everything that is drawn."""
        return self.experiment.seed

    def arm(self, recipe: Recipe, *, name: str, seed: int = 0, ratings: Ratings | None = None) -> ScoringArm:
        """An arm trained on the training rows, or on ``ratings``."""
        self.say(f"training {name}")
        rows = self.parts.train if ratings is None else ratings
        return trained(recipe, Training(dataset=self.dataset, ratings=rows), name=name, seed=seed, cache=self.cache)

    def simulated(self, arms: Sequence[Arm], *, test: str, users: Sequence[User] | None = None) -> Outcome:
        """The outcome of these arms; ``test`` names the folder of the log."""
        who = self.experiment.users if users is None else users
        self.say(f"{test}: {len(who)} users in {len(arms)} arms")
        trial = replace(
            self.experiment, arms=list(arms), users=list(who), stopping=None, label=f"{test} {self.experiment.label}"
        )
        return trial.run(self.folder / test if self.folder else None, after=self.after)


def figures(outcome: Outcome, metrics: Sequence[str] = METRICS) -> tuple[list[str], NDArray[np.float64]]:
    """The users and their figures (users, arms, metrics)."""
    return table(outcome.visits, arms=outcome.arms, metrics=metrics, possible=outcome.experiment.visits)
