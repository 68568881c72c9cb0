"""Summaries in evaluation: extracted, or those that the data set brings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from eval_examples import TOPICS, dataset
from shared_data import shared_path

from memagent.errors import InvalidInput
from memagent.evals.datasets import Dataset, EvalSession, load_dataset
from memagent.evals.retrieval import RetrievalRun, RetrievalSettings, run_retrieval
from memagent.evals.specs import edges_used, parse_specs, units_used
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder(dim=256)


def summarised(data: Dataset, *, without: int = 0) -> Dataset:
    """Summaries that tell of the topic after the session's own; the first ``without`` sessions have none."""

    def told(session: EvalSession, place: int) -> EvalSession:
        next_topic = TOPICS[(place + 1) % len(TOPICS)]
        return replace(session, summary=f"What they said about {next_topic}?" if place >= without else " ")

    histories = tuple(
        replace(history, sessions=tuple(told(session, place) for place, session in enumerate(history.sessions)))
        for history in data.histories
    )
    return replace(data, histories=histories)


def run(data: Dataset, *specs: str, **settings: object) -> RetrievalRun:
    return run_retrieval(data, parse_specs(specs), ENCODER, settings=RetrievalSettings(**settings))  # type: ignore[arg-type]


def firsts(made: RetrievalRun, label: str) -> list[str]:
    return [row.ranked[0] for row in made.rows if row.retriever == label]


def test_sessions_are_found_by_the_summaries_that_the_data_set_brings() -> None:
    made = run(summarised(dataset(users=1)), "dense[by=summary]", "dense[by=keywords]", "dense", summaries="dataset")
    sessions = [f"user0-s{place}" for place in range(len(TOPICS))]
    assert firsts(made, "dense[by=summary]") == [*sessions[-1:], *sessions[:-1]]
    assert firsts(made, "dense[by=keywords]") == firsts(made, "dense") == sessions


def test_a_combination_is_stored_for_retrievers_that_rank_by_it() -> None:
    made = run(dataset(users=1), "dense[by=combination]", "dense[by=summary]", summaries="extractive")
    assert firsts(made, "dense[by=combination]") == [f"user0-s{place}" for place in range(len(TOPICS))]


def test_extracted_summaries_are_written_before_they_are_searched() -> None:
    made = run(dataset(users=1), "dense[by=summary]", summaries="extractive")
    assert firsts(made, "dense[by=summary]") == [f"user0-s{place}" for place in range(len(TOPICS))]


@pytest.mark.parametrize(
    ("without", "says"),
    [(0, ""), (1, "has no summary of user0-s0 of user0"), (len(TOPICS), "the data set tiny has no summaries")],
)
def test_a_data_set_without_summaries_is_refused(without: int, says: str) -> None:
    data = summarised(dataset(), without=without)
    if not says:
        run(data, "bm25", summaries="dataset", limit=1)
        return
    with pytest.raises(InvalidInput, match=f"{says}.*--summaries extractive"):
        run(data, "bm25", summaries="dataset")


@pytest.mark.parametrize(
    ("spec", "needed"),
    [
        ("dense[by=summary]", "summary"),
        ("dense[by=combination]", "combination"),
        ("memgas", "keywords, summary"),
        ("memgas[use_summary=false]", "keywords"),
    ],
)
def test_a_retriever_whose_units_are_not_stored_is_refused(spec: str, needed: str) -> None:
    with pytest.raises(InvalidInput, match=rf"needs stored {needed} units.*--summaries extractive"):
        run(dataset(), "bm25", spec)


def test_retrievers_say_what_they_use() -> None:
    assert units_used(parse_specs(["dense", "bm25", "hybrid"])) == frozenset()
    assert units_used(parse_specs(["dense[by=keywords]", "memgas"])) == {"summary", "keywords"}
    assert not edges_used(parse_specs(["dense", "memgas[graph=query]", "memgas[pagerank=false]"]))
    assert edges_used(parse_specs(["dense", "memgas"]))


def test_the_graph_is_stored_before_it_is_searched() -> None:
    made = run(dataset(users=1), "memgas", summaries="extractive")
    assert {row.signals["graph"] for row in made.rows} == {"stored"}


def test_rows_of_other_summaries_are_not_reused(tmp_path: Path) -> None:
    data = summarised(dataset())
    specs = parse_specs(["dense[by=summary]"])

    def kept_before(summaries: Literal["extractive", "dataset"]) -> int:
        done: list[int] = []
        run_retrieval(
            data,
            specs,
            ENCODER,
            settings=RetrievalSettings(summaries=summaries),
            partial=tmp_path / "rows.partial",
            progress=lambda made, total, doing: done.append(made),
        )
        return done[0]

    assert [kept_before("extractive"), kept_before("dataset"), kept_before("dataset")] == [0, 0, 10]


@pytest.mark.data
def test_every_session_of_the_development_file_has_a_summary() -> None:
    data = load_dataset("locomo", [shared_path("locomo", "locomo5_dev.json.gz")])
    assert all((session.summary or "").strip() for history in data.histories for session in history.sessions)
