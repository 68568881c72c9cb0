from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from eval_examples import dataset, finished_run

from memagent.bank.port import BankView
from memagent.evals.result import build_result
from memagent.evals.retrieval import run_retrieval
from memagent.evals.rows import QuestionRow
from memagent.evals.signals import Signals, signals_of, summed_up
from memagent.evals.specs import RetrieverSpec
from memagent.records import Hit, Query, Retrieval
from memagent.testing import HashingEncoder

ENCODER = {"name": "test-encoder", "fingerprint": "f", "dim": 8, "max_tokens": None}


def test_signals_are_the_texts_and_finite_numbers_of_the_trace() -> None:
    trace = {"signals": {"path": "recollection", "mean": 0.4, "rounds": 3, "sure": True, "none": None, "nan": math.nan}}
    assert signals_of(trace) == {"path": "recollection", "mean": 0.4, "rounds": 3, "sure": "true"}
    assert signals_of({}) == signals_of({"signals": None}) == {}


def test_texts_are_counted_and_numbers_summed_up() -> None:
    told: list[Signals] = [{"path": "a", "mean": float(n)} for n in range(100)]
    found = summed_up([*told, {"path": "b"}, {"path": "b"}])
    assert found == {
        "path": {"counts": {"a": 100, "b": 2}},
        "mean": {"p5": pytest.approx(4.95), "median": 49.5, "p95": pytest.approx(94.05)},
    }
    assert summed_up([{"odd": 1.0}, {"odd": "x"}]) == {"odd": {"counts": {"1.0": 1, "x": 1}}}
    assert summed_up([{}, {}]) == {}


def test_a_row_has_signals_only_where_there_are_some() -> None:
    row = finished_run("dense").rows[0]
    assert "signals" not in row.as_json()
    told = replace(row, signals={"path": "recollection", "mean": 0.25})
    assert QuestionRow.of_json(told.as_json()) == told


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """Says how many units it saw."""

    name: ClassVar[str] = "telling"

    @property
    def uses_vector(self) -> bool:
        return False

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        keys = bank.columns(query.granularity).keys[:k]
        hits = tuple(Hit(key=int(key), score=0.0) for key in keys)
        return Retrieval(hits=hits, trace={"signals": {"seen": len(keys), "how": "all"}})


def test_what_a_retriever_tells_is_written_beside_each_question_and_summed_up() -> None:
    specs = [RetrieverSpec(label="telling", name="telling", retriever=Telling())]
    made = run_retrieval(dataset(), specs, HashingEncoder(dim=32))
    assert {tuple(row.signals.items()) for row in made.rows} == {(("seen", 5), ("how", "all"))}
    (row,) = build_result(made, encoder=ENCODER, encode_ms=0.0, resamples=50)["rows"]
    assert row["signals"] == {"seen": {"p5": 5.0, "median": 5.0, "p95": 5.0}, "how": {"counts": {"all": 10}}}


def test_retrievers_that_say_nothing_have_no_signals() -> None:
    (row,) = build_result(finished_run("dense"), encoder=ENCODER, encode_ms=0.0, resamples=50)["rows"]
    assert row["signals"] == {}
