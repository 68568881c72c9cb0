from __future__ import annotations

import json
from pathlib import Path

import pytest
from eval_commands import Counting, locomo_file, use
from typer.testing import CliRunner

from memagent.cli import app

RUNNER = CliRunner()


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return use(monkeypatch, Counting())


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    data = locomo_file(tmp_path / "locomo.json")
    return [
        *("eval", "retrieval", "--dataset", "locomo", "--data", str(data), "--out", str(tmp_path / "result.json")),
        *("--retriever", "dense[by=session]", "--retriever", "bm25", "--cache-dir", str(tmp_path / "cache")),
    ]


def test_a_run_writes_the_result_and_prints_a_table(tmp_path: Path, command: list[str], encoder: Counting) -> None:
    done = RUNNER.invoke(
        app, [*command, "--set", "bm25.k1=0.9", "--per-question", str(tmp_path / "rows.jsonl"), "--markdown"]
    )
    assert done.exit_code == 0, done.output
    assert "| dense[by=session] |" in done.stdout
    result = json.loads((tmp_path / "result.json").read_text())
    assert [row["retriever"] for row in result["rows"]] == ["dense[by=session]", "bm25"]
    assert result["rows"][1]["params"]["k1"] == 0.9
    assert result["rows"][1]["metrics"]["recall_all@1"]["mean"] == 1.0
    assert result["rows"][1]["paired"]["against"] == "dense[by=session]"
    assert result["encoder"]["long_text"] == "windows"
    rows = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert len(rows) == 8
    assert {json.loads(row)["retriever"] for row in rows} == {"dense[by=session]", "bm25"}
    assert not (tmp_path / "result.json.partial").exists()


def test_a_second_run_encodes_no_history(
    monkeypatch: pytest.MonkeyPatch, command: list[str], encoder: Counting
) -> None:
    assert RUNNER.invoke(app, command).exit_code == 0
    assert encoder.documents > 0
    second = use(monkeypatch, Counting())
    assert RUNNER.invoke(app, command).exit_code == 0
    assert second.documents == 0


def test_summaries_of_the_data_set_are_stored_and_nothing_is_encoded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], encoder: Counting
) -> None:
    data = locomo_file(tmp_path / "summarised.json", summaries=True)
    summarised = [str(data) if part.endswith("locomo.json") else part for part in command]
    asked = [*summarised, "--summaries", "dataset", "--retriever", "dense[by=summary]"]
    for counting in (encoder, second := Counting()):
        use(monkeypatch, counting)
        done = RUNNER.invoke(app, asked)
        assert done.exit_code == 0, done.output
    assert second.documents == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["settings"]["summaries"] == "dataset"
    assert result["rows"][2]["metrics"]["recall_all@1"]["mean"] == 1.0


@pytest.mark.parametrize(("retriever", "stored"), [("bm25[by=turn]", "none"), ("dense[by=keywords]", "extractive")])
def test_summaries_are_stored_for_retrievers_that_use_them(
    tmp_path: Path, command: list[str], encoder: Counting, retriever: str, stored: str
) -> None:
    done = RUNNER.invoke(app, [*command, "--retriever", retriever])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "result.json").read_text())["settings"]["summaries"] == stored


def test_a_stopped_run_says_so_and_the_same_command_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    use(monkeypatch, Counting(stop_at=3))
    stopped = RUNNER.invoke(app, command)
    assert stopped.exit_code == 3, stopped.output
    assert "run the same command to resume" in stopped.output
    assert (tmp_path / "result.json.partial").exists()
    assert not (tmp_path / "result.json").exists()
    use(monkeypatch, Counting())
    assert RUNNER.invoke(app, command).exit_code == 0
    assert json.loads((tmp_path / "result.json").read_text())["rows"][0]["n"] == 4


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--retriever", "nope"], "'bm25'"),
        (["--set", "bm25.nope=1"], "'k1'"),
        (["--set", "k1=1"], "NAME.param=value"),
        (["--baseline", "hybrid"], "dense[by=session], bm25"),
        (["--categories", "1,x"], "1,2,3,4"),
        (["--categories", "7"], "5 (adversarial)"),
        (["--text", "user_turns_only"], "both_roles"),
        (["--text", "json_with_date"], "both_roles"),
        (["--summaries", "llm"], "extractive"),
        (["--summaries", "dataset"], "locomo has no summaries"),
        (["--summaries", "none", "--retriever", "dense[by=keywords]"], "needs stored keywords units"),
        (["--as-of", "question"], "no dates"),
        (["--granularity", "word"], "session"),
        (["--out", "nowhere/result.json"], "folder that exists"),
        (["--data", "gone.json"], "gone.json"),
    ],
)
def test_bad_input_is_refused_with_what_is_valid(
    command: list[str], encoder: Counting, extra: list[str], says: str
) -> None:
    refused = RUNNER.invoke(app, [*command, *extra])
    assert refused.exit_code == 2, refused.output
    assert says in " ".join(refused.output.split())


def test_a_damaged_file_is_named_with_record_and_field(tmp_path: Path, command: list[str], encoder: Counting) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('[{"sample_id": "c", "conversation": {}}]')
    refused = RUNNER.invoke(app, [*command, "--data", str(bad)])
    assert refused.exit_code == 2
    assert "bad.json, record 0, field qa: is missing" in refused.output


def test_help_has_an_example() -> None:
    shown = " ".join(RUNNER.invoke(app, ["eval", "retrieval", "--help"]).output.split())
    assert "Example: memagent eval retrieval --dataset locomo" in shown
    assert "dense[by=turn-mean]" in shown
