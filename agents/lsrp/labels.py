"""The best style of each task: z-scores, the Pareto front of their weights, its knee, and what the knee picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from memagent.agents.lsrp.knee import knee
from memagent.agents.lsrp.pareto import Evolution, Front, pareto_front, picks
from memagent.agents.lsrp.scores import Unread, counted, zscores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """``picked``: the number of the best option of each task, intp (tasks,). ``weights``: the knee's, (3,).

    ``margins``: by how much the picked option's z . x exceeds the next best, (tasks,); 0 where there is only one.
    """

    picked: NDArray[np.intp]
    weights: NDArray[np.float64]
    margins: NDArray[np.float64]
    front: Front


def best_options(
    cells: NDArray[np.float64], *, evolution: Evolution | None = None, unread: Unread = Unread.NEUTRAL
) -> Labels:
    """The best option (style, or guideline) of each task for raw scores (tasks, options, 3), NaN where not known.

    Equal options go to the first. Raises as :func:`~memagent.agents.lsrp.pareto.pareto_front` does.
    """
    front = pareto_front(cells, evolution=evolution, unread=unread)
    weights = front.weights[knee(front.objectives)]
    z = zscores(counted(cells, unread=unread))
    return Labels(picked=picks(z, weights), weights=weights, margins=_margins(z, weights), front=front)


def _margins(z: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    worth = np.sort(np.nan_to_num(z, nan=0.0) @ weights, axis=1)
    if worth.shape[1] < 2:
        return np.zeros(len(worth))
    margins: NDArray[np.float64] = worth[:, -1] - worth[:, -2]
    return margins
