from __future__ import annotations

from typing import Any

import pytest

from memagent.records import Granularity, Query
from memagent.retrievers import make
from memagent.retrievers.port import Retriever
from memagent.testing.retriever_contract import QUESTIONS, TURNS, RetrieverContract
from memagent.testing.views import ArrayView, history, word_vector

SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "dense": ("dense", {}),
    "dense-mean": ("dense", {"by": "turn-mean"}),
    "dense-top": ("dense", {"by": "turn-top", "m": 2}),
    "dense-session": ("dense", {"by": "session"}),
    "dense-summary": ("dense", {"by": "summary"}),
    "dense-keywords": ("dense", {"by": "keywords", "mmr_lambda": 0.8}),
    "dense-combination": ("dense", {"by": "combination"}),
    "dense-mmr": ("dense", {"mmr_lambda": 0.5, "pool": 4}),
    "bm25": ("bm25", {}),
    "bm25-turn": ("bm25", {"by": "turn"}),
    "bm25-window": ("bm25", {"by": "window"}),
    "bm25-session": ("bm25", {"by": "session", "k1": 0.9, "b": 0.4}),
    "bm25-mmr": ("bm25", {"mmr_lambda": 0.3}),
    "hybrid": ("hybrid", {}),
    "hybrid-z": ("hybrid", {"lexical_norm": "z", "dense_norm": "z", "turns_dense_norm": "z", "dense_by": "turn-top"}),
    "hybrid-rrf": ("hybrid", {"fusion": "rrf", "turn": 0, "window": 0}),
    "hybrid-words": ("hybrid", {"dense": 0, "turns_dense": 0, "own_dense": 0}),
    "adaptive": ("adaptive", {}),
    "adaptive-words": ("adaptive", {"dense": 0, "turns_dense": 0, "own_dense": 0, "related": False}),
    "adaptive-shallow": ("adaptive", {"depth": 1, "turns_depth": 2, "m": 1}),
    "hybrid-mmr": ("hybrid", {"mmr_lambda": 0.7, "pool": 3}),
}


class TestEveryRetriever(RetrieverContract):
    @pytest.fixture(params=SETTINGS.values(), ids=list(SETTINGS))
    def retriever(self, request: pytest.FixtureRequest) -> Retriever:
        name, params = request.param
        return make(name, **params)

    def test_a_longer_list_begins_with_the_shorter_one(self, retriever: Retriever, granularity: Granularity) -> None:
        bank = ArrayView(history(TURNS))
        for text in QUESTIONS:
            query = Query(text=text, vector=word_vector(text), granularity=granularity)
            assert retriever.retrieve(query, bank, 2).hits == retriever.retrieve(query, bank, 3).hits[:2]
