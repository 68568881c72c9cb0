"""An A/B test without users: simulated ones visit a site with the recommendations of two arms.

    python examples/ab_test.py [FOLDER]

The data are made up and come with memagent; see docs/ab.md for MovieLens and for your own.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from memagent.agents.ab import (
    Catalogue,
    Experiment,
    ExperimentReport,
    TastePolicy,
    Training,
    recipe_of,
    report_of,
    split,
    synthetic,
    trained,
    users_of,
)


class BestRated:
    """An arm of one's own: a name, and a method that returns ids."""

    name = "best-rated"

    def __init__(self, catalogue: Catalogue) -> None:
        self._ranked = [item.id for item in sorted(catalogue.items, key=lambda item: -(item.rating or 0))]

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> list[str]:
        """The best-rated items that the user has not seen."""
        return [item for item in self._ranked if item not in exclude][:k]


def ab_test(folder: Path, *, people: int = 200) -> ExperimentReport:
    """Best-rated items against neighbours of what a user chose; writes the log and report.html into a folder."""
    data = synthetic(users=people)
    parts = split(data.ratings)
    catalogue = data.catalogue_by(parts.train)  # as a site shows it that does not know what comes later
    knn = trained(recipe_of("item-knn"), Training(dataset=data, ratings=parts.train))
    experiment = Experiment(
        catalogue=catalogue,
        arms=[BestRated(catalogue), knn],
        users=users_of(data, parts.train),
        policy=TastePolicy.fitted(data, parts.validation),
        seed=1,
    )
    report = report_of(experiment.run(folder / "run"), title="Neighbours against best rated")
    report.write(folder)
    return report


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "ab-out")
    for verdict in ab_test(folder).verdicts:
        print(verdict.text)
    print(f"Report: {folder / 'report.html'}")
