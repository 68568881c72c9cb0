from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from eval_examples import TOPICS, dataset, history, question

from memagent.errors import InvalidInput, Stopped, UnknownName
from memagent.evals.retrieval import (
    RetrievalRun,
    RetrievalSettings,
    encoding_latency,
    run_retrieval,
)
from memagent.evals.specs import parse_specs
from memagent.evals.storing import stored_sessions
from memagent.testing import HashingEncoder

SPECS = parse_specs(["bm25", "dense"])
ENCODER = HashingEncoder(dim=64)


def without_times(run: RetrievalRun) -> list[object]:
    return [replace(row, search_ms=0.0) for row in run.rows]


def test_every_question_has_a_row_of_every_retriever() -> None:
    data = dataset()
    run = run_retrieval(data, SPECS, ENCODER)
    assert [(row.question_id, row.retriever) for row in run.rows] == [
        (item.id, spec.label) for item in data.questions for spec in SPECS
    ]
    for row in run.rows:
        assert sorted(row.ranked) == [f"{row.user_id}-s{i}" for i in range(len(TOPICS))]
        assert row.search_ms > 0
        assert row.metrics["recall_all@5"] == 1.0
    assert all(row.metrics["recall_all@1"] == 1.0 for row in run.rows if row.retriever == "bm25")


def test_turns_are_named_after_their_first_message_and_count_once() -> None:
    run = run_retrieval(dataset(users=1), SPECS, ENCODER, settings=RetrievalSettings(granularity="turn"))
    for row in run.rows:
        assert row.gold == (f"{row.question_id.replace('-q', '-s')}:0",)
        assert all(unit.endswith(":0") for unit in row.ranked)
        assert len(row.ranked) == len(TOPICS)


def test_users_without_scored_questions_are_not_stored() -> None:
    told: list[str] = []
    data = dataset()
    run_retrieval(
        replace(data, questions=data.questions[:2]),
        SPECS,
        ENCODER,
        progress=lambda done, total, doing: told.append(f"{done}/{total} {doing}"),
    )
    assert told[0] == "0/4 storing user0 (5 sessions)"
    assert told[-1] == "4/4 done"
    assert not any("user1" in line for line in told)


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    partial = tmp_path / "result.json.partial"

    def stop(done: int, total: int, doing: str) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match=r"stopped after 8 of 20 searches .*same command"):
        run_retrieval(dataset(), SPECS, ENCODER, partial=partial, progress=stop)
    done: list[int] = []
    run = run_retrieval(dataset(), SPECS, ENCODER, partial=partial, progress=lambda n, total, doing: done.append(n))
    assert done[0] == 8
    assert without_times(run) == without_times(run_retrieval(dataset(), SPECS, ENCODER))
    again = run_retrieval(dataset(), SPECS, ENCODER, partial=partial, progress=lambda n, total, doing: done.append(n))
    assert again.rows == run.rows
    assert done[-1] == 20


@pytest.mark.parametrize(
    "change",
    [
        {"specs": parse_specs(["bm25", "dense"], ["bm25.k1=0.5"])},
        {"encoder": HashingEncoder(dim=32)},
        {"settings": RetrievalSettings(session_vectors="mean")},
        {"dataset": replace(dataset(), variant="other")},
    ],
)
def test_rows_of_other_settings_are_not_reused(tmp_path: Path, change: dict[str, object]) -> None:
    partial = tmp_path / "result.json.partial"
    run_retrieval(dataset(), SPECS, ENCODER, partial=partial)
    done: list[int] = []
    arguments: dict[str, object] = {"dataset": dataset(), "specs": SPECS, "encoder": ENCODER, **change}
    run_retrieval(**arguments, partial=partial, progress=lambda n, total, doing: done.append(n))  # type: ignore[arg-type]
    assert done[0] == 0


def test_as_of_the_question_hides_what_was_said_later() -> None:
    early = question("user0", 4, date=datetime(2025, 1, 3, 12, tzinfo=UTC))
    data = replace(dataset(), questions=(early,))
    settings = RetrievalSettings(as_of="question")
    for row in run_retrieval(data, SPECS, ENCODER, settings=settings).rows:
        assert sorted(row.ranked) == ["user0-s0", "user0-s1", "user0-s2"]
        assert row.metrics["recall_any@50"] == 0.0
    undated = replace(data, questions=(replace(early, date=None),))
    with pytest.raises(InvalidInput, match="no dates"):
        run_retrieval(undated, SPECS, ENCODER, settings=settings)


def test_summaries_do_not_change_what_turns_and_sessions_find() -> None:
    data = dataset(users=1)
    with_them = run_retrieval(data, SPECS, ENCODER, settings=RetrievalSettings(summaries="extractive"))
    assert without_times(with_them) == without_times(run_retrieval(data, SPECS, ENCODER))


def test_sessions_keep_their_dates_and_undated_ones_follow_in_order() -> None:
    dated, undated = stored_sessions(history("ann")), stored_sessions(history("ann", dated=False))
    assert [session.messages[0].event_at.day for session in dated] == [1, 2, 3, 4, 5]
    assert {message.event_at for message in dated[0].messages} == {datetime(2025, 1, 1, tzinfo=UTC)}
    times = [session.messages[0].event_at for session in undated]
    assert times == sorted(set(times))
    mixed = replace(history("ann"), sessions=(*history("ann").sessions[:1], *history("ann", dated=False).sessions[1:]))
    assert [session.messages[0].event_at - datetime(2025, 1, 1, tzinfo=UTC) for session in stored_sessions(mixed)] == [
        timedelta(minutes=i) for i in range(5)
    ]


@pytest.mark.parametrize("choice", ["granularity", "as_of", "session_vectors", "summaries"])
def test_a_setting_that_does_not_exist_is_refused(choice: str) -> None:
    with pytest.raises(UnknownName, match=f"{choice} cannot be 'llm'"):
        RetrievalSettings(**{choice: "llm"})  # type: ignore[arg-type]


def test_the_time_to_encode_a_question_is_measured() -> None:
    assert encoding_latency(ENCODER, dataset().questions) > 0
