from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from memagent.bank.port import LexicalUnit
from memagent.errors import InvalidInput, UnknownName
from memagent.lexical import Related
from memagent.records import Granularity, Query, Retrieval
from memagent.retrievers import Dense, Hybrid
from memagent.testing.retriever_contract import TURNS
from memagent.testing.views import ArrayView, ViewUnit, history, word_vector

EAST = np.array([1.0, 0.0], dtype=np.float32)
TEXT = "Vera paints birds at noon in the harbour"


def unit(key: int, session: int, text: str, cosine: float, granularity: str = "turn") -> ViewUnit:
    vector = np.array([cosine, np.sqrt(1 - cosine**2)], dtype=np.float32)
    return ViewUnit(key=key, session=session, text=text, vector=vector, granularity=Granularity.of(granularity))


def search(retriever: Hybrid, bank: ArrayView, granularity: str, text: str = TEXT, k: int = 20) -> Retrieval:
    vector = EAST if bank.vectors([]).shape[1] == 2 else word_vector(text)
    return retriever.retrieve(Query(text=text, vector=vector, granularity=Granularity.of(granularity)), bank, k)


class Fixed(ArrayView):
    """A view whose BM25 scores are given."""

    def __init__(self, units: list[ViewUnit], scores: dict[str, list[float]]) -> None:
        super().__init__(units)
        self._scores = scores

    def lexical(
        self, text: str, by: LexicalUnit, *, k1: float = 1.2, b: float = 0.75, related: Related | None = None
    ) -> np.ndarray[Any, Any]:
        return np.array(self._scores[by])


@pytest.fixture
def three_sessions() -> Fixed:
    """Three sessions with best cosines 0.8, 0.4, 0.2 and known BM25 scores; the first has two turns."""
    units = [
        unit(1, 0, "", 0.8),
        unit(2, 0, "", 0.6),
        unit(3, 1, "", 0.4),
        unit(4, 2, "", 0.2),
        unit(5, 0, "", 0.0, "session"),
        unit(6, 1, "", 0.0, "session"),
        unit(7, 2, "", 0.0, "session"),
    ]
    return Fixed(units, {"session": [0.0, 4.0, 2.0], "turn": [0.0, 1.0, 5.0, 4.0], "window": [3.0, 3.0, 0.0, 6.0]})


def test_the_four_channel_sum_of_sessions_by_hand(three_sessions: Fixed) -> None:
    found = search(Hybrid(dense=1.0, dense_by="turn-max"), three_sessions, "session")
    parts = {hit.key: dict(hit.parts) for hit in found.hits}
    assert parts == {
        5: pytest.approx({"dense": 1.0, "bm25_session": 0.0, "bm25_turn": 0.2, "bm25_window": 0.5}),
        6: pytest.approx({"dense": 1 / 3, "bm25_session": 1.0, "bm25_turn": 1.0, "bm25_window": 0.0}),
        7: pytest.approx({"dense": 0.0, "bm25_session": 0.5, "bm25_turn": 0.8, "bm25_window": 1.0}),
    }
    assert [hit.key for hit in found.hits] == [6, 7, 5]
    assert [hit.score for hit in found.hits] == pytest.approx([7 / 3, 2.3, 1.7])


def test_the_weighted_sum_of_turns_by_hand(three_sessions: Fixed) -> None:
    found = search(Hybrid(turns_dense=1.0, turns_window=0.5, turns_session=0.3), three_sessions, "turn")
    assert {hit.key: dict(hit.parts) for hit in found.hits} == {
        1: pytest.approx({"dense": 1.0, "bm25_session": 0.0, "bm25_turn": 0.0, "bm25_window": 0.25}),
        2: pytest.approx({"dense": 0.75, "bm25_session": 0.0, "bm25_turn": 0.2, "bm25_window": 0.25}),
        3: pytest.approx({"dense": 0.5, "bm25_session": 0.3, "bm25_turn": 1.0, "bm25_window": 0.0}),
        4: pytest.approx({"dense": 0.25, "bm25_session": 0.15, "bm25_turn": 0.8, "bm25_window": 0.5}),
    }
    assert [hit.key for hit in found.hits] == [3, 4, 1, 2]


def test_rank_fusion_by_hand(three_sessions: Fixed) -> None:
    found = search(
        Hybrid(dense=1.0, dense_by="turn-max", fusion="rrf", turn=0, window=0, session=2), three_sessions, "session"
    )
    assert {hit.key: dict(hit.parts) for hit in found.hits} == {
        5: pytest.approx({"dense": 1 / 61, "bm25_session": 0.0}),
        6: pytest.approx({"dense": 1 / 62, "bm25_session": 2 / 61}),
        7: pytest.approx({"dense": 1 / 63, "bm25_session": 2 / 62}),
    }
    assert [hit.key for hit in found.hits] == [6, 7, 5]
    assert found.hits[0].score == pytest.approx(1 / 62 + 2 / 61)


@pytest.mark.parametrize("granularity", list(Granularity))
@pytest.mark.parametrize("settings", [{}, {"fusion": "rrf"}, {"lexical_norm": "z", "dense_norm": "z"}])
def test_the_parts_add_up_to_the_score(granularity: str, settings: dict[str, Any]) -> None:
    found = search(Hybrid(**settings), ArrayView(history(TURNS)), granularity)
    assert [sum(hit.parts.values()) for hit in found.hits] == pytest.approx([hit.score for hit in found.hits])


@pytest.mark.parametrize("granularity", list(Granularity))
@pytest.mark.parametrize("fusion", ["score", "rrf"])
def test_where_no_word_matches_the_order_is_that_of_the_vectors(granularity: str, fusion: Any) -> None:
    bank = ArrayView(history(TURNS))
    query = Query(text="zebra", vector=word_vector(TEXT), granularity=Granularity.of(granularity))
    expected = [hit.key for hit in Dense(by="turn-top").retrieve(query, bank, 20).hits]
    assert [hit.key for hit in Hybrid(fusion=fusion).retrieve(query, bank, 20).hits] == expected


def test_vectors_that_do_not_differ_leave_the_order_to_the_words() -> None:
    units = [unit(1, 0, "one", 0.5), unit(2, 1, "two", 0.5), unit(3, 0, "", 0.5, "session")]
    units.append(unit(4, 1, "", 0.5, "session"))
    found = search(Hybrid(), ArrayView(units), "session", text="two")
    assert [(hit.key, hit.parts["dense"]) for hit in found.hits] == [(4, 0.0), (3, 0.0)]


def test_a_channel_without_weight_is_not_computed(three_sessions: Fixed) -> None:
    words_only = Hybrid(dense=0, turns_dense=0, own_dense=0)
    assert not words_only.uses_vector
    asked = Query(text=TEXT, granularity=Granularity.SESSION)
    assert set(words_only.retrieve(asked, three_sessions, 1).hits[0].parts) == {
        "bm25_session",
        "bm25_turn",
        "bm25_window",
    }
    vectors_only = Hybrid(session=0, turn=0, window=0)
    assert set(search(vectors_only, three_sessions, "session").hits[0].parts) == {"dense"}


def test_the_sessions_cosine_follows_dense_by(three_sessions: Fixed) -> None:
    settings: dict[str, Any] = {"dense": 1.0, "session": 0, "turn": 0, "window": 0, "dense_norm": "max", "m": 2}
    best = search(Hybrid(dense_by="turn-max", **settings), three_sessions, "session")
    assert best.hits[1].score == pytest.approx(0.5)
    both = search(Hybrid(dense_by="turn-top", **settings), three_sessions, "session")
    assert both.hits[1].score == pytest.approx(0.4 / 1.4)


def test_only_sessions_that_may_be_returned_set_the_scale() -> None:
    units = history(TURNS)
    even = Hybrid(dense=1.0)
    best = search(even, ArrayView(units), "session").hits[0].key
    found = search(even, ArrayView(units, hidden={best}), "session")
    for channel in ("dense", "bm25_session", "bm25_turn", "bm25_window"):
        assert max(hit.parts[channel] for hit in found.hits) == 1.0


def test_the_trace_tells_channels_weights_and_scales(three_sessions: Fixed) -> None:
    trace = search(Hybrid(dense=1.0, dense_by="turn-max", turn=0, window=0), three_sessions, "session", k=1).trace
    assert trace == {
        "retriever": "hybrid",
        "granularity": "session",
        "fusion": "score",
        "candidates": 3,
        "channels": {
            "dense": {"weight": 1.0, "norm": "min-max", "min": pytest.approx(0.2), "max": pytest.approx(0.8)},
            "bm25_session": {"weight": 1.0, "norm": "max", "min": 0.0, "max": 4.0, "matched": 2},
        },
    }


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ({"fusion": "borda"}, UnknownName, "'score', 'rrf'"),
        ({"dense_by": "session"}, UnknownName, "'turn-max', 'turn-mean', 'turn-top'"),
        ({"lexical_norm": "softmax"}, UnknownName, "'max', 'min-max', 'z'"),
        ({"turns_dense_norm": None}, UnknownName, "turns_dense_norm"),
        ({"dense": -1.0}, InvalidInput, "dense is -1.0"),
        ({"turns_window": float("nan")}, InvalidInput, "turns_window"),
        ({"rrf_k": "60"}, InvalidInput, "rrf_k"),
        ({"m": 0}, InvalidInput, "m is 0"),
        ({"b": 2}, InvalidInput, "from 0 to 1"),
        ({"dense": 0, "session": 0, "turn": 0, "window": 0}, InvalidInput, "no channel ranks sessions"),
        ({"own_dense": 0, "own_text": 0}, InvalidInput, "no channel ranks summaries"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(params: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        Hybrid(**params)
