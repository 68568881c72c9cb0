from __future__ import annotations

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.retrievers.pagerank import personalised_pagerank


def walked(edges: list[tuple[int, int]], seeds: list[float], damping: float) -> list[float]:
    pairs = np.array(edges, dtype=np.int64).reshape(-1, 2)
    scores: list[float] = personalised_pagerank(pairs, np.array(seeds), damping).tolist()
    return scores


def test_two_nodes_by_hand() -> None:
    # a = (1 - d) + d b and b = d a, so a = 1 / (1 + d).
    assert walked([(0, 1)], [5.0, 0.0], 0.1) == pytest.approx([1 / 1.1, 0.1 / 1.1], abs=1e-12)


def test_a_chain_by_hand() -> None:
    # 0 - 1 - 2, seed 0, d = 0.1: a = 0.9 + 0.05 b, b = 0.1 a + 0.1 c, c = 0.05 b.
    # c = 0.05 b, hence 0.995 b = 0.1 a, and a (1 - 0.005 / 0.995) = 0.9: a = 0.9045..., b = 0.0909..., c = 0.0045...
    a = 0.9 / (1 - 0.005 / 0.995)
    b = 0.1 * a / 0.995
    assert walked([(0, 1), (1, 2)], [1.0, 0.0, 0.0], 0.1) == pytest.approx([a, b, 0.05 * b], abs=1e-12)
    # One step away is about 9 % of the seed's mass, two steps 0.5 % here, where half of it goes back.
    assert (round(a, 4), round(b, 4), round(0.05 * b, 4)) == (0.9045, 0.0909, 0.0045)


def test_without_damping_the_seeds_come_back_as_shares() -> None:
    assert walked([(0, 1), (1, 2)], [1.0, 3.0, 0.0], 0.0) == [0.25, 0.75, 0.0]


def test_without_edges_the_seeds_come_back_as_shares() -> None:
    assert walked([], [1.0, 3.0], 0.5) == [0.25, 0.75]


def test_a_lonely_seed_starts_again_and_feeds_the_other_seeds() -> None:
    # Node 2 has no edges: r = (.5, 0, .5); a = .45 + .1 (b + c / 2), b = .1 a, c = .45 + .1 c / 2.
    c = 0.45 / 0.95
    a = (0.45 + 0.05 * c) / 0.99
    assert walked([(0, 1)], [1.0, 0.0, 1.0], 0.1) == pytest.approx([a, 0.1 * a, c], abs=1e-12)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[float]]:
    count = draw(st.integers(1, 12))
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    edges = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    seeds = draw(st.lists(st.floats(0.0, 1.0, width=16), min_size=count, max_size=count).filter(any))
    return edges, seeds


@given(graphs(), st.floats(0.0, 0.95))
def test_it_agrees_with_networkx_and_sums_to_one(
    drawn: tuple[list[tuple[int, int]], list[float]], damping: float
) -> None:
    edges, seeds = drawn
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(seeds)))
    graph.add_edges_from(edges)
    expected = networkx.pagerank(graph, alpha=damping, personalization=dict(enumerate(seeds)), tol=1e-13, max_iter=5000)
    scores = walked(edges, seeds, damping)
    assert scores == pytest.approx([expected[node] for node in range(len(seeds))], abs=1e-9)
    assert sum(scores) == pytest.approx(1.0)
    assert min(scores) >= 0.0
