"""A run that is slow enough to be killed: ``python ab_killed_run.py FOLDER [SECONDS a list]``."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from pathlib import Path

from memagent.agents.ab import Experiment, TastePolicy, split, synthetic, users_of

DATA = synthetic(users=80, items=100)


class Slow:
    """The catalogue from one end or the other, after a pause."""

    def __init__(self, name: str, step: int, pause: float) -> None:
        self.name = name
        self._items = DATA.catalogue.ids[::step]
        self._pause = pause

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> list[str]:
        time.sleep(self._pause)
        return [item for item in self._items if item not in exclude][:k]


def slow_experiment(pause: float = 0.0) -> Experiment:
    parts = split(DATA.ratings)
    return Experiment(
        catalogue=DATA.catalogue,
        arms=[Slow("a", 1, pause), Slow("b", -1, pause)],
        users=users_of(DATA, parts.train),
        policy=TastePolicy.fitted(DATA, parts.validation),
        block=10,
    )


if __name__ == "__main__":
    slow_experiment(float(sys.argv[2])).run(Path(sys.argv[1]))
