"""Which style each chooser picks for each case, looked up in what all styles made: nothing is generated anew.

That is the published evaluation: all styles are run on the test set once, and a chooser is worth what the picked ones
made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.lsrp.cast import Cast, Progress, Scene, one, play
from memagent.agents.lsrp.choosing import named_style, vote
from memagent.agents.lsrp.index import NeighbourIndex, Texts
from memagent.agents.lsrp.labelling import Labelling, score_tasks
from memagent.agents.lsrp.labels import best_options
from memagent.agents.lsrp.pareto import Evolution
from memagent.agents.lsrp.ports import Choice, Guard, PrivateTask
from memagent.agents.lsrp.scores import as_cells, zscores
from memagent.agents.lsrp.strategies import GENERAL, STYLES, strategy
from memagent.errors import InvalidInput, MemagentError
from memagent.evals.lsrp.arms import STRATEGIES, Made
from memagent.evals.lsrp.data import LsrpCase
from memagent.prompts.lsrp import choose_style

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.encoders.port import Encoder

FETCHED = 50
"""Neighbours that are fetched, as published; the first K of them vote."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """What U-U-RAG knows: the index, the knee's weights, how often each style is best, and tasks that told nothing."""

    index: NeighbourIndex
    weights: NDArray[np.float64]
    labels: Mapping[str, int]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnSettings:
    """How the index is made: ``between`` and ``profile`` as in :class:`~memagent.agents.lsrp.index.Texts`."""

    between: str = ": "
    profile: bool = True
    evolution: Evolution = field(default_factory=Evolution)


def learn(
    cases: Sequence[LsrpCase],
    cast: Cast,
    encoder: Encoder,
    *,
    settings: LearnSettings | None = None,
    guard: Guard | None = None,
    concurrency: int = 16,
    calls: Path | None = None,
    progress: Progress | None = None,
) -> Learned:
    """U-U-RAG's offline part over training cases: every style's scores, the best style of each task, the index.

    Raises what :func:`~memagent.agents.lsrp.labelling.score_tasks` raises, and InvalidInput where no task has an answer
    in every style.
    """
    settings = settings or LearnSettings()
    tasks = [case.task for case in cases]
    labelling = Labelling(cast=cast, guard=guard, between=settings.between, concurrency=concurrency)
    table = score_tasks(tasks, labelling, log=calls, progress=progress)
    if not table.complete:
        raise InvalidInput(f"no training task was answered: {table.failures[0][1].failed}", hint="see to the models")
    labels = best_options(table.cells(), evolution=settings.evolution)
    styles = [table.styles[number] for number in labels.picked.tolist()]
    return Learned(
        index=NeighbourIndex.of(
            [tasks[number] for number in table.complete],
            styles,
            encoder=encoder,
            texts=False,
            made=Texts(profile=settings.profile, between=settings.between),
            weights=labels.weights.tolist(),
        ),
        weights=labels.weights,
        labels={style: Counter(styles)[style] for style in table.styles},
        left_out=len(tasks) - len(table.complete),
    )


def neighbours_choices(learned: Learned, cases: Sequence[LsrpCase], k: int) -> dict[str, Choice]:
    """U-U-RAG's choice for each case, by its id: the majority among the ``k`` nearest training tasks."""
    return {case.id: vote(learned.index.nearest(case.task, max(FETCHED, k))[:k]) for case in cases}


def model_choices(
    cases: Sequence[LsrpCase],
    cast: Cast,
    *,
    concurrency: int = 16,
    calls: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Choice]:
    """What the device's own model chooses; the general strategy where it names none, or refuses."""
    scenes = {case.id: _named(case.task) for case in cases}
    found = play(scenes, cast, calls=calls, concurrency=concurrency, progress=progress)
    refused = Choice(strategy=GENERAL, reason="the model gave no reply")
    return {case: refused if isinstance(choice, MemagentError) else choice for case, choice in found.items()}


def _named(task: PrivateTask) -> Scene[Choice]:
    reply = yield from one(choose_style(task, tuple(map(strategy, STYLES))))
    return named_style(reply.value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worth:
    """What each strategy is worth for each case: z . x, with z over all cells of the test set, the sizes of x adding up
    to 1, so that worth counts in standard deviations.

    ``cases``: those that every strategy answered. ``values``: float64 (cases, strategies), strategies in the order of
    :data:`~memagent.evals.lsrp.arms.STRATEGIES`.
    """

    cases: tuple[str, ...]
    values: NDArray[np.float64]

    def of(self, case: str, name: str) -> float | None:
        """The worth of a strategy for a case; None where it is not known."""
        row = self._rows.get(case)
        return None if row is None else float(self.values[row, STRATEGIES.index(name)])

    def oracle(self) -> dict[str, Choice]:
        """The best of the four styles for each case that is known, of equal ones the first."""
        best = self.values[:, : len(STYLES)].argmax(axis=1)
        return {
            case: Choice(strategy=STYLES[style], reason="it is worth most")
            for case, style in zip(self.cases, best.tolist(), strict=True)
        }

    def regret(self, case: str, name: str) -> float | None:
        """How much less a strategy is worth than the best style; below 0 where the general one is worth more."""
        row = self._rows.get(case)
        if row is None:
            return None
        return float(self.values[row, : len(STYLES)].max() - self.values[row, STRATEGIES.index(name)])

    @property
    def _rows(self) -> dict[str, int]:
        return {case: row for row, case in enumerate(self.cases)}


EQUAL_WEIGHTS = (1.0, 1.0, 1.0)
"""Of UDRR, fluency and relevance, where none have been learnt."""


def worth_of(
    made: Mapping[tuple[str, str], Made], cases: Sequence[LsrpCase], weights: Sequence[float] | NDArray[np.float64]
) -> Worth:
    """What the strategies are worth; a score that is not known counts as the mean."""
    whole = [case.id for case in cases if all(not made[case.id, name].failed for name in STRATEGIES)]
    if not whole:
        return Worth(cases=(), values=np.empty((0, len(STRATEGIES))))
    cells = as_cells([[made[case, name].scores for name in STRATEGIES] for case in whole])
    given = np.asarray(weights, np.float64)
    sizes = np.abs(given).sum()
    values: NDArray[np.float64] = np.nan_to_num(zscores(cells), nan=0.0) @ (given / sizes if sizes > 0 else given)
    return Worth(cases=tuple(whole), values=values)
