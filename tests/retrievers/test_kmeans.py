from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from memagent.errors import InvalidInput
from memagent.retrievers.kmeans import _lloyd, kmeans


def unit(points: NDArray[np.floating]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return scaled


def spread(points: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """The inertia of a partition, computed as it is defined."""
    wide = points.astype(np.float64)
    return sum(
        float(((wide[labels == label] - wide[labels == label].mean(axis=0)) ** 2).sum()) for label in set(labels)
    )


def partition(labels: NDArray[np.int64]) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}


@pytest.mark.parametrize(("count", "clusters", "dim"), [(6, 3, 64), (24, 3, 384), (54, 4, 64), (90, 6, 16)])
@pytest.mark.parametrize("separation", [0.0, 0.5, 2.0])
def test_the_inertia_is_never_much_worse_than_scikit_learns(
    count: int, clusters: int, dim: int, separation: float
) -> None:
    random = np.random.default_rng([count, clusters, int(10 * separation)])
    ratios = []
    for seed in range(10):
        centres = separation * random.standard_normal((clusters, dim))
        points = unit(random.standard_normal((count, dim)) + centres[random.integers(clusters, size=count)])
        reference = KMeans(clusters, random_state=42).fit(points).inertia_
        ratios.append(kmeans(points, clusters, seed=seed).inertia / reference)
    assert max(ratios) < 1.04
    assert np.mean(ratios) < 1.005


def test_well_separated_groups_are_found_as_scikit_learn_finds_them() -> None:
    random = np.random.default_rng(0)
    for clusters in (2, 3, 5):
        centres = unit(random.standard_normal((clusters, 48)))
        belongs = random.permutation(np.arange(40) % clusters)
        points = unit(centres[belongs] + 0.02 * random.standard_normal((40, 48)))
        reference = KMeans(clusters, random_state=42, n_init=10).fit(points)
        found = kmeans(points, clusters)
        assert partition(found.labels) == partition(reference.labels_) == partition(belongs)
        assert found.inertia == pytest.approx(reference.inertia_, rel=1e-5)


def test_two_pairs_by_hand() -> None:
    """Two pairs 10 degrees wide, a right angle apart: each pair is a cluster.

    The points of a pair are 2 sin 5 deg = 0.174311 apart, so each is half of that from their mean: the inertia is
    4 * 0.0871557^2 = 0.0303845.
    """
    angles = np.radians([0.0, 100.0, 10.0, 90.0])
    found = kmeans(np.stack([np.cos(angles), np.sin(angles)], axis=1), 2)
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.inertia == pytest.approx(0.0303845, rel=1e-5)


def test_clusters_are_numbered_as_they_appear() -> None:
    random = np.random.default_rng(3)
    for seed in range(5):
        labels = kmeans(unit(random.standard_normal((30, 8))), 5, seed=seed).labels.tolist()
        assert list(dict.fromkeys(labels)) == list(range(len(set(labels))))


def test_no_more_points_than_clusters_stand_alone() -> None:
    points = np.ones((3, 4), np.float32)
    for clusters in (3, 4, 9):
        assert kmeans(points, clusters).labels.tolist() == [0, 1, 2]
    assert kmeans(points[:0], 3).labels.tolist() == []
    assert kmeans(points, 1).labels.tolist() == [0, 0, 0]


def test_duplicates_make_fewer_clusters_and_no_warning() -> None:
    two = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = kmeans(two[[0, 1, 0, 0, 1, 1, 0]], 4)
        same = kmeans(two[[0] * 9], 3)
    assert found.labels.tolist() == [0, 1, 0, 0, 1, 1, 0]
    assert found.inertia == pytest.approx(0.0, abs=1e-12)
    assert same.labels.tolist() == [0] * 9


def test_a_cluster_left_empty_takes_the_farthest_point() -> None:
    """Of 30 points 27 are the same: whatever the first centres, all four places are found."""
    places = unit(np.random.default_rng(1).standard_normal((4, 6)))
    points = places[[0] * 27 + [1, 2, 3]]
    for seed in range(20):
        found = kmeans(points, 4, seed=seed)
        assert partition(found.labels) == {frozenset(range(27)), *(frozenset([place]) for place in (27, 28, 29))}


def test_a_cluster_that_loses_its_points_on_the_way_is_filled_again() -> None:
    """It begins empty here; of the three places the one that is farthest from the mean of its cluster moves there."""
    places = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.1, 0.0], [0.0, 9.0]])
    begun = np.array([[0, 0, 1, 1, 1], [0, 0, 0, 0, 0]])
    labels, inertias = _lloyd(places @ places.T, begun, 3)
    for found in labels:
        assert partition(found) == {frozenset([0, 1]), frozenset([2, 3]), frozenset([4])}
    assert inertias == pytest.approx([0.01, 0.01], abs=1e-9)


def test_no_clusters_are_refused() -> None:
    with pytest.raises(InvalidInput, match="clusters is 0"):
        kmeans(np.ones((3, 2)), 0)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 8), st.integers(1, 6), st.integers(0, 2**32), st.booleans())
def test_any_points_are_partitioned_the_same_way_each_time(
    count: int, clusters: int, dim: int, seed: int, repeated: bool
) -> None:
    random = np.random.default_rng(seed)
    points = unit(random.standard_normal((count, dim)) + 1e-3)
    if repeated:
        points = points[random.integers(count, size=count)]
    found = kmeans(points, clusters, seed=seed)
    again = kmeans(points, clusters, seed=seed)
    assert found.labels.tolist() == again.labels.tolist()
    assert found.labels.shape == (count,)
    assert len(set(found.labels.tolist())) <= clusters
    assert found.inertia == pytest.approx(spread(points, found.labels), abs=1e-6)
    # No point is nearer to the mean of another cluster than to that of its own.
    wide = points.astype(np.float64)
    means = np.stack([wide[found.labels == label].mean(axis=0) for label in range(found.labels.max() + 1)])
    distances = ((wide[:, None, :] - means) ** 2).sum(axis=2)
    own = distances[np.arange(count), found.labels]
    assert (own <= distances.min(axis=1) + 1e-6).all() or count <= clusters
