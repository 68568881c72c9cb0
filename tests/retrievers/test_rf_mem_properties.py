"""What holds of RF-Mem for any memory and any settings."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memagent.records import Granularity, Query, Retrieval
from memagent.retrievers import RFMem, neighbours
from memagent.retrievers.neighbours import Neighbours
from memagent.retrievers.ranking import top_k
from memagent.testing.views import ArrayView, ViewUnit

seeds = st.integers(0, 2**32 - 1)
counts = st.integers(0, 40)
recollecting = st.fixed_dictionaries(
    {
        "alpha": st.sampled_from([0.0, 0.3, 0.7, 1.0]),
        "beam": st.integers(1, 5),
        "fanout": st.integers(1, 3),
        "rounds": st.none() | st.integers(1, 6),
        "branch_score": st.sampled_from(["paper", "code"]),
        "centroid": st.sampled_from(["normalised", "mean"]),
        "duplicates": st.sampled_from(["before", "after"]),
        "when_empty": st.sampled_from(["stop", "continue"]),
        "budget": st.sampled_from(["free", "below-k"]),
        "early_stop": st.booleans(),
        "final_order": st.sampled_from(["insertion", "kept-score", "rerank"]),
        "mmr_lambda": st.sampled_from([1.0, 0.9, 0.5]),
    }
)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


def memory(seed: int, count: int, dim: int = 6, *, repeated: bool = False) -> tuple[ArrayView, Query]:
    """Random turns around the query, some of them the same, and the query."""
    random = np.random.default_rng(seed)
    query = random.standard_normal(dim) + 1e-3
    vectors = unit(random.standard_normal((count, dim)) + random.uniform(-1, 1) * query)
    if repeated and count:
        vectors = vectors[random.integers(count, size=count)]
    units = [ViewUnit(key=key, session=0, text="", vector=vector) for key, vector in enumerate(vectors, start=1)]
    return ArrayView(units), Query(text="", vector=unit(query))


def keys(found: Retrieval) -> list[int]:
    return [hit.key for hit in found.hits]


@settings(max_examples=150)
@given(seeds, counts, st.integers(1, 50), st.booleans(), recollecting)
def test_k_different_units_come_in_falling_order_the_same_each_time(
    seed: int, count: int, k: int, repeated: bool, options: dict[str, Any]
) -> None:
    bank, query = memory(seed, count, repeated=repeated)
    retriever = RFMem(path="recollection", **options)
    found = retriever.retrieve(query, bank, k)
    assert len(found.hits) == len(set(keys(found))) == min(k, count)
    scores = [hit.score for hit in found.hits]
    assert scores == sorted(scores, reverse=True)
    for one, other in zip(found.hits, found.hits[1:], strict=False):
        assert one.score > other.score or one.key < other.key
    assert query.vector is not None
    cosines = bank.similarities(query.vector, Granularity.TURN)
    assert [hit.parts["dense"] for hit in found.hits] == [cosines[key - 1] for key in keys(found)]
    assert retriever.retrieve(query, bank, k) == found
    signals = found.trace["signals"]
    assert signals["filled"] == len(found.hits) - min(k, signals["recollected"])
    assert len(found.trace["rounds"]) <= (options["rounds"] or k)
    json.dumps(found.trace, allow_nan=False)


@settings(max_examples=100)
@given(seeds, st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.sampled_from([0.0, 0.5, 1.0]))
def test_the_first_round_brings_the_nearest_units(seed: int, count: int, beam: int, fanout: int, alpha: float) -> None:
    """There are no more clusters than queries that go on, so all of round 0's units come."""
    bank, query = memory(seed, count)
    first = beam * fanout
    found = RFMem(path="recollection", alpha=alpha, beam=beam, fanout=fanout).retrieve(query, bank, first)
    nearest = RFMem(path="familiarity").retrieve(query, bank, first)
    assert set(keys(found)) == set(keys(nearest))
    assert all(hit.parts["round"] == 0 for hit in found.hits)
    if fanout == 1:
        assert keys(found) == keys(nearest)


@settings(max_examples=60)
@given(seeds, st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.integers(1, 3))
def test_alpha_one_never_moves_the_query(seed: int, count: int, k: int, beam: int, fanout: int) -> None:
    bank, query = memory(seed, count)
    found = RFMem(path="recollection", alpha=1.0, beam=beam, fanout=fanout).retrieve(query, bank, k)
    for each in found.trace["rounds"]:
        assert [kept["cosine_to_query"] for kept in each["kept"]] == pytest.approx([1.0] * len(each["kept"]))
    if fanout == 1:
        assert keys(found) == keys(RFMem(path="familiarity").retrieve(query, bank, k))


@settings(max_examples=60)
@given(seeds, counts, st.integers(1, 20), st.floats(-0.5, 0.9), recollecting)
def test_nothing_below_the_floor_comes(seed: int, count: int, k: int, floor: float, options: dict[str, Any]) -> None:
    bank, query = memory(seed, count)
    found = RFMem(path="recollection", floor=floor, **options).retrieve(query, bank, k)
    familiar = RFMem(path="familiarity", floor=floor).retrieve(query, bank, k)
    assert all(hit.parts["dense"] >= floor for hit in familiar.hits)
    assert len(set(keys(found))) == len(found.hits) <= k
    assert set(keys(familiar)) <= set(keys(found)) or len(found.hits) == k
    assert all(hit.parts["dense"] >= floor for hit in found.hits if "round" not in hit.parts)


@settings(max_examples=60)
@given(seeds, counts, st.integers(1, 20), st.floats(-1, 1), st.floats(0, 0.3))
def test_the_gate_gives_what_the_path_alone_would(seed: int, count: int, k: int, theta: float, tau: float) -> None:
    bank, query = memory(seed, count)
    gated = RFMem(theta_high=1.0, theta_low=theta, tau=tau).retrieve(query, bank, k)
    path = gated.trace["path"]
    assert gated.hits == RFMem(path=path).retrieve(query, bank, k).hits
    signals = gated.trace["signals"]
    if count and theta < signals["mean_score"] < 1.0:
        assert path == ("familiarity" if signals["entropy"] <= tau else "recollection")


@pytest.mark.parametrize("small", [0, 1024])
@settings(max_examples=60)
@given(
    seed=seeds, count=st.integers(1, 300), wanted=st.integers(1, 30), drift=st.floats(0.01, 2.0), repeated=st.booleans()
)
def test_the_neighbours_of_drifted_queries_are_exact(
    small: int, seed: int, count: int, wanted: int, drift: float, repeated: bool
) -> None:
    """Whether all vectors are fetched at once, some of them, or the bank is asked."""
    bank, query = memory(seed, count, dim=12, repeated=repeated)
    assert query.vector is not None
    random = np.random.default_rng(seed)
    drifted = unit(query.vector + drift * unit(random.standard_normal((3, 12))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_SMALL", small)
        space = Neighbours(bank, Granularity.TURN, query.vector)
        for round_ in range(2):  # the second time the pool is there
            found = space.nearest(drifted, wanted + round_)
            for vector, near in zip(drifted, found, strict=True):
                cosines = bank.similarities(vector, Granularity.TURN)
                expected = cosines[top_k(cosines, wanted + round_)]
                assert near.cosines == pytest.approx(expected, abs=1e-6)
                assert near.cosines == pytest.approx(cosines[near.rows], abs=1e-6)
                assert len(set(near.rows.tolist())) == len(expected)
                # Equal vectors stay in key order.
                for one, other in zip(near.rows.tolist(), near.rows.tolist()[1:], strict=False):
                    assert one < other or not (bank.vectors([one + 1]) == bank.vectors([other + 1])).all()
        assert (space.vectors(found[0].rows) == bank.vectors(space.keys[found[0].rows])).all()


def test_most_of_a_large_memory_is_not_looked_at_again() -> None:
    random = np.random.default_rng(0)
    topics = unit(random.standard_normal((40, 32)))
    vectors = unit(topics[random.integers(40, size=3000)] + 0.6 * unit(random.standard_normal((3000, 32))))
    bank = ArrayView([ViewUnit(key=key, session=0, text="", vector=vector) for key, vector in enumerate(vectors)])
    space = Neighbours(bank, Granularity.TURN, vectors[0])
    space.nearest(unit(vectors[:1] + 0.2 * topics[:1]), 10)
    assert 10 <= len(space._rows) < 600
