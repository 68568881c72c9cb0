from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.records import Granularity, Query
from memagent.retrievers import Dense
from memagent.retrievers.mmr import NOTHING_CHOSEN, pick_diverse
from memagent.testing.views import ArrayView, ViewUnit

EAST, NORTH = [1.0, 0.0], [0.0, 1.0]
BETWEEN = [0.6, 0.8]


def test_a_repetition_waits_for_something_new() -> None:
    vectors = np.array([EAST, EAST, NORTH], dtype=np.float32)
    picks = pick_diverse(np.array([0.9, 0.8, 0.4]), vectors, 3, 0.5)
    # relevance 1, 0.8, 0; second choice: east again 0.5 * 0.8 - 0.5 * 1 = -0.1, north 0.5 * 0 - 0.5 * 0 = 0.
    assert picks.rows.tolist() == [0, 2, 1]
    assert picks.scores == pytest.approx([1.0, 0.0, -0.1])
    assert picks.relevance == pytest.approx([1.0, 0.0, 0.8])
    assert picks.redundancy == pytest.approx([NOTHING_CHOSEN, 0.0, 1.0])


def test_redundancy_is_the_highest_cosine_with_any_earlier_choice() -> None:
    vectors = np.array([EAST, NORTH, BETWEEN], dtype=np.float32)
    picks = pick_diverse(np.array([3.0, 2.0, 1.0]), vectors, 3, 0.5)
    assert picks.rows.tolist() == [0, 1, 2]
    assert picks.redundancy == pytest.approx([NOTHING_CHOSEN, 0.0, 0.8])


@given(
    st.lists(st.tuples(st.floats(0, 1, width=16), st.integers(0, 359)), max_size=12),
    st.integers(1, 14),
    st.floats(0, 1, width=16),
)
def test_choices_are_the_greedy_ones_and_their_scores_never_rise(
    pool: list[tuple[float, int]], k: int, mmr_lambda: float
) -> None:
    angles = np.radians([angle for _, angle in pool])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32).reshape(-1, 2)
    picks = pick_diverse(np.array([relevance for relevance, _ in pool]), vectors, k, mmr_lambda)
    assert len(picks.rows) == len(set(picks.rows.tolist())) == min(k, len(pool))
    assert (np.diff(picks.scores) <= 0).all()
    for place, row in enumerate(picks.rows.tolist()):
        earlier = vectors[picks.rows[:place]]
        cosine = float((earlier @ vectors[row]).max()) if place else NOTHING_CHOSEN
        assert picks.redundancy[place] == pytest.approx(cosine, abs=1e-6)
        marginal = mmr_lambda * picks.relevance[place] - (1 - mmr_lambda) * cosine
        assert picks.scores[place] == pytest.approx(marginal, abs=1e-6)


def test_with_lambda_1_the_order_is_that_of_relevance() -> None:
    vectors = np.array([EAST, EAST, NORTH, BETWEEN], dtype=np.float32)
    assert pick_diverse(np.array([1.0, 3.0, 2.0, 3.0]), vectors, 4, 1.0).rows.tolist() == [1, 3, 2, 0]


def test_only_the_pool_is_chosen_from_but_never_fewer_than_asked_for() -> None:
    angles = {1: 0, 2: 10, 3: 20, 4: 90}
    units = [
        ViewUnit(
            key=key,
            session=0,
            text="",
            vector=np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))], dtype=np.float32),
        )
        for key, angle in angles.items()
    ]
    query = Query(text="", vector=np.array(EAST, dtype=np.float32), granularity=Granularity.TURN)

    def keys(pool: int, k: int) -> list[int]:
        found = Dense(mmr_lambda=0.0, pool=pool).retrieve(query, ArrayView(units), k)
        assert found.trace["mmr"] == {"lambda": 0.0, "pool": min(4, max(pool, k))}
        return [hit.key for hit in found.hits]

    assert keys(pool=4, k=2) == [1, 4]
    assert keys(pool=3, k=2) == [1, 3]
    assert keys(pool=1, k=4) == [1, 4, 3, 2]
