"""``memagent eval agentic-rag`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eval_commands import Counting, use
from hop_examples import PASSAGES, QUESTIONS, lines
from typer.testing import CliRunner

import memagent.evals.multihop.files
from memagent.errors import InvalidInput, MemagentError
from memagent.evals.cli import app
from memagent.evals.multihop.world import make_world


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A hashing encoder, a small world, and a cache of its own."""
    use(monkeypatch, Counting())
    monkeypatch.setattr(memagent.evals.multihop.files, "make_world", lambda: make_world(questions=9, passages=120))
    monkeypatch.setenv("MEMAGENT_CACHE", str(tmp_path / "cache"))


def call(*arguments: object) -> str:
    found = CliRunner().invoke(app, ["agentic-rag", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_a_sweep_over_budgets_writes_a_table_a_result_and_rows_with_their_traces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, rows = tmp_path / "result.json", tmp_path / "rows.jsonl"
    arguments = ("--dataset", "world", "--reader", "scripted", "--retriever", "bm25", "--rounds", "0,4")
    shown = call(*arguments, "--out", out, "--per-question", rows, "--markdown")
    assert "| reason-rag bm25 rounds=4 | 100.0" in shown
    result = json.loads(out.read_text())
    assert [row["system"] for row in result["rows"]] == [
        "no retrieval", "rag@3 bm25", "rag@12 bm25", "reason-rag bm25 rounds=0", "reason-rag bm25 rounds=4",
    ]  # fmt: skip
    assert result["this_run"]["calls"] > 0
    assert result["model"]["name"] == "scripted"
    written = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(written) == 9 * 5
    assert written[4]["trace"][1]["documents"]
    assert not out.with_name("result.json.partial").exists()
    monkeypatch.setenv("COLUMNS", "180")
    assert {"tokens", "rounds=4"} <= set(call(*arguments, "--out", out).split())
    again = json.loads(out.read_text())
    monkeypatch.setenv("COLUMNS", "80")
    narrow = call(*arguments, "--out", out)
    assert "rounds=4" in narrow.split()
    assert "│ tokens" not in narrow
    assert again["this_run"]["calls"] == 0
    assert [row["metrics"] for row in again["rows"]] == [row["metrics"] for row in result["rows"]]


def test_the_oracle_needs_no_model(tmp_path: Path) -> None:
    questions = lines(tmp_path / "questions.jsonl", QUESTIONS)
    passages = lines(tmp_path / "passages.jsonl", PASSAGES)
    out = tmp_path / "result.json"
    call(
        "--dataset", "musique", "--data", questions, "--data", passages, "--oracle", "--retriever", "bm25", "--out", out
    )
    result = json.loads(out.read_text())
    assert result["rows"][0]["system"] == "parts@1 bm25"
    assert result["rows"][0]["metrics"]["recall_all"]["mean"] == 1
    assert result["dataset"]["left_out"]["without parts or gold passages"] == 1
    assert result["model"] is None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--dataset", "world"], "name a --reader"),
        (["--dataset", "world", "--reader", "scripted", "--oracle"], "name a --reader"),
        (["--dataset", "musique", "--reader", "scripted"], "cannot read the questions of musique"),
        (["--dataset", "musique", "--oracle"], "needs its files"),
        (["--dataset", "world", "--reader", "scripted", "--rounds", "x"], "no|not a list"),
        (["--dataset", "world", "--reader", "scripted", "--system", "magic"], "unknown systems"),
        (["--dataset", "world", "--reader", "scripted", "--retriever", "magic"], "magic"),
        (["--dataset", "world", "--reader", "scripted", "--baseline", "magic"], "is not evaluated"),
        (["--dataset", "world", "--reader", "scripted", "--reader-price", "x"], "not two prices"),
    ],
)
def test_bad_input_is_told(arguments: list[str], problem: str, tmp_path: Path) -> None:
    with pytest.raises(MemagentError, match=problem) as raised:
        CliRunner().invoke(
            app, ["agentic-rag", *arguments, "--out", str(tmp_path / "out.json")], catch_exceptions=False
        )
    assert isinstance(raised.value, InvalidInput)


def test_the_help_names_an_example() -> None:
    found: Any = CliRunner().invoke(app, ["agentic-rag", "--help"], env={"COLUMNS": "200"})
    assert "memagent eval agentic-rag --dataset world --reader scripted" in " ".join(found.output.split())
