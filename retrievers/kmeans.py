"""A small k-means for tens to hundreds of vectors and a handful of clusters.

scikit-learn's spends most of its time there on anything but arithmetic. Here everything happens on the matrix of inner
products (n, n), in which a squared distance to a centroid is three lookups, and all restarts run side by side.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.retrievers.ranking import Rows, Scores

RESTARTS = 4
ITERATIONS = 100


class Clusters(NamedTuple):
    """A partition of n points.

    ``labels`` (n,) int64, numbered from 0 in the order in which clusters first appear among the points;
    ``inertia``: the sum of squared distances of the points to the mean of their cluster.
    """

    labels: Rows
    inertia: float


def kmeans(points: NDArray[np.floating], clusters: int, *, seed: int = 0, restarts: int = RESTARTS) -> Clusters:
    """Partition ``points`` (n, dim) into at most ``clusters`` groups; the best of ``restarts`` runs.

    Every point is a cluster of its own if there are no more than ``clusters``; there are fewer clusters than asked for
    where fewer points are distinct. The same points and seed give the same partition.

    Sources: Lloyd, "Least squares quantization in PCM", 1982; first centres by greedy k-means++ (Arthur &
    Vassilvitskii, SODA 2007, as in scikit-learn: of 2 + ln(clusters) drawn points the one that lowers the inertia
    most). A cluster that loses all its points takes the point farthest from its centre.
    """
    count = len(points)
    if clusters < 1:
        raise InvalidInput(f"clusters is {clusters!r}", hint="pass a whole number of at least 1")
    if count <= clusters:
        return Clusters(np.arange(count, dtype=np.int64), 0.0)
    if clusters == 1:
        return Clusters(np.zeros(count, np.int64), _inertia_of_one(points))
    # Distances do not change when the origin moves; near it they lose the least to rounding.
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    products = centred @ centred.T
    labels = _first_labels(products, clusters, restarts, np.random.default_rng(seed))
    labels, inertias = _lloyd(products, labels, clusters)
    best = int(inertias.argmin())
    return Clusters(_renumbered(labels[best]), float(inertias[best]))


def _inertia_of_one(points: NDArray[np.floating]) -> float:
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    return float(np.einsum("ij,ij->", centred, centred))


def _first_labels(products: Scores, clusters: int, restarts: int, random: np.random.Generator) -> Rows:
    """The nearest of some first centres for each point and restart, (restarts, n)."""
    count = len(products)
    norms = np.diagonal(products)
    distances = np.maximum(norms[:, None] + norms - 2 * products, 0.0)
    runs = np.arange(restarts)
    chosen = np.empty((restarts, clusters), np.int64)
    chosen[:, 0] = random.integers(count, size=restarts)
    closest = distances[chosen[:, 0]]  # (restarts, n): squared distance to the nearest centre so far
    trials = 2 + int(np.log(clusters))
    for place in range(1, clusters):
        # Points are drawn with a probability in proportion to that distance.
        reach = np.cumsum(closest, axis=1)
        draws = random.random((restarts, trials)) * reach[:, -1:]
        drawn = np.minimum((reach[:, None, :] <= draws[:, :, None]).sum(axis=2), count - 1)
        after = np.minimum(closest[:, None, :], distances[drawn])  # (restarts, trials, n)
        kept = after.sum(axis=2).argmin(axis=1)
        chosen[:, place] = drawn[runs, kept]
        closest = after[runs, kept]
    labels: Rows = distances[chosen].argmin(axis=1)
    return labels


def _lloyd(products: Scores, labels: Rows, clusters: int) -> tuple[Rows, Scores]:
    """Labels (restarts, n) that no step changes any more, and the inertia of each restart, (restarts,)."""
    identity = np.eye(clusters)
    norms = np.diagonal(products)
    for _ in range(ITERATIONS):
        distances, empty = _distances(products, norms, identity[labels])
        nearest = distances.argmin(axis=2)
        if empty.any():
            _fill_empty(nearest, distances, empty)
        if (nearest == labels).all():
            break
        labels = nearest
    distances, _ = _distances(products, norms, identity[labels])
    return labels, np.take_along_axis(distances, labels[:, :, None], axis=2).sum(axis=(1, 2))


def _distances(products: Scores, norms: Scores, members: Scores) -> tuple[Scores, NDArray[np.bool_]]:
    """Squared distance of each point to the mean of each cluster, (restarts, n, clusters), and which are empty.

    ``members`` (restarts, n, clusters) is 1 where a point belongs to a cluster.
    |x - m|^2 = x.x - 2 x.m + m.m, where x.m is a mean of inner products and m.m a mean of those of the members.
    """
    sizes = members.sum(axis=1)
    empty = sizes == 0
    means = members / np.maximum(sizes, 1.0)[:, None, :]
    along = products @ means
    own = np.einsum("rnk,rnk->rk", means, along)
    distances = np.maximum(norms[:, None] - 2 * along + own[:, None, :], 0.0)
    distances[np.broadcast_to(empty[:, None, :], distances.shape)] = np.inf
    return distances, empty


def _fill_empty(labels: Rows, distances: Scores, empty: NDArray[np.bool_]) -> None:
    """Move the point farthest from its centre into each empty cluster; none where all lie on their centres."""
    for run, cluster in zip(*np.nonzero(empty), strict=True):
        spread = np.take_along_axis(distances[run], labels[run][:, None], axis=1)[:, 0]
        spread[np.bincount(labels[run], minlength=len(empty[run]))[labels[run]] < 2] = 0.0
        farthest = int(spread.argmax())
        if spread[farthest] > 1e-12:
            labels[run, farthest] = cluster
            distances[run, farthest, cluster] = 0.0


def _renumbered(labels: Rows) -> Rows:
    _, first, places = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[places].astype(np.int64, copy=False)
