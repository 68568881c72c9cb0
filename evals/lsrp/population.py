"""A made-up population in which the best style depends on the group of the user, and the truth is known.

Every user belongs to a group with words of its own (work, interests, way of writing), and shares all other words with
everyone. A group does best with one of the four styles. What an answer is worth is a number between 0 and 1, its
quality; the three scores are three readings of it, each with noise of its own. So style selection can be judged without
a language model: by the quality that the chosen style has, against the best one's and the general strategy's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import PrivateTask
from memagent.agents.lsrp.scores import profile_text
from memagent.agents.lsrp.strategies import GENERAL, STYLES
from memagent.errors import InvalidInput
from memagent.evals.lsrp.population_words import (
    CIRCLES,
    DEVICES,
    EXPLANATION_TASKS,
    PLACES,
    SYLLABLES,
    TRAITS,
    WRITING_TASKS,
    Circle,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPTIONS = (*STYLES, GENERAL)
"""The columns of a population's arrays."""

_BEST, _WORST, _SECOND, _GENERAL = 0.9, 0.2, 0.6, 0.5
"""Qualities: of the best style of a group, the range of its other styles, of the general strategy."""
_SPREAD = 0.05  # standard deviation of a user's quality around the group's
_UDRR, _FLUENCY, _RELEVANCE = (0.05, 0.25), (-2.0, -0.5), (2.0, 9.0)
"""What quality 0 and quality 1 read as in each score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user: who they are, their group, and their tasks."""

    id: str
    group: int
    profile: dict[str, str]
    tasks: tuple[PrivateTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """Users, and for each of their tasks the quality of every option.

    ``quality``: float64 (tasks, options), tasks in the order of the users, options as in :data:`OPTIONS`. ``cells``:
    the scores read from it under the four styles, (tasks, 4, 3), as
    :func:`~memagent.agents.lsrp.scores.as_cells` has them.
    """

    people: tuple[Person, ...]
    quality: NDArray[np.float64]
    cells: NDArray[np.float64]

    @property
    def tasks(self) -> tuple[PrivateTask, ...]:
        """All tasks, in the order of the users."""
        return tuple(task for person in self.people for task in person.tasks)

    @property
    def owners(self) -> tuple[str, ...]:
        """Whose each task is."""
        return tuple(person.id for person in self.people for _ in person.tasks)

    @property
    def best(self) -> tuple[str, ...]:
        """The style of the highest quality for each task."""
        return tuple(STYLES[number] for number in self.quality[:, : len(STYLES)].argmax(axis=1))

    def split(self, held_out: int) -> tuple[Population, Population]:
        """The users but the last ``held_out``, and those. Groups alternate, so both have them all."""
        if not 0 < held_out < len(self.people):
            raise InvalidInput(f"{held_out} of {len(self.people)} users held out", hint="fewer than there are")
        return self._part(self.people[:-held_out], first=True), self._part(self.people[-held_out:], first=False)

    def first(self, users: int) -> Population:
        """The population of the first ``users`` users."""
        return self._part(self.people[:users], first=True)

    def _part(self, people: Sequence[Person], *, first: bool) -> Population:
        size = sum(len(person.tasks) for person in people)
        rows = slice(0, size) if first else slice(len(self.quality) - size, None)
        return Population(people=tuple(people), quality=self.quality[rows], cells=self.cells[rows])


def make_population(
    *, users: int = 480, tasks_each: int = 2, score_noise: float = 0.05, seed: int = 0, groups: int = len(CIRCLES)
) -> Population:
    """A population; the same arguments give the same one.

    ``score_noise``: the standard deviation of each score's own noise, in units of quality (the best style is 0.3 or
    more ahead of the others). Raises InvalidInput for fewer users than groups.
    """
    if not 1 <= groups <= len(CIRCLES) or users < groups or tasks_each < 1 or not score_noise >= 0:
        raise InvalidInput(
            f"{users} users in {groups} groups, {tasks_each} tasks each, score noise {score_noise}",
            hint=f"1 to {len(CIRCLES)} groups, a user for each, 1 task or more, noise 0 or more",
        )
    random = np.random.default_rng(seed)
    of_group = _qualities(groups, random)
    people = tuple(_person(number, number % groups, tasks_each, random) for number in range(users))
    rows = np.repeat([of_group[person.group] for person in people], tasks_each, axis=0)
    own = np.repeat(random.normal(0.0, _SPREAD, (users, len(OPTIONS))), tasks_each, axis=0)
    quality = np.clip(rows + own, 0.0, 1.0)
    tokens = np.array([len(set(profile_text(person.profile).split())) for person in people])
    return Population(
        people=people, quality=quality, cells=_read(quality, np.repeat(tokens, tasks_each), score_noise, random)
    )


def _qualities(groups: int, random: np.random.Generator) -> NDArray[np.float64]:
    """The quality of each option for each group, (groups, options): best styles in turn, each for as many groups."""
    table = random.uniform(_WORST, _SECOND, (groups, len(OPTIONS)))
    table[:, -1] = _GENERAL
    table[np.arange(groups), np.arange(groups) % len(STYLES)] = _BEST
    qualities: NDArray[np.float64] = table
    return qualities


def _read(
    quality: NDArray[np.float64], tokens: NDArray[np.int64], noise: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """The scores of the styles: a share of the profile's tokens, a mean log probability, a whole number to 10."""
    styles = quality[:, : len(STYLES)]
    seen = styles[..., None] + random.normal(0.0, noise, (*styles.shape, 3))
    low, high = np.array([_UDRR, _FLUENCY, _RELEVANCE]).T
    scores = low + (high - low) * seen
    counts = np.clip(np.rint(scores[..., 0] * tokens[:, None]), 0, tokens[:, None])
    scores[..., 0] = counts / tokens[:, None]
    scores[..., 1] = np.minimum(scores[..., 1], -0.01)
    scores[..., 2] = np.clip(np.rint(scores[..., 2]), 0, 10)
    read: NDArray[np.float64] = scores
    return read


def _person(number: int, group: int, tasks_each: int, random: np.random.Generator) -> Person:
    profile = _profile(CIRCLES[group], random)
    writing = random.permutation(len(WRITING_TASKS))
    explaining = random.permutation(len(EXPLANATION_TASKS))
    texts = [
        (EXPLANATION_TASKS[explaining[place // 2 % len(explaining)]], TaskType.EXPLANATION)
        if place % 2
        else (WRITING_TASKS[writing[place // 2 % len(writing)]], TaskType.WRITING)
        for place in range(tasks_each)
    ]
    tasks = tuple(PrivateTask(text=text, task_type=kind, profile=profile) for text, kind in texts)
    return Person(id=f"user-{number}", group=group, profile=profile, tasks=tasks)


def _profile(circle: Circle, random: np.random.Generator) -> dict[str, str]:
    def some(words: Sequence[str], count: int) -> str:
        return "; ".join(str(word) for word in random.choice(words, size=count, replace=False))

    def name() -> str:
        return "".join(random.choice(SYLLABLES, size=3)).capitalize()

    return {
        "name": f"{name()} {name()}",
        "age": str(random.integers(19, 78)),
        "place": str(random.choice(PLACES)),
        "occupation": some(circle.occupations, 1),
        "traits": some(TRAITS, 2),
        "interests": some(circle.interests, 3),
        "habits": some(circle.habits, 5),
        "devices": some(DEVICES, 1),
        "writing style": some(circle.manners, 3),
    }
