"""What U-U-RAG's offline part learns from a table of scores: tasks, each with its best style."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memagent.agents.lsrp.labels import Labels, best_options
from memagent.agents.lsrp.scores import Unread

if TYPE_CHECKING:
    from memagent.agents.lsrp.labelling import Table
    from memagent.agents.lsrp.pareto import Evolution
    from memagent.agents.lsrp.ports import PrivateTask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learnt:
    """``tasks`` with their best ``styles``, in order; ``left_out`` tasks had no scores under some style."""

    tasks: tuple[PrivateTask, ...]
    styles: tuple[str, ...]
    labels: Labels
    left_out: int


def learn_styles(table: Table, *, evolution: Evolution | None = None, unread: Unread = Unread.NEUTRAL) -> Learnt:
    """The best style of each complete task of a table. Asks no model.

    Raises InvalidInput where no task is complete, and MissingExtra where pymoo is not installed.
    """
    labels = best_options(table.cells(), evolution=evolution, unread=unread)
    return Learnt(
        tasks=tuple(table.tasks[number] for number in table.complete),
        styles=tuple(table.styles[number] for number in labels.picked),
        labels=labels,
        left_out=len(table.tasks) - len(table.complete),
    )
