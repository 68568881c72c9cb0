from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.retrievers import ranking

FEW = st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 1e-300, 3.25])


@given(st.lists(FEW, max_size=40), st.integers(1, 50))
def test_top_k_is_a_stable_sort_cut_at_k(scores: list[float], k: int) -> None:
    expected = sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:k]
    assert ranking.top_k(np.array(scores), k).tolist() == expected
    assert ranking.top_k(np.array(scores, dtype=np.float32)[:3], k).dtype == np.int64


@given(st.lists(st.tuples(st.integers(0, 4), FEW), max_size=40), st.integers(1, 5))
def test_group_scores_equal_a_loop_over_the_groups(rows: list[tuple[int, float]], m: int) -> None:
    index = np.array([group for group, _ in rows], dtype=np.int64)
    scores = np.array([score for _, score in rows], dtype=np.float64)
    members = [sorted((score for group, score in rows if group == wanted), reverse=True) for wanted in range(5)]
    assert ranking.group_max(scores, index, 5).tolist() == [max(found, default=-np.inf) for found in members]
    assert ranking.group_sum(scores, index, 5) == pytest.approx([sum(found) for found in members])
    assert ranking.group_top_sum(scores, index, 5, m) == pytest.approx([sum(found[:m]) for found in members])


def test_normalisations_by_hand() -> None:
    scores = np.array([4.0, 1.0, 2.0, 1.0])
    assert ranking.normalised(scores, "max").tolist() == [1.0, 0.25, 0.5, 0.25]
    assert ranking.normalised(scores, "min-max") == pytest.approx([1.0, 0.0, 1 / 3, 0.0])
    assert ranking.normalised(scores, "z") == pytest.approx(np.array([2.0, -1.0, 0.0, -1.0]) / np.sqrt(1.5))


@pytest.mark.parametrize("how", ["max", "min-max", "z"])
def test_normalising_equal_scores_or_none_divides_by_nothing(how: ranking.Norm) -> None:
    assert ranking.normalised(np.zeros(3), how).tolist() == [0.0, 0.0, 0.0]
    assert ranking.normalised(np.zeros(0), how).tolist() == []
    assert np.isfinite(ranking.normalised(np.full(3, 0.1), how)).all()


@pytest.mark.parametrize("how", ["max", "min-max", "z"])
@given(scores=st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=12))
def test_normalising_keeps_the_order(how: ranking.Norm, scores: list[float]) -> None:
    scaled = ranking.normalised(np.array(scores), how)
    order = np.argsort(scores, kind="stable")
    assert (np.diff(scaled[order]) >= 0).all()


def test_scores_below_zero_keep_their_order_when_scaled_by_the_maximum() -> None:
    assert ranking.over_maximum(np.array([-0.1, -0.4, -0.2])).tolist() == pytest.approx([-0.25, -1.0, -0.5])


def test_reciprocal_ranks_by_hand() -> None:
    scores = np.array([0.0, 7.0, 2.0, 7.0, 0.0])
    ranks = ranking.reciprocal_ranks(scores, 60, only_positive=True)
    assert ranks.tolist() == [0.0, 1 / 61, 1 / 63, 1 / 62, 0.0]
    ranks = ranking.reciprocal_ranks(scores, 60, only_positive=False)
    assert ranks.tolist() == [1 / 64, 1 / 61, 1 / 63, 1 / 62, 1 / 65]
