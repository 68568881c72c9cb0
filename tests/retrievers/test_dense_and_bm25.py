from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from memagent.errors import InvalidInput, UnknownName
from memagent.records import Granularity, Query
from memagent.retrievers import Bm25, Dense
from memagent.testing.retriever_contract import TURNS
from memagent.testing.views import ArrayView, ViewUnit, history, word_vector

TEXT = "Vera paints birds at noon in the harbour"


def hits(retriever: Any, bank: ArrayView, granularity: str, k: int = 20, text: str = TEXT) -> list[tuple[int, float]]:
    query = Query(text=text, vector=word_vector(text), granularity=Granularity.of(granularity))
    return [(hit.key, hit.score) for hit in retriever.retrieve(query, bank, k).hits]


def sessions_of_turns() -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
    """The key of each session's unit, and the vectors of its turns."""
    units = history(TURNS)
    for own in (unit for unit in units if unit.granularity is Granularity.SESSION):
        turns = [unit for unit in units if unit.granularity is Granularity.TURN and unit.session == own.session]
        yield own.key, np.array([unit.vector for unit in turns], dtype=np.float64)


def best_first(scores: dict[int, float]) -> list[tuple[int, Any]]:
    return [(key, pytest.approx(scores[key])) for key in sorted(scores, key=lambda key: (-scores[key], key))]


def test_turn_mean_is_the_cosine_with_the_normalised_mean_of_the_turns() -> None:
    vector = word_vector(TEXT)
    expected = {}
    for key, vectors in sessions_of_turns():
        mean = vectors.mean(axis=0)
        expected[key] = float(vector @ mean / np.linalg.norm(mean))
    assert hits(Dense(by="turn-mean"), ArrayView(history(TURNS)), "session") == best_first(expected)


def test_turn_max_is_the_best_cosine_and_turn_top_the_sum_of_the_m_best() -> None:
    vector = word_vector(TEXT)
    cosines = {key: np.sort(vectors @ vector)[::-1] for key, vectors in sessions_of_turns()}
    bank = ArrayView(history(TURNS))
    highest = {key: float(found[0]) for key, found in cosines.items()}
    assert hits(Dense(), bank, "session") == best_first(highest)
    two = {key: float(found[:2].sum()) for key, found in cosines.items()}
    assert hits(Dense(by="turn-top", m=2), bank, "session") == best_first(two)


def test_turns_that_cancel_each_other_have_no_mean() -> None:
    east = np.array([1.0, 0.0], dtype=np.float32)
    units = [
        ViewUnit(key=1, session=0, text="", vector=east),
        ViewUnit(key=2, session=0, text="", vector=-east),
        ViewUnit(key=3, session=0, text="", vector=east, granularity=Granularity.SESSION),
    ]
    found = Dense(by="turn-mean").retrieve(
        Query(text="", vector=east, granularity=Granularity.SESSION), ArrayView(units), 5
    )
    assert [(hit.key, hit.score) for hit in found.hits] == [(3, 0.0)]


@pytest.mark.parametrize("granularity", ["turn", "session", "summary", "keywords"])
def test_dense_by_own_vector_is_the_nearest_units(granularity: str) -> None:
    bank = ArrayView(history(TURNS))
    nearest = bank.nearest(word_vector(TEXT), 4, granularity=Granularity.of(granularity))
    expected = list(zip(nearest.keys.tolist(), nearest.scores.tolist(), strict=True))
    assert hits(Dense(by="session"), bank, granularity, 4) == expected


@pytest.mark.parametrize("by", ["summary", "keywords", "combination"])
def test_dense_by_a_derived_unit_ranks_sessions_by_its_cosine(by: Any) -> None:
    bank = ArrayView(history(TURNS))
    cosines = bank.similarities(word_vector(TEXT), Granularity.of(by)).tolist()
    own = dict(zip(bank.columns(Granularity.SESSION).keys.tolist(), cosines, strict=True))
    assert hits(Dense(by=by), bank, "session") == best_first(own)


def test_sessions_without_the_derived_unit_come_last_with_the_least_cosine() -> None:
    units = history(TURNS)
    summaries = [unit.key for unit in units if unit.granularity is Granularity.SUMMARY]
    hidden = {summaries[1], summaries[3]}
    bank = ArrayView(units, hidden=hidden)
    query = Query(text=TEXT, vector=word_vector(TEXT), granularity=Granularity.SESSION)
    found = Dense(by="summary").retrieve(query, bank, 20)
    sessions = bank.columns(Granularity.SESSION).keys.tolist()
    assert [(hit.key, hit.score) for hit in found.hits[-2:]] == [(sessions[1], -1.0), (sessions[3], -1.0)]
    assert found.trace["scored"] == len(sessions) - 2


@pytest.mark.parametrize("by", ["turn", "window", "session"])
def test_bm25_ranks_sessions_by_their_best_text(by: Any) -> None:
    bank = ArrayView(history(TURNS))
    keys, scores = bank.matching(TEXT, 20, granularity=Granularity.SESSION, by=by)
    found = hits(Bm25(by=by), bank, "session")
    assert found[: len(keys)] == list(zip(keys.tolist(), scores.tolist(), strict=True))
    assert len(found) == 6
    assert all(score == 0.0 for _, score in found[len(keys) :])


@pytest.mark.parametrize("by", ["turn", "window", "session"])
def test_bm25_ranks_turns_by_the_text_around_them(by: Any) -> None:
    bank = ArrayView(history(TURNS))
    keys, scores = bank.matching(TEXT, 20, granularity=Granularity.TURN, by=by)
    assert hits(Bm25(by=by), bank, "turn")[: len(keys)] == list(zip(keys.tolist(), scores.tolist(), strict=True))


def test_bm25_auto_scores_the_text_of_the_units_wanted() -> None:
    bank = ArrayView(history(TURNS))
    assert hits(Bm25(), bank, "turn") == hits(Bm25(by="turn"), bank, "turn")
    assert hits(Bm25(), bank, "session") == hits(Bm25(by="session"), bank, "session")
    for by in ("turn", "window", "session"):
        for granularity in ("summary", "keywords"):
            assert hits(Bm25(by=by), bank, granularity) == hits(Bm25(), bank, granularity)


def test_units_without_a_shared_word_come_last_in_the_order_of_storing() -> None:
    bank = ArrayView(history([(0, "a"), (1, "b"), (2, "b word"), (3, "c"), (4, "word")]))
    found = hits(Bm25(), bank, "turn", text="word")
    assert [key for key, _ in found] == [5, 3, 1, 2, 4]
    assert [score for _, score in found[2:]] == [0.0, 0.0, 0.0]
    assert Bm25().retrieve(Query(text="word"), bank, 1).trace == {
        "retriever": "bm25",
        "granularity": "turn",
        "by": "turn",
        "matched": 2,
    }


def test_bm25_passes_its_constants_to_the_bank() -> None:
    bank = ArrayView(history(TURNS))
    expected = bank.lexical(TEXT, "turn", k1=0.5, b=0.1).max()
    assert hits(Bm25(k1=0.5, b=0.1), bank, "turn", 1)[0][1] == expected


def test_sessions_whose_unit_is_hidden_make_room_for_others() -> None:
    units = history(TURNS)
    everything = hits(Dense(), ArrayView(units), "session")
    best = everything[0][0]
    for retriever in (Dense(), Bm25(), Bm25(by="window")):
        found = hits(retriever, ArrayView(units, hidden={best}), "session", 5)
        assert len(found) == 5
        assert best not in {key for key, _ in found}
    assert hits(Dense(), ArrayView(units, hidden={best}), "session", 5) == everything[1:]


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        (Dense, {"by": "turns"}, "'turn-max', 'turn-mean', 'turn-top', 'session'"),
        (Bm25, {"by": "summary"}, "'auto', 'turn', 'window', 'session'"),
    ],
)
def test_a_choice_that_does_not_exist_is_refused_with_the_valid_ones(kind: Any, params: Any, words: str) -> None:
    with pytest.raises(UnknownName, match=words):
        kind(**params)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (Dense, {"m": 0}),
        (Dense, {"m": 2.5}),
        (Dense, {"m": True}),
        (Dense, {"pool": 0}),
        (Dense, {"mmr_lambda": 1.1}),
        (Dense, {"mmr_lambda": float("nan")}),
        (Dense, {"mmr_lambda": "0.5"}),
        (Bm25, {"k1": -0.1}),
        (Bm25, {"k1": float("inf")}),
        (Bm25, {"b": 1.5}),
        (Bm25, {"b": None}),
        (Bm25, {"mmr_lambda": -1}),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_name(kind: Any, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f"{next(iter(params))} is"):
        kind(**params)
