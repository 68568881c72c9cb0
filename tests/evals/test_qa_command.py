"""``memagent eval qa`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eval_commands import Counting, locomo_file, use
from shared_data import shared_path
from typer.testing import CliRunner

from memagent.cli import app

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def encoder(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return use(monkeypatch, Counting())


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    data = locomo_file(tmp_path / "locomo.json")
    return [
        *("eval", "qa", "--dataset", "locomo", "--data", str(data), "--out", str(tmp_path / "result.json")),
        *("--reader", "scripted", "--judge", "scripted", "--retriever", "bm25", "--top-k", "1"),
        *("--cache-dir", str(tmp_path / "cache")),
    ]


def result(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
    return found


def test_a_run_writes_the_result_the_rows_and_the_hypotheses(tmp_path: Path, command: list[str]) -> None:
    hypotheses, rows = tmp_path / "hyp.jsonl", tmp_path / "rows.jsonl"
    done = RUNNER.invoke(app, [*command, "--hypotheses", str(hypotheses), "--per-question", str(rows), "--markdown"])
    assert done.exit_code == 0, done.output
    assert "| all | 4 | 100.0 [100.0, 100.0] |" in done.stdout
    lines = [json.loads(line) for line in hypotheses.read_text().splitlines()]
    assert lines == [{"question_id": f"conv-1:{i}", "hypothesis": "x"} for i in range(4)]
    assert len(rows.read_text().splitlines()) == 4
    found = result(tmp_path)
    assert found["rows"][0]["metrics"]["accuracy"]["mean"] == 1
    assert found["judge"]["criteria"] == "locomo"
    assert found["this_run"]["calls"] == 8
    assert found["encoder"]["long_text"] == "windows"
    assert not (tmp_path / "result.json.partial").exists()


def test_a_second_run_asks_nobody(tmp_path: Path, command: list[str]) -> None:
    for calls in (8, 0):
        assert RUNNER.invoke(app, command).exit_code == 0
        assert result(tmp_path)["this_run"]["calls"] == calls
    assert RUNNER.invoke(app, [*command, "--no-cache"]).exit_code == 0
    assert result(tmp_path)["this_run"]["calls"] == 8


def test_a_spent_budget_stops_with_status_3_and_the_same_command_goes_on(tmp_path: Path, command: list[str]) -> None:
    stopped = RUNNER.invoke(app, [*command, "--budget-calls", "3", "--concurrency", "1"])
    assert stopped.exit_code == 3, stopped.output
    assert "raise the budget" in stopped.output
    assert (tmp_path / "result.json.partial").exists()
    done = RUNNER.invoke(app, command)
    assert done.exit_code == 0, done.output
    assert result(tmp_path)["this_run"]["calls"] == 5


def test_prices_give_a_cost(tmp_path: Path, command: list[str]) -> None:
    assert RUNNER.invoke(app, [*command, "--reader-price", "2,10", "--judge-price", "1,1"]).exit_code == 0
    found = result(tmp_path)
    spent = found["rows"][0]["spent"]
    reader = spent["reader"]
    assert reader["cost"] == pytest.approx((2 * reader["input_tokens"] + 10 * reader["output_tokens"]) / 1e6)
    assert found["this_run"]["cost"] == pytest.approx(reader["cost"] + spent["judge"]["cost"])


def test_the_bundled_histories_are_asked_about(tmp_path: Path, command: list[str]) -> None:
    changed = ["--dataset", "demo", "--granularity", "session", "--top-k", "3", "--max-tokens", "100000"]
    done = RUNNER.invoke(app, [*command, *changed])
    assert done.exit_code == 0, done.output
    row = result(tmp_path)["rows"][0]
    answerable = row["populations"]["answerable"]["metrics"]
    assert answerable["accuracy"]["mean"] == answerable["evidence_shown"]["mean"] > 0
    assert row["populations"]["unanswerable"]["metrics"]["accuracy"]["mean"] == 1


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--retriever", "nope"], "'bm25'"),
        (["--set", "bm25.nope=1"], "'k1'"),
        (["--filter", "twice"], "llm-triple"),
        (["--judge-criteria", "longmemeval"], "use the criteria locomo or memgas"),
        (["--reader-price", "1"], "0.15,0.6"),
        (["--budget-cost", "1"], "--reader-price and --judge-price"),
        (["--reader-price", "-1,2"], "0 or more"),
        (["--max-tokens", "10"], "do not hold the instructions"),
        (["--granularity", "summary", "--summaries", "none"], "--summaries extractive"),
        (["--out", "nowhere/result.json"], "folder that exists"),
        (["--hypotheses", "nowhere/hyp.jsonl"], "folder that exists"),
        (["--dataset", "personamem"], "no questions"),
        (["--categories", "7"], "5 (adversarial)"),
        (["--as-of", "question"], "no dates"),
    ],
)
def test_bad_input_is_refused_with_what_is_valid(command: list[str], extra: list[str], says: str) -> None:
    refused = RUNNER.invoke(app, [*command, *extra])
    assert refused.exit_code == 2, refused.output
    assert says in " ".join(refused.output.split())


def test_room_for_thoughts_is_told_with_the_models(tmp_path: Path, command: list[str]) -> None:
    assert RUNNER.invoke(app, [*command, "--thinking-tokens", "300"]).exit_code == 0
    found = result(tmp_path)
    assert "300 tokens for thoughts" in found["reader"]["identity"]
    assert "300 tokens for thoughts" in found["judge"]["identity"]


def test_units_that_a_granularity_needs_are_stored(tmp_path: Path, command: list[str]) -> None:
    assert RUNNER.invoke(app, [*command, "--granularity", "summary"]).exit_code == 0
    assert result(tmp_path)["settings"]["summaries"] == "extractive"


def test_help_has_an_example() -> None:
    shown = " ".join(RUNNER.invoke(app, ["eval", "qa", "--help"]).output.split())
    assert "Example: memagent eval qa --dataset longmemeval" in shown


@pytest.mark.data
def test_the_development_files_are_answered_from_their_evidence(tmp_path: Path, command: list[str]) -> None:
    files = {
        "longmemeval": [shared_path("longmemeval", "longmemeval_s_dev.json.gz")],
        "locomo": [shared_path("locomo", "locomo5_dev.json.gz")],
        "personamem": [
            shared_path("personamem", f"personamem_32k_{part}.json.gz") for part in ("queries", "documents")
        ],
    }
    for name, paths in files.items():
        data = [part for path in paths for part in ("--data", str(path))]
        arguments = ["--dataset", name, "--retriever", "gold", "--max-tokens", "200000", "--limit", "8"]
        own = [part for part in command if not part.endswith("locomo.json") and part != "--data"]
        done = RUNNER.invoke(app, [*own, *data, *arguments, "--categories", "1,2,3,4,5"])
        assert done.exit_code == 0, done.output
        row = result(tmp_path)["rows"][0]
        assert row["n"] == 8
        if name == "personamem":
            assert 0 <= row["metrics"]["accuracy"]["mean"] <= 1
            continue
        shown = row["populations"]["answerable"]["metrics"]
        assert shown["accuracy"]["mean"] == shown["evidence_shown"]["mean"] == 1, (name, row["failures"])
