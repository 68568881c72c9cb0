"""The result file and its table: figures by hand, tokens, cost, latency, failures."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from qa_examples import adversarial, run, small, topic_answer, unanswerable
from rich.console import Console

from memagent.evals.qa.result import Asked, build_result
from memagent.evals.qa.running import QaRun
from memagent.evals.qa.table import markdown_page, rich_table
from memagent.llm.meter import Prices, Totals
from memagent.testing.models import ScriptedModel

READER = Asked(name="tiny", identity="{}", prices=Prices(input=2.0, output=10.0))
JUDGE = Asked(name="strict", identity="{}", prices=None)


def judged_by_type(wrong: tuple[str, ...]) -> Any:
    return lambda prompt: "no" if prompt.name.removeprefix("judge-longmemeval-") in wrong else "yes"


def finished(*, wrong: tuple[str, ...] = ("time",)) -> QaRun:
    data = small()
    data = replace(data, questions=(*data.questions, unanswerable()))
    return run(data, ScriptedModel(topic_answer), ScriptedModel(judged_by_type(wrong)))


def built(found: QaRun, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "encoder": {"name": "hash"},
        "reader": READER,
        "judge": JUDGE,
        "totals": Totals(calls=22, cached=1),
        "command": ["memagent"],
        "resamples": 200,
    }
    return build_result(found, **{**options, **changes})


def test_accuracies_overall_by_type_and_averaged_over_types() -> None:
    result = built(finished())
    row = result["rows"][0]
    assert row["n"] == 11
    assert row["metrics"]["accuracy"]["mean"] == pytest.approx(9 / 11, abs=1e-6)
    assert row["metrics"]["accuracy"]["n"] == 11
    assert row["by_type"]["temporal-reasoning"]["metrics"]["accuracy"]["mean"] == 0
    assert row["by_type"]["multi-session"]["n"] == 3
    assert row["task_averaged"]["accuracy"] == pytest.approx(4 / 5)
    assert row["populations"]["unanswerable"]["metrics"]["accuracy"] == {"n": 1, "mean": 1.0, "low": 1.0, "high": 1.0}
    assert row["populations"]["answerable"]["metrics"]["accuracy"]["mean"] == pytest.approx(0.8)
    assert row["metrics"]["evidence_shown"]["n"] == 10
    assert result["scored_by"] == "judge, criteria of longmemeval"


def test_tokens_cost_and_latency_of_reader_and_judge() -> None:
    found = finished()
    spent = built(found)["rows"][0]["spent"]
    sent = sum(row.reader.input_tokens for row in found.rows)
    received = sum(row.reader.output_tokens for row in found.rows)
    assert (spent["reader"]["input_tokens"], spent["reader"]["output_tokens"]) == (sent, received)
    assert spent["reader"]["cost"] == pytest.approx((2 * sent + 10 * received) / 1e6)
    assert spent["judge"]["cost"] is None
    assert spent["reader"]["latency_ms"]["p50"] <= spent["reader"]["latency_ms"]["p95"]
    assert spent["reader"]["from_cache"] == 0


def test_what_came_from_the_cache_has_no_latency() -> None:
    found = finished()
    rows = tuple(replace(row, reader=replace(row.reader, cached=True, milliseconds=None)) for row in found.rows)
    spent = built(replace(found, rows=rows))["rows"][0]["spent"]["reader"]
    assert (spent["latency_ms"], spent["from_cache"]) == (None, 11)


def test_the_result_says_what_was_used_and_is_json() -> None:
    result = json.loads(json.dumps(built(finished()), allow_nan=False))
    assert result["schema"] == 1
    assert result["reader"]["prompts"] == ["answer-from-memory/1"]
    assert result["reader"]["prices_per_million"] == {"input": 2.0, "output": 10.0, "cached": None}
    assert result["judge"]["criteria"] == "longmemeval"
    assert result["this_run"]["calls"] == 22
    assert result["settings"]["top_k"] == 3
    assert result["dataset"]["users"] == 2
    assert "bertscore" in result["metrics_left_out"]


def test_failures_are_counted_apart_from_low_scores() -> None:
    found = run(small(users=1), ScriptedModel(lambda _: "no JSON here"), ScriptedModel([]))
    result = built(found)
    assert result["rows"][0]["failures"] == {"MalformedReply: no JSON": 5}
    assert "Failed: 5 x MalformedReply: no JSON" in markdown_page(result)


def test_without_a_judge_and_with_options_what_scores_is_said() -> None:
    plain = built(run(small(users=1), ScriptedModel(topic_answer)), judge=None)
    assert plain["scored_by"] == "token overlap only"
    assert plain["judge"] is None
    assert plain["rows"][0]["task_averaged"] == {}
    base = small(users=1)
    asked = tuple(replace(q, options=("x", "y"), answer="a", no_gold="all") for q in base.questions)
    result = built(run(replace(base, questions=asked), ScriptedModel(lambda _: "(a)")), judge=None)
    assert result["scored_by"] == "option letters"
    assert result["rows"][0]["metrics"].keys() == {"accuracy"}
    assert result["rows"][0]["corpus"] == {}


def test_the_table_has_a_line_for_each_type_and_population() -> None:
    result = built(finished())
    page = markdown_page(result)
    assert "| temporal-reasoning | 2 | 0.0 [0.0, 0.0] |" in page
    assert "| unanswerable | 1 | 100.0 [100.0, 100.0] |" in page
    assert "task-averaged accuracy 80.0" in page
    assert "This run: 22 calls, 1 replies from the cache" in page


@pytest.mark.parametrize(("width", "intervals"), [(60, False), (200, True)])
def test_the_table_fits_the_terminal(width: int, intervals: bool) -> None:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(rich_table(built(finished()), width=width))
    shown = captured.get()
    assert all(len(line) <= width for line in shown.splitlines())
    assert "81.8" in shown
    assert ("[" in shown) is intervals


def test_an_answer_is_not_compared_with_a_trap() -> None:
    asked = small(users=1).questions[1]
    data = replace(small(users=1), questions=(*adversarial().questions, asked))
    for wanted, compared in (("abstain", 1), ("trap", 2)):
        found = run(data, ScriptedModel(topic_answer), settings={"criteria": "locomo", "adversarial": wanted})
        figures = built(found, judge=None)["rows"][0]["metrics"]
        assert figures["f1"]["n"] == figures["rougeL"]["n"] == compared
        assert figures["f1"]["mean"] == figures["rougeL"]["mean"] == 1 / compared
