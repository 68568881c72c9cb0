"""Maximal marginal relevance: hits that are relevant and do not repeat each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.retrievers.ranking import min_max

if TYPE_CHECKING:
    from memagent.records import Vectors
    from memagent.retrievers.ranking import Rows, Scores

NOTHING_CHOSEN = -1.0
"""The redundancy of the first choice: the lowest a cosine can be, which keeps the scores from rising."""


class Picks(NamedTuple):
    """What was chosen, in the order of choice (each array of shape (k,)).

    ``rows``: places in the pool; ``scores``: marginal relevance, not rising; ``relevance``: 0..1 within the
    pool; ``redundancy``: highest cosine with an earlier choice, :data:`NOTHING_CHOSEN` for the first.
    """

    rows: Rows
    scores: Scores
    relevance: Scores
    redundancy: Scores


def pick_diverse(relevance: Scores, vectors: Vectors, k: int, mmr_lambda: float) -> Picks:
    """Choose ``k`` of a pool one by one, each time the highest lambda * relevance - (1 - lambda) * redundancy.

    ``relevance`` (n,) is scaled to 0..1 within the pool; ``vectors`` (n, dim) are unit vectors; ``mmr_lambda`` 1
    keeps the order of relevance. Equal values are settled by place in the pool.
    Source: Carbonell & Goldstein, "The use of MMR", SIGIR 1998.
    """
    scaled = min_max(relevance)
    redundancy = np.full(len(scaled), NOTHING_CHOSEN)
    free = np.ones(len(scaled), dtype=bool)
    rows: list[int] = []
    scores: list[float] = []
    seen: list[float] = []
    for _ in range(min(k, len(scaled))):
        value = np.where(free, mmr_lambda * scaled - (1.0 - mmr_lambda) * redundancy, -np.inf)
        row = int(value.argmax())
        rows.append(row)
        scores.append(float(value[row]))
        seen.append(float(redundancy[row]))
        free[row] = False
        # einsum, because a BLAS product may round equal rows differently and so break ties by chance.
        redundancy = np.maximum(redundancy, np.einsum("ij,j->i", vectors, vectors[row]).astype(np.float64))
    chosen = np.array(rows, dtype=np.int64)
    return Picks(chosen, np.array(scores), scaled[chosen], np.array(seen))
