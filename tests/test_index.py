from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from memagent.errors import DuplicateId, InvalidVector
from memagent.index import VectorIndex, checked_vectors

DIM = 5
Floats = NDArray[np.float32]


def unit(values: Any) -> Floats:
    array = np.asarray(values, np.float32)
    scaled: Floats = (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)
    return scaled


# Few different vectors, so that equal ones (and with them equal scores) are common.
POOL = unit(np.random.default_rng(7).normal(size=(6, DIM)))
keys = st.integers(1, 12)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.dictionaries(keys, st.integers(0, len(POOL) - 1), max_size=6)),
        st.tuples(st.just("remove"), st.lists(keys, max_size=4)),
    ),
    max_size=8,
)


class Oracle:
    """What the index must do, in the plainest way."""

    def __init__(self) -> None:
        self.vectors: dict[int, Floats] = {}

    def search(self, query: Floats, k: int, allowed: set[int] | None) -> list[tuple[int, float]]:
        scored = [
            (key, sum(float(a) * float(b) for a, b in zip(vector, query, strict=True)))
            for key, vector in self.vectors.items()
            if allowed is None or key in allowed
        ]
        return sorted(scored, key=lambda pair: (-round(pair[1], 5), pair[0]))[:k]


def built(operations: list[Any]) -> tuple[VectorIndex, Oracle]:
    index, oracle = VectorIndex(DIM), Oracle()
    for name, argument in operations:
        if name == "put":
            index.put(list(argument), POOL[list(argument.values())])
            oracle.vectors.update((key, POOL[place]) for key, place in argument.items())
        else:
            known = [key for key in set(argument) if oracle.vectors.pop(key, None) is not None]
            assert index.remove(argument) == len(known)
    return index, oracle


@given(steps)
def test_after_any_changes_the_rows_are_the_vectors_in_key_order(operations: list[Any]) -> None:
    index, oracle = built(operations)
    assert len(index) == len(oracle.vectors)
    assert index.keys.tolist() == sorted(oracle.vectors)
    assert index.keys.dtype == np.int64
    expected = [oracle.vectors[key] for key in sorted(oracle.vectors)]
    assert np.array_equal(index.matrix, np.array(expected, np.float32).reshape(-1, DIM))
    assert index.rows(index.keys).tolist() == list(range(len(index)))


@settings(max_examples=300)
@given(steps, st.integers(0, len(POOL) - 1), st.integers(0, 15), st.none() | st.sets(keys))
def test_a_search_finds_what_a_full_scan_finds(
    operations: list[Any], query: int, k: int, allowed: set[int] | None
) -> None:
    index, oracle = built(operations)
    rows = None if allowed is None else np.flatnonzero(np.isin(index.keys, list(allowed)))
    found = index.search(POOL[query], k, rows)
    expected = oracle.search(POOL[query], k, allowed)
    assert found.keys.tolist() == [key for key, _ in expected]
    assert np.allclose(found.scores, [score for _, score in expected], atol=1e-6)
    assert found.keys.dtype == np.int64
    assert found.scores.dtype == np.float64


@given(steps, st.integers(0, len(POOL) - 1), st.none() | st.sets(keys))
def test_scores_are_inner_products_in_row_order(operations: list[Any], query: int, allowed: set[int] | None) -> None:
    index, _ = built(operations)
    rows = None if allowed is None else np.flatnonzero(np.isin(index.keys, list(allowed)))
    scores = index.scores(POOL[query], rows)
    expected = index.matrix if rows is None else index.matrix[rows]
    assert scores.dtype == np.float32
    assert np.allclose(scores, expected @ POOL[query], atol=1e-6)


@pytest.mark.parametrize("count", [0, 1, 511, 512, 1300])
def test_many_queries_get_the_scores_that_each_gets_alone(count: int) -> None:
    random = np.random.default_rng(count)
    index = VectorIndex(24)
    index.put(np.arange(count), unit(random.normal(size=(count, 24))))
    some = np.flatnonzero(random.random(count) < 0.1)
    most = np.flatnonzero(random.random(count) < 0.9)
    for queries in (unit(random.normal(size=(3, 24))), np.empty((0, 24), np.float32)):
        for rows in (None, some, most):
            found = index.scores_many(queries, rows)
            assert found.shape == (len(queries), count if rows is None else len(rows))
            for query, scores in zip(queries, found, strict=True):
                assert scores.tolist() == index.scores(query, rows).tolist()


@pytest.mark.parametrize(("dim", "count"), [(384, 7), (24, 33), (385, 1001), (3, 5000)])
def test_equal_vectors_have_equal_scores_and_come_in_key_order(dim: int, count: int) -> None:
    # A matrix product in BLAS rounds a row by its place in a block: equal rows would be ranked by chance.
    random = np.random.default_rng(1)
    vectors = unit(random.normal(size=(count, dim)))
    same = random.permutation(count)[: count // 2 + 2]
    vectors[same] = vectors[same[0]]
    index = VectorIndex(dim)
    index.put(np.arange(count) * 3, vectors)
    query = vectors[same[0]]
    assert len(set(index.scores(query)[same].tolist())) == 1
    found = index.search(query, len(same))
    assert found.keys.tolist() == (np.sort(same) * 3).tolist()


def test_a_restricted_search_returns_k_wherever_k_are_allowed() -> None:
    index = VectorIndex(DIM)
    vectors = unit(np.random.default_rng(3).normal(size=(500, DIM)))
    index.put(np.arange(500), vectors)
    worst = np.sort(np.argsort(index.scores(vectors[0]))[:10])
    assert len(index.search(vectors[0], 10, worst).keys) == 10
    assert sorted(index.search(vectors[0], 99, worst).keys.tolist()) == worst.tolist()


@pytest.mark.parametrize("k", [0, -1])
def test_nothing_is_found_when_nothing_is_asked_for(k: int) -> None:
    index = VectorIndex(DIM)
    index.put([1], POOL[:1])
    assert index.search(POOL[0], k).keys.tolist() == []


def test_an_empty_index_finds_nothing() -> None:
    index = VectorIndex(DIM)
    assert index.search(POOL[0], 5).keys.tolist() == []
    assert index.scores(POOL[0]).shape == (0,)
    assert index.matrix.shape == (0, DIM)
    assert index.remove([1, 2]) == 0
    index.put([], np.empty((0, DIM), np.float32))
    assert len(index) == 0


def test_the_caller_may_go_on_using_the_array_that_was_put() -> None:
    index = VectorIndex(DIM)
    mine = POOL[:2].copy()
    index.put([1, 2], mine)
    mine[:] = 0
    assert np.array_equal(index.matrix, POOL[:2])


@pytest.mark.parametrize(
    "vectors",
    [
        POOL[:2].astype(np.float64),
        POOL[:2].astype(np.float16),
        POOL[:2].tolist(),
        POOL[:1],
        POOL[:3],
        POOL[0],
        POOL[:2, :4],
        POOL[:2] * 1.01,
        POOL[:2] * 0,
        np.full((2, DIM), np.nan, np.float32),
        np.full((2, DIM), np.inf, np.float32),
        np.array([["a"] * DIM] * 2),
        None,
    ],
)
def test_unusable_vectors_are_refused_and_change_nothing(vectors: Any) -> None:
    index = VectorIndex(DIM)
    index.put([1], POOL[:1])
    with pytest.raises(InvalidVector):
        index.put([1, 2], vectors)
    assert index.keys.tolist() == [1]
    assert np.array_equal(index.matrix, POOL[:1])


def test_one_bad_row_among_many_is_noticed() -> None:
    vectors = np.repeat(POOL[:1], 100, axis=0)
    vectors[57, 3] = np.nan
    with pytest.raises(InvalidVector, match="NaN"):
        checked_vectors(vectors, DIM)


def test_rounding_in_a_norm_is_not_an_error() -> None:
    assert checked_vectors(POOL * np.float32(1.0005), DIM, rows=len(POOL)).shape == POOL.shape


def test_a_column_major_array_is_taken_row_by_row() -> None:
    index = VectorIndex(DIM)
    index.put([1, 2, 3], np.asfortranarray(POOL[:3]))
    assert np.array_equal(index.matrix, POOL[:3])


def test_the_same_key_twice_in_one_call_is_refused() -> None:
    index = VectorIndex(DIM)
    with pytest.raises(DuplicateId):
        index.put([4, 4], POOL[:2])
    assert len(index) == 0


@pytest.mark.parametrize(
    "query",
    [
        POOL[0].astype(np.float64),
        POOL[:1],
        POOL[0, :4],
        np.full(DIM, np.nan, np.float32),
        np.full(DIM, np.inf, np.float32),
        [1.0, 0, 0, 0, 0],
    ],
)
def test_unusable_queries_are_refused(query: Any) -> None:
    index = VectorIndex(DIM)
    index.put([1], POOL[:1])
    with pytest.raises(InvalidVector):
        index.search(query, 1)
    with pytest.raises(InvalidVector):
        index.scores(query)


@pytest.mark.parametrize("wanted", [[2], [0], [1, 9], [-1]])
def test_the_row_of_an_unknown_key_is_an_error(wanted: list[int]) -> None:
    index = VectorIndex(DIM)
    index.put([1, 3], POOL[:2])
    with pytest.raises(KeyError):
        index.rows(wanted)
