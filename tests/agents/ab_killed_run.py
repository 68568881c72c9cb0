"""A run that stands still in the midst of a block, to be killed: ``python ab_killed_run.py FOLDER PARTS``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path

from memagent.agents.ab import Experiment, TastePolicy, split, synthetic, users_of

DATA = synthetic(users=80, items=100)


def go_on() -> None:
    """Wait for nothing."""


class Slow:
    """The catalogue from one end or the other, after a wait."""

    def __init__(self, name: str, step: int, wait: Callable[[], None]) -> None:
        self.name = name
        self._items = DATA.catalogue.ids[::step]
        self._wait = wait

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> list[str]:
        self._wait()
        return [item for item in self._items if item not in exclude][:k]


class StandsStill:
    """Lets some lists pass after so many parts of the run are in its folder, and no more; then a file says so."""

    def __init__(self, folder: Path, parts: int) -> None:
        self._folder = folder
        self._parts = parts
        self._lists = 0

    def __call__(self) -> None:
        if len(list((self._folder / "parts").glob("*.jsonl"))) < self._parts:
            return
        self._lists += 1
        while self._lists > 4:
            still(self._folder, self._parts).touch()
            time.sleep(0.1)


def still(folder: Path, parts: int) -> Path:
    """The file that says that a run stands still."""
    return folder.with_name(f"{folder.name} stands still at {parts}")


def slow_experiment(wait: Callable[[], None] = go_on) -> Experiment:
    parts = split(DATA.ratings)
    return Experiment(
        catalogue=DATA.catalogue,
        arms=[Slow("a", 1, wait), Slow("b", -1, wait)],
        users=users_of(DATA, parts.train),
        policy=TastePolicy.fitted(DATA, parts.validation),
        block=10,
    )


if __name__ == "__main__":
    place = Path(sys.argv[1])
    slow_experiment(StandsStill(place, int(sys.argv[2]))).run(place)
