"""``memagent tune feedback`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from memagent.cli import app
from memagent.tuning.pairs import read_pairs

FEEDBACK = ("tune", "feedback", "--dataset", "population", "--leader", "scripted", "--limit", "6")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, status: int = 0) -> Result:
    done = CliRunner().invoke(app, [*FEEDBACK, *arguments], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def test_pairs_are_written_for_llama_factory_and_for_tune_dpo_and_another_margin_asks_nobody() -> None:
    done = run("--out", "pairs.json", "--guard", "off")
    assert "private answers" in done.stdout
    pairs = read_pairs("pairs.json")
    assert 1 <= len(pairs) <= 6
    assert len({pair.group for pair in pairs}) >= 2
    assert all(pair.instruction == "" for pair in pairs)
    assert json.loads(Path("pairs.json").read_text())[0]["conversations"][0]["from"] == "human"
    assert Path("pairs.json.calls.jsonl").stat().st_mode & 0o077 == 0
    again = run(
        "--out", "few.jsonl", "--guard", "off", "--calls", "pairs.json.calls.jsonl", "--margin", "1e9", status=0
    )
    assert "within the margin" in again.stdout
    assert "\ncalls" in again.stdout
    assert again.stdout.split("\ncalls")[1].split()[0] == "0"


def test_nothing_of_a_users_profile_is_in_the_file_of_pairs(tmp_path: Path) -> None:
    profile = "Name: Ines Varga\nAge: 67\nOccupation: harbour pilot"
    records = [
        {
            "tid": str(number),
            "conversations": [
                {"from": "user", "value": f"Write a note from Ines Varga on {day}."},
                {"from": "assistant", "value": "Dear all"},
            ],
            "profile": [{"title": "Tides", "text": "The Lodestar came in late."}],
            "additional_profile": profile,
        }
        for number, day in enumerate(("Monday", "Friday"))
    ]
    Path("train.json").write_text(json.dumps(records))
    run("--dataset", "cogen", "--data", "train.json", "--out", "pairs.json")
    written = Path("pairs.json").read_text()
    assert not any(private in written for private in ("Ines", "Varga", "67", "harbour", "Lodestar"))
    assert {pair.group for pair in read_pairs("pairs.json")} == {"user-1"}


def test_a_spent_budget_stops_and_the_same_command_resumes() -> None:
    stopped = run("--out", "pairs.json", "--budget-calls", "9", status=3)
    assert "raise the budget" in stopped.stderr
    assert not Path("pairs.json").exists()
    done = run("--out", "pairs.json", "--form", "run-time")
    assert read_pairs("pairs.json")[0].instruction
    assert "tasks" in done.stdout


def test_a_leader_needs_a_model_for_the_device() -> None:
    done = CliRunner().invoke(
        app, ["tune", "feedback", "--leader", "http://127.0.0.1:9/v1", "--out", "pairs.json"], catch_exceptions=False
    )
    assert done.exit_code == 2
    assert "no model for the device" in done.stderr
