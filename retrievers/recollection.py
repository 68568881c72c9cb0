"""Following what a query brings to mind: clusters of what is near pull copies of it towards themselves, round by round.

Source: RF-Mem (arXiv 2603.09250), section 2.3, equations 4 to 7, and Algorithm 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from memagent.retrievers.kmeans import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.records import Vector
    from memagent.retrievers.neighbours import Near, Neighbours
    from memagent.retrievers.ranking import Rows, Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection:
    """How recollection goes about it; every field is explained at :class:`~memagent.retrievers.rf_mem.RFMem`."""

    alpha: float
    beam: int
    fanout: int
    rounds: int
    branch_score: Literal["paper", "code"] = "paper"
    centroid: Literal["normalised", "mean"] = "normalised"
    duplicates: Literal["before", "after"] = "before"
    when_empty: Literal["stop", "continue"] = "stop"
    budget: Literal["free", "below-k"] = "free"
    early_stop: bool = True
    floor: float | None = None
    mmr_lambda: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Bag:
    """What was recollected, in the order in which it came, and how.

    ``rows``: places of units; ``kept``: the cosine of each with the query of the branch that brought it;
    ``rounds``: the round in which it came, from 0. ``story`` tells each round in JSON values.
    """

    rows: list[int] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    story: list[dict[str, Any]] = field(default_factory=list)


class _Branch(NamedTuple):
    """A copy of the query that has drifted, its score, and the cluster that drew it.

    ``rows`` and ``cosines`` (with ``vector``) are those of the cluster's units, nearest to the parent first.
    """

    vector: Vector
    score: float
    rows: Rows
    cosines: Scores


def recollect(space: Neighbours, query: Vector, k: int, settings: Recollection) -> Bag:
    """Units that answer ``query`` (dim,), at least ``k`` if the rounds bring that many.

    In round r each query of the beam has its (beam + r) * fanout nearest units clustered; each cluster makes a new
    query from its centre; the ``beam`` best of all new queries go on, and the units of their clusters into the bag.
    A unit comes once. Units of clusters that do not go on may still come in a later round.
    """
    bag = Bag()
    seen: set[int] = set()
    beam = [_Branch(query, 0.0, np.empty(0, np.int64), np.empty(0))]
    for number in range(settings.rounds):
        count = _count(number, k, len(space), settings)
        branches = _grown(space, query, beam, count, seen, settings)
        kept = sorted(branches, key=lambda branch: -branch.score)[: settings.beam]
        new = _put(bag, kept, seen, number)
        bag.story.append(_told(query, kept, count, len(branches), new))
        stuck = not branches and count == _count(number + 1, k, len(space), settings)
        if len(bag.rows) == len(space) or (new == 0 and (settings.when_empty == "stop" or stuck)):
            break
        if settings.early_stop and len(bag.rows) >= k:
            break
        beam = kept or beam
    return bag


def _count(number: int, k: int, units: int, settings: Recollection) -> int:
    """How many neighbours each query of the beam is given in a round."""
    count = min((settings.beam + number) * settings.fanout, units)
    return min(count, max(1, k - 1)) if settings.budget == "below-k" else count


def _grown(
    space: Neighbours, query: Vector, beam: Sequence[_Branch], count: int, seen: set[int], settings: Recollection
) -> list[_Branch]:
    """The new branches of all clusters around all queries of the beam, parent by parent, nearest cluster first."""
    vectors = np.stack([parent.vector for parent in beam])
    branches: list[_Branch] = []
    for parent, near in zip(beam, space.nearest(vectors, count), strict=True):
        rows, cosines = _candidates(near, seen, settings)
        if len(rows):
            branches.extend(_clustered(space, query, parent, rows, cosines, settings))
    return branches


def _candidates(near: Near, seen: set[int], settings: Recollection) -> tuple[Rows, Scores]:
    rows, cosines = near.rows, near.cosines.astype(np.float64)
    wanted = np.ones(len(rows), np.bool_)
    if settings.floor is not None:
        wanted &= cosines >= settings.floor
    if settings.duplicates == "before":
        wanted &= np.fromiter((row not in seen for row in rows.tolist()), np.bool_, len(rows))
    return rows[wanted], cosines[wanted]


def _clustered(
    space: Neighbours, query: Vector, parent: _Branch, rows: Rows, cosines: Scores, settings: Recollection
) -> list[_Branch]:
    vectors = space.vectors(rows).astype(np.float64)
    labels = kmeans(vectors, settings.beam, seed=settings.seed).labels
    penalty = (1.0 - settings.mmr_lambda) * _redundancy(vectors) if settings.mmr_lambda < 1.0 else np.zeros(len(rows))
    branches = []
    for label in range(labels.max() + 1):
        members = np.flatnonzero(labels == label)
        vector = _drifted(query, parent.vector, vectors[members], settings)
        drawn = vectors[members] @ vector.astype(np.float64)
        relevance = drawn if settings.branch_score == "paper" else cosines[members]
        score = float((settings.mmr_lambda * relevance - penalty[members]).sum())
        if settings.branch_score == "code":
            score += parent.score
        branches.append(_Branch(vector, score, rows[members], drawn))
    return branches


def _drifted(query: Vector, parent: Vector, members: NDArray[np.float64], settings: Recollection) -> Vector:
    """norm(alpha * parent + (1 - alpha) * centre + query); the parent itself where that sum vanishes."""
    if settings.alpha == 1.0:
        return query  # norm(query + query), without the rounding
    centre = members.mean(axis=0)
    if settings.centroid == "normalised":
        centre = _normalised(centre)
    mixed = settings.alpha * parent.astype(np.float64) + (1.0 - settings.alpha) * centre + query
    length = np.linalg.norm(mixed)
    return (mixed / length).astype(np.float32) if length > 1e-6 else parent


def _normalised(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-6 else np.zeros_like(vector)


def _redundancy(vectors: NDArray[np.float64]) -> Scores:
    """The highest cosine of each vector with another one, (n,); 0.0 for a single one."""
    if len(vectors) < 2:
        return np.zeros(len(vectors))
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    highest: Scores = cosines.max(axis=1)
    return highest


def _put(bag: Bag, kept: Sequence[_Branch], seen: set[int], number: int) -> int:
    """Put what the branches bring into the bag, once; how many were new."""
    before = len(bag.rows)
    for branch in kept:
        for row, cosine in zip(branch.rows.tolist(), branch.cosines.tolist(), strict=True):
            if row not in seen:
                seen.add(row)
                bag.rows.append(row)
                bag.kept.append(cosine)
                bag.rounds.append(number)
    return len(bag.rows) - before


def _told(query: Vector, kept: Sequence[_Branch], count: int, grown: int, new: int) -> dict[str, Any]:
    return {
        "neighbours": count,
        "branches": grown,
        "new": new,
        "kept": [
            {"units": len(branch.rows), "score": branch.score, "cosine_to_query": float(branch.vector @ query)}
            for branch in kept
        ],
    }
