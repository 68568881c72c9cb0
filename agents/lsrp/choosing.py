"""Who chooses the leader's style, on the device: neighbours, noisy counts, the small model, an oracle, or nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memagent.agents.lsrp.ports import Choice, PrivateTask
from memagent.agents.lsrp.strategies import GENERAL, STYLES, strategy
from memagent.errors import InvalidInput
from memagent.prompts.lsrp import choose_style

if TYPE_CHECKING:
    from memagent.agents.lsrp.index import Neighbour, NeighbourIndex
    from memagent.agents.lsrp.private_counts import PrivateCounts
    from memagent.llm.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourChooser:
    """U-U-RAG: of the ``fetched`` nearest tasks the first ``k`` vote with their best styles.

    Published: k 5 where answers are made, 3 on the way to preference pairs, 50 fetched; a style counts its votes, not
    their distances.
    """

    index: NeighbourIndex
    k: int = 5
    fetched: int = 50

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.fetched:
            raise InvalidInput(f"k {self.k} of {self.fetched} fetched", hint="1 or more, and no more than are fetched")

    def choose(self, task: PrivateTask) -> Choice:
        """The majority's style, of equal ones that of the nearest; the general strategy where nobody is near."""
        return vote(self.index.nearest(task, self.fetched)[: self.k])


def vote(neighbours: Sequence[Neighbour]) -> Choice:
    """The style that most of the neighbours (nearest first) have; a tie goes to the style met first."""
    if not neighbours:
        return Choice(strategy=GENERAL, reason="the index holds no neighbour")
    counts = Counter(neighbour.style for neighbour in neighbours)  # in the order in which styles are met
    style, most = max(counts.items(), key=lambda item: item[1])  # of equal ones the first
    return Choice(strategy=style, reason=f"{most} of the {len(neighbours)} nearest tasks", votes=dict(counts))


@dataclass(frozen=True, slots=True, kw_only=True)
class CountChooser:
    """U-U-RAG from noisy counts: the style with the greatest count in the task's region."""

    counts: PrivateCounts

    def choose(self, task: PrivateTask) -> Choice:
        """The style; the general strategy where no count is above 0, of equal ones the first."""
        votes = self.counts.votes(task)
        style, most = max(votes.items(), key=lambda item: item[1])
        if most <= 0:
            return Choice(strategy=GENERAL, reason="no style has a count above 0 here", votes=votes)
        return Choice(strategy=style, reason=f"a noisy count of {most} in the task's region", votes=votes)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChooser:
    """A baseline: the device's own model names the style, read by looking for the names in its reply."""

    model: Model
    styles: tuple[str, ...] = STYLES

    def choose(self, task: PrivateTask) -> Choice:
        """The style that is named first; the general strategy where none is."""
        reply = self.model.ask(choose_style(task, tuple(map(strategy, self.styles))))
        return named_style(reply.value, self.styles)


def named_style(reply: str, styles: Sequence[str] = STYLES) -> Choice:
    """The style whose name stands first in a reply, in any case; the general strategy where none does."""
    folded = reply.casefold()
    places = {style: place for style in styles if (place := folded.find(style.casefold())) >= 0}
    if not places:
        return Choice(strategy=GENERAL, reason="the model named no style")
    # of two names that begin at one place the longer is meant
    style = min(places, key=lambda name: (places[name], -len(name)))
    return Choice(strategy=style, reason="the model named it")


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedChooser:
    """The same strategy for every task."""

    strategy: str = GENERAL

    def __post_init__(self) -> None:
        strategy(self.strategy)

    def choose(self, task: PrivateTask) -> Choice:
        """That strategy."""
        return Choice(strategy=self.strategy, reason="fixed")


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleChooser:
    """For evaluation: the style that is known to be best, by the text of the task and its profile."""

    best: Mapping[tuple[str, tuple[tuple[str, str], ...]], str]

    @classmethod
    def of(cls, tasks: Sequence[PrivateTask], styles: Sequence[str]) -> OracleChooser:
        """The oracle of tasks with their best styles; of equal tasks the first counts."""
        if len(tasks) != len(styles):
            raise InvalidInput(f"{len(tasks)} tasks, {len(styles)} styles", hint="one style for each task")
        best: dict[tuple[str, tuple[tuple[str, str], ...]], str] = {}
        for task, style in zip(tasks, styles, strict=True):
            best.setdefault(_named(task), style)
        return cls(best=best)

    def choose(self, task: PrivateTask) -> Choice:
        """The best style; the general strategy for a task that is not known."""
        style = self.best.get(_named(task))
        return Choice(strategy=style or GENERAL, reason="known to be best" if style else "this task is not known")


def _named(task: PrivateTask) -> tuple[str, tuple[tuple[str, str], ...]]:
    return task.text, tuple(task.profile.items())
