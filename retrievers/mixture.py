"""Two-component Gaussian mixtures of many short lists of numbers at once.

Fits to each list what ``sklearn.mixture.GaussianMixture(n_components=2, random_state=0)`` fits, step for step:
k-means++ with the same random numbers, Lloyd's iterations, then expectation maximisation with the same
tolerances. One fit by scikit-learn takes about 2 ms, too long for four lists a session.

Sums are taken in another order than in scikit-learn, so results can differ from its where rounding decides,
as for lists that are their own mirror image.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.retrievers.ranking import Scores

_KMEANS_ITERATIONS = 300
_KMEANS_TOLERANCE = 1e-4
"""How far the centres may still move at the end, as a share of the variance of the list."""
_EM_ITERATIONS = 100
_EM_TOLERANCE = 1e-3
"""Change of the mean log-likelihood at which the fit is done."""
_ADDED_VARIANCE = 1e-6
_ADDED_COUNT = 10 * float(np.finfo(np.float64).eps)
"""Added to the size of a component, so that it can be divided by when it has no members."""


class _Components(NamedTuple):
    """The two components of each list: weights, means and inverse standard deviations, (2, rows) each."""

    weights: Scores
    means: Scores
    precisions: Scores


def upper_component(values: Scores) -> NDArray[np.bool_]:
    """Which values belong to the component with the larger mean, (rows, n), for ``rows`` lists of ``n`` finite values.

    Each list is fitted on its own: its result does not depend on the other rows. Its order matters, because k-means
    starts from the value in a fixed place.

    Lists that are hardly lists: a single value is accepted (scikit-learn refuses it); of two values the larger is;
    equal values are, as in scikit-learn, all accepted if positive and all refused if negative (the second
    component is empty, with the mean 0).
    """
    values = np.ascontiguousarray(values, dtype=np.float64)
    rows, n = values.shape
    upper = np.ones((rows, n), dtype=np.bool_)
    if n < 2:
        return upper
    members = _clusters(values)
    components = _fitted_to(values, np.stack([~members, members]).astype(np.float64))
    active, bound = np.arange(rows), np.full(rows, -np.inf)
    for _ in range(_EM_ITERATIONS):
        likelihood = _log_likelihood(values, components)
        total = _log_sum(likelihood)
        components = _fitted_to(values, np.exp(likelihood - total))
        before, bound = bound, total.mean(axis=1)
        going = np.abs(bound - before) >= _EM_TOLERANCE
        upper[active] = _in_upper(values, components)
        active, bound, values = active[going], bound[going], values[going]
        components = _Components(*(part[:, going] for part in components))
        if not len(active):
            break
    return upper


def _in_upper(values: Scores, components: _Components) -> NDArray[np.bool_]:
    """Which values are more likely of the component with the larger mean, (rows, n); ties are of the first."""
    first, second = _log_likelihood(values, components)
    means = components.means
    upper: NDArray[np.bool_] = (second > first) == (means[1] > means[0])[:, None]
    return upper


def _fitted_to(values: Scores, shares: Scores) -> _Components:
    """The maximisation step: components of ``values`` (rows, n) that belong to them by ``shares`` (2, rows, n)."""
    sizes = shares.sum(axis=2) + _ADDED_COUNT
    means = (shares * values).sum(axis=2) / sizes
    off = values - means[:, :, None]
    variances = (shares * off * off).sum(axis=2) / sizes + _ADDED_VARIANCE
    return _Components(sizes / sizes.sum(axis=0), means, 1.0 / np.sqrt(variances))


def _log_likelihood(values: Scores, components: _Components) -> Scores:
    """Log of weight times density of each value under each component, (2, rows, n)."""
    weights, means, precisions = (part[:, :, None] for part in components)
    off = values * precisions - means * precisions
    likelihood: Scores = -0.5 * (math.log(2 * math.pi) + off * off) + (np.log(precisions) + np.log(weights))
    return likelihood


def _log_sum(likelihood: Scores) -> Scores:
    """The log of the sum of both components, (rows, n)."""
    first, second = likelihood
    total: Scores = np.log1p(np.exp(-np.abs(first - second))) + np.maximum(first, second)
    return total


def _clusters(values: Scores) -> NDArray[np.bool_]:
    """Which values are in the second of the two clusters of scikit-learn's KMeans(n_init=1), (rows, n)."""
    points = values - values.mean(axis=1, keepdims=True)
    tolerance = values.var(axis=1) * _KMEANS_TOLERANCE
    centers = _seeds(points)
    second = _nearer_second(points, centers)
    found, active = second.copy(), np.arange(len(points))
    for _ in range(_KMEANS_ITERATIONS):
        moved = _centers(points, second)
        shift = ((moved - centers) ** 2).sum(axis=1)
        before, second = second, _nearer_second(points, moved)
        found[active] = second
        going = (shift > tolerance) & (second != before).any(axis=1)
        active, points, tolerance = active[going], points[going], tolerance[going]
        centers, second = moved[going], second[going]
        if not len(active):
            break
    return found


def _nearer_second(points: Scores, centers: Scores) -> NDArray[np.bool_]:
    """Which points are nearer to the second center, (rows, n). In the form |c|^2 - 2cx, which scikit-learn compares."""
    first, second = (center[:, None] for center in centers.T)
    nearer: NDArray[np.bool_] = second * second - 2.0 * (points * second) < first * first - 2.0 * (points * first)
    return nearer


def _centers(points: Scores, second: NDArray[np.bool_]) -> Scores:
    """Means of both clusters, (rows, 2)."""
    sizes = np.count_nonzero(second, axis=1)
    # cumsum adds one by one, as scikit-learn does.
    sums = np.cumsum(np.where([~second, second], points, 0.0), axis=2)[:, :, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        centers: Scores = (sums * (1.0 / np.stack([second.shape[1] - sizes, sizes]))).T
    # Only equal values leave a cluster empty; scikit-learn then puts it where the other one is.
    centers[sizes == 0, 1] = centers[sizes == 0, 0]
    return centers


def _seeds(points: Scores) -> Scores:
    """The two first centers by greedy k-means++, (rows, 2): a fixed place, then the better of two drawn by distance."""
    start, draws = _random_numbers(points.shape[1])
    rows = np.arange(len(points))
    distances = _squared_distances(points, points[:, start])
    potential = distances.sum(axis=1)
    running = np.cumsum(distances, axis=1)
    trials = []
    for draw in draws:
        # What np.searchsorted gives: how many running sums are smaller.
        place = np.count_nonzero(running < (draw * potential)[:, None], axis=1)
        center = points[rows, np.minimum(place, points.shape[1] - 1)]
        trials.append((center, np.minimum(distances, _squared_distances(points, center)).sum(axis=1)))
    (center, left), (other, left_by_other) = trials
    return np.stack([points[:, start], np.where(left_by_other < left, other, center)], axis=1)


def _squared_distances(points: Scores, center: Scores) -> Scores:
    """Squared distances (rows, n) in the form c^2 - 2cx + x^2, as scikit-learn computes them."""
    center = center[:, None]
    return np.maximum(-2.0 * (center * points) + center * center + points * points, 0.0)


@lru_cache(maxsize=64)
def _random_numbers(n: int) -> tuple[int, tuple[float, float]]:
    """The first place and the two later draws of KMeans with random_state 0 on ``n`` values: always the same."""
    random = np.random.RandomState(0)  # the generator that scikit-learn uses
    start = int(random.choice(n, p=np.full(n, 1.0 / n)))
    first, second = random.uniform(size=2).tolist()
    return start, (first, second)
