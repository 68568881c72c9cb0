"""Personalised PageRank on an undirected graph without weights.

A walk of a few steps over arrays, in NumPy. igraph, which the released code of MemGAS uses, is under the GPL and
therefore not a dependency; networkx (what the tests compare with) takes longer to build its dictionaries than
the walk itself takes; scipy's sparse matrices are as fast as this but take a third of a second to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.retrievers.ranking import Scores

MAX_DAMPING = 0.99
"""Beyond this the walk takes thousands of steps to settle."""

_ERROR = 1e-12


def personalised_pagerank(edges: NDArray[np.int64], seeds: Scores, damping: float) -> Scores:
    """How often a walk that starts at the seeds is at each node, (n,), summing to 1.

    The solution of pi = (1 - d) r + d P^T pi: with probability ``damping`` d (0 to MAX_DAMPING) the walk follows an
    edge of the node it is at, each as likely as the other, else it starts again at a node drawn by ``seeds`` (n,),
    which are not negative and not all 0; r is their share. At a node without edges it always starts again.
    ``edges`` (m, 2) are pairs of nodes 0..n-1, each pair once. The sum of absolute errors is below 1e-12.

    Source: Page, Brin, Motwani & Winograd, "The PageRank citation ranking", 1999, section 6.
    """
    restart: Scores = seeds / seeds.sum()
    if damping == 0.0 or not len(edges):
        return restart
    count = len(seeds)
    starts, ends = edges.ravel(), edges[:, ::-1].ravel()
    degrees = np.bincount(starts, minlength=count)
    lonely = degrees == 0
    share = 1.0 / np.maximum(degrees, 1)
    scores = restart
    while True:
        followed = np.bincount(ends, weights=(scores * share)[starts], minlength=count)
        moved: Scores = damping * (followed + scores[lonely].sum() * restart) + (1.0 - damping) * restart
        # The error shrinks by d a step, so what is left is at most d / (1 - d) times the last change.
        left = np.abs(moved - scores).sum() * damping / (1.0 - damping)
        scores = moved
        if left < _ERROR:
            return scores
