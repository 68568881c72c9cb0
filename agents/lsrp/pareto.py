"""Which weights of the scores are worth having: NSGA-II over weight vectors, as LSRP labels its tasks with styles.

A weight vector x picks for every task the style with the greatest z . x (z: the z-normalised scores); it is judged by
the three *raw* means over the picked cells, all to be maximised. NSGA-II (Deb et al., 2002) is pymoo's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.agents.lsrp.scores import SCORES, Unread, counted, zscores
from memagent.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK_CELLS = 2_000_000
"""Products of weights and scores held at once (16 MB as float64)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """The settings of NSGA-II; those of the published code are the defaults.

    Weights lie in ``[-bound, bound]`` and start as a Latin hypercube. ``crossover`` and ``eta``: probability and
    distribution index of simulated binary crossover. ``mutation`` and ``sigma``: probability that a child is mutated
    (then each of its weights with probability 1/3, pymoo's default) and the standard deviation as a share of the range.
    """

    population: int = 100
    generations: int = 100
    bound: float = 10.0
    crossover: float = 0.9
    eta: float = 15.0
    mutation: float = 0.2
    sigma: float = 0.1
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.population, self.generations) < 2 or not self.bound > 0:
            raise InvalidInput(
                f"population {self.population}, generations {self.generations}, bound {self.bound}",
                hint="population and generations are 2 or more, bound is above 0",
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Front:
    """The points that no other one found dominates, each once, by ascending first objective.

    ``weights``: float64 (points, 3). ``objectives``: the raw means over the picked cells, float64 (points, 3), in the
    order of :data:`~memagent.agents.lsrp.scores.SCORES`.
    """

    weights: NDArray[np.float64]
    objectives: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.weights)


def picks(z: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """The style of each task with the greatest z . x, of equal ones the first.

    ``z``: (tasks, styles, 3), NaN (not known) counting 0, the mean. ``weights``: (3,) or (n, 3); (tasks,) or (n, tasks)
    come back.
    """
    worth: NDArray[np.float64] = np.einsum("tsc,...c->...ts", np.nan_to_num(z, nan=0.0), weights)
    # z-scores that should be equal differ by rounding, and the first is to win then.
    best = worth.max(axis=-1, keepdims=True)
    near = worth >= best - 1e-9 * np.maximum(np.abs(best), 1.0)
    first: NDArray[np.intp] = near.argmax(axis=-1)
    return first


def objectives(cells: NDArray[np.float64], chosen: NDArray[np.intp]) -> NDArray[np.float64]:
    """The mean of each raw score over the chosen cells, (n, 3) for ``chosen`` (n, tasks).

    Scores that are not known (NaN) are left out. Where none of a choice is known, the lowest known of all stands in
    for the mean, and 0 where there is none at all.
    """
    taken = cells[np.arange(cells.shape[0]), chosen]
    known = ~np.isnan(taken)
    counts = known.sum(axis=1)
    sums = np.where(known, taken, 0.0).sum(axis=1)
    flat = np.where(np.isnan(cells), np.inf, cells).reshape(-1, cells.shape[-1]).min(axis=0)
    lowest = np.where(np.isfinite(flat), flat, 0.0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), lowest)


def pareto_front(
    cells: NDArray[np.float64], *, evolution: Evolution | None = None, unread: Unread = Unread.NEUTRAL
) -> Front:
    """The front for raw scores ``cells`` (tasks, styles, 3), NaN where one is not known.

    The same input gives the same front. Raises InvalidInput for anything of another shape or an infinite score, and
    MissingExtra where pymoo is not installed.
    """
    raw = counted(_checked(cells), unread=unread)
    settings = evolution or Evolution()
    z = zscores(raw)

    def evaluated(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([objectives(raw, picks(z, block)) for block in _blocks(weights, raw[..., 0].size)])

    return _distinct(_evolved(evaluated, settings), evaluated)


def _checked(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    if cells.ndim != 3 or cells.shape[-1] != len(SCORES) or 0 in cells.shape:
        raise InvalidInput(f"scores have the shape {cells.shape}", hint="(tasks, styles, 3), none of them 0")
    if np.isinf(cells).any():
        raise InvalidInput("a score is infinite", hint="a score that is not known is NaN")
    return cells.astype(np.float64, copy=False)


def _blocks(weights: NDArray[np.float64], size: int) -> Iterator[NDArray[np.float64]]:
    step = max(1, _BLOCK_CELLS // size)
    for start in range(0, len(weights), step):
        yield weights[start : start + step]


def _distinct(weights: NDArray[np.float64], evaluated: Any) -> Front:
    """Each point once, and none that is dominated, sorted; of weights that lead to one point the first found."""
    points = evaluated(weights)
    # lexsort is stable, and takes its last key first
    order = np.lexsort((points[:, 2], points[:, 1], points[:, 0]))
    kept: list[int] = []
    for row in order:
        same = bool(kept) and np.allclose(points[kept[-1]], points[row], rtol=1e-12, atol=1e-12)
        if not same and not _dominated(points[row], points):
            kept.append(int(row))
    return Front(weights=weights[kept], objectives=points[kept])


def _dominated(point: NDArray[np.float64], points: NDArray[np.float64]) -> bool:
    better = points - point
    slack = 1e-12 * np.maximum(np.abs(point), 1.0)
    return bool(((better >= -slack).all(axis=1) & (better > slack).any(axis=1)).any())


def _evolved(evaluated: Any, settings: Evolution) -> NDArray[np.float64]:
    """The weights of the first front of the last population, (n, 3)."""
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.gauss import GaussianMutation
        from pymoo.operators.repair.bounds_repair import repair_random_init
        from pymoo.operators.sampling.lhs import LHS
        from pymoo.optimize import minimize
    except ImportError as error:
        raise MissingExtra("pymoo is not installed", hint="pip install 'memagent[lsrp]'") from error

    class Weights(Problem):  # type: ignore[misc]  # pymoo has no types
        def _evaluate(self, x: NDArray[np.float64], out: dict[str, Any], *_: Any, **__: Any) -> None:
            out["F"] = -evaluated(x)  # pymoo minimises

    class Mutation(GaussianMutation):  # type: ignore[misc]
        def _do(self, problem: Any, X: NDArray[np.float64], random_state: Any = None, **_: Any) -> Any:  # noqa: N803
            """As pymoo's own, whose repair of what leaves the bounds draws from a generator without a seed."""
            rates = self.get_prob_var(problem, size=len(X))[:, None]
            spread = settings.sigma * (problem.xu - problem.xl)
            moved = np.where(random_state.random(X.shape) < rates, random_state.normal(X, spread), X)
            return repair_random_init(moved, X, problem.xl, problem.xu, random_state=random_state)

    width = len(SCORES)
    problem = Weights(n_var=width, n_obj=width, xl=-settings.bound, xu=settings.bound)
    algorithm = NSGA2(
        pop_size=settings.population,
        sampling=LHS(),
        crossover=SBX(prob=settings.crossover, eta=settings.eta),
        mutation=Mutation(prob=settings.mutation, sigma=settings.sigma),
    )
    found = minimize(problem, algorithm, ("n_gen", settings.generations), seed=settings.seed, verbose=False)
    return np.atleast_2d(np.asarray(found.X, dtype=np.float64))
