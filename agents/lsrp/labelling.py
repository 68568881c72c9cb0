"""Every task under every style: guideline, answer and scores of many tasks at once, resumed where a run ended.

The leader writes a guideline for the task's text, the small model an answer from it and the user's own data, the judge
rates that answer. One pass over the training tasks is what U-U-RAG learns from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from memagent.agents.lsrp.cast import Cast, Progress, Scene, aplay, one, play
from memagent.agents.lsrp.guard import ProfileGuard
from memagent.agents.lsrp.ports import Guard, PrivateTask, Verdict
from memagent.agents.lsrp.scenes import REFUSED, answer_to, rating, restored, what_may_leave, why_not
from memagent.agents.lsrp.scores import Scores, as_cells, profile_text, udrr
from memagent.agents.lsrp.strategies import STYLES, Strategy, strategy
from memagent.errors import InvalidInput, MalformedReply, MemagentError, ModelRefused
from memagent.prompts.lsrp import leader
from memagent.prompts.lsrp_judges import judge_relevance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What came of one task under one style.

    ``failed``: why there is no answer, such as a refusal; ``scores`` is None then, and the texts are empty.
    """

    style: str
    guideline: str = ""
    answer: str = ""
    scores: Scores | None = None
    failed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The cells of all tasks: ``rows[i][j]`` is task i under style j."""

    tasks: tuple[PrivateTask, ...]
    styles: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def complete(self) -> tuple[int, ...]:
        """The numbers of the tasks whose cells all have scores."""
        return tuple(number for number, row in enumerate(self.rows) if all(cell.scores for cell in row))

    @property
    def failures(self) -> tuple[tuple[int, Cell], ...]:
        """The cells without scores, each with the number of its task."""
        return tuple((number, cell) for number, row in enumerate(self.rows) for cell in row if cell.scores is None)

    def cells(self) -> NDArray[np.float64]:
        """The scores of the complete tasks, (tasks, styles, 3), NaN where one is not known.

        Raises InvalidInput where no task is complete.
        """
        numbers = self.complete
        if not numbers:
            first = self.failures[0][1].failed if self.failures else "there are no tasks"
            raise InvalidInput("no task has scores under every style", hint=f"the first reason: {first}")
        scored = [[cell.scores for cell in self.rows[number] if cell.scores is not None] for number in numbers]
        return as_cells(scored)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """How tasks are scored: the models, the styles in their order, and how many cells are under way at once.

    ``guard`` decides what of a task's text the leader sees; with None all of it, as published. ``between`` is that of
    :func:`~memagent.agents.lsrp.scores.profile_text`, for UDRR and for the judge, who is shown the profile. Without a
    judge relevance stays unknown. ``examples``: whether the leader's prompt has its two worked examples.
    """

    cast: Cast
    styles: tuple[str, ...] = STYLES
    guard: Guard | None = field(default_factory=ProfileGuard)
    between: str = ": "
    examples: bool = True
    concurrency: int = 16
    found: tuple[Strategy, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.styles or len(set(self.styles)) < len(self.styles):
            raise InvalidInput(f"the styles are {list(self.styles)}", hint="one or more, each once")
        object.__setattr__(self, "found", tuple(map(strategy, self.styles)))


def score_tasks(
    tasks: Sequence[PrivateTask], labelling: Labelling, *, log: Path | None = None, progress: Progress | None = None
) -> Table:
    """The cells of all tasks, in their order; a task that occurs twice is paid for once.

    Each reply is in the file ``log`` before the next call of its cell is made, so that the same call goes on after a
    stop of any kind and pays for nothing again. The file holds the answers, with what is private in them. A refused
    cell is in the table as failed, the others go on, and the next run over the same log tries it again.

    Raises what :func:`~memagent.agents.lsrp.cast.aplay` does, and InvalidInput where there are no tasks. Not to be
    called from an event loop: :func:`ascore_tasks` is.
    """
    scenes, keys = _scenes(tasks, labelling)
    made = play(scenes, labelling.cast, calls=log, concurrency=labelling.concurrency, progress=progress)
    return _table(tasks, labelling, keys, made)


async def ascore_tasks(
    tasks: Sequence[PrivateTask], labelling: Labelling, *, log: Path | None = None, progress: Progress | None = None
) -> Table:
    """As :func:`score_tasks`, for an event loop."""
    scenes, keys = _scenes(tasks, labelling)
    made = await aplay(scenes, labelling.cast, calls=log, concurrency=labelling.concurrency, progress=progress)
    return _table(tasks, labelling, keys, made)


def _scenes(tasks: Sequence[PrivateTask], labelling: Labelling) -> tuple[dict[str, Scene[Cell]], list[int]]:
    """A scene for each distinct task and style, and for each task the number of the first that equals it."""
    if not tasks:
        raise InvalidInput("there are no tasks", hint="pass one or more")
    seen: dict[str, int] = {}
    keys = [seen.setdefault(_content(task), number) for number, task in enumerate(tasks)]
    return {
        f"{number}/{style.name}": cell_scene(tasks[number], style, labelling)
        for number in seen.values()
        for style in labelling.found
    }, keys


def _content(task: PrivateTask) -> str:
    return repr((task.text, task.task_type, list(task.profile.items()), task.history))


def cell_scene(task: PrivateTask, style: Strategy, labelling: Labelling) -> Scene[Cell]:
    """The calls that make one cell: leader, small model, judge. What a model refuses for good is a failed cell."""
    checked = what_may_leave(task, labelling.guard)
    if checked.verdict is Verdict.REFUSED:
        return Cell(style=style.name, failed=REFUSED)
    try:
        plan = yield from one(leader(checked.text, style, task.task_type, examples=labelling.examples))
        answer = yield from answer_to(restored(plan.value, checked, labelling.guard), task, labelling.cast)
    except (ModelRefused, MalformedReply) as error:
        return Cell(style=style.name, failed=why_not(error))
    shown = profile_text(task.profile, between=labelling.between)
    relevance = yield from rating(judge_relevance(task.text, shown, answer.value), labelling.cast)
    scores = Scores(udrr=udrr(shown, answer.value), fluency=answer.fluency, relevance=relevance)
    return Cell(style=style.name, guideline=plan.value, answer=answer.value, scores=scores)


def _table(
    tasks: Sequence[PrivateTask], labelling: Labelling, keys: Sequence[int], made: Mapping[str, Cell | MemagentError]
) -> Table:
    def cell(number: int, style: str) -> Cell:
        found = made[f"{number}/{style}"]
        return found if isinstance(found, Cell) else Cell(style=style, failed=str(found))

    rows = tuple(tuple(cell(number, style) for style in labelling.styles) for number in keys)
    return Table(tasks=tuple(tasks), styles=labelling.styles, rows=rows)
