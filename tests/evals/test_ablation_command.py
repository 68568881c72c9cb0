from __future__ import annotations

import json
from pathlib import Path

import pytest
from eval_commands import Counting, locomo_file, use
from typer.testing import CliRunner

from memagent.cli import app
from memagent.evals.ablation_plans import PLANS, Plan, named, sweep

RUNNER = CliRunner()
SMALL = Plan(
    method="hybrid",
    baseline="dense[by=session]",
    groups=(
        named("Channels", (("whole", "hybrid"), ("without vectors", "hybrid[dense=0]"))),
        sweep("Weight", "hybrid", "dense", (1, 2)),
    ),
)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Counting:
    return use(monkeypatch, Counting())


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    data = locomo_file(tmp_path / "locomo.json")
    return [
        *("--dataset", "locomo", "--data", str(data), "--out", str(tmp_path / "out" / "ablation")),
        *("--cache-dir", str(tmp_path / "cache")),
    ]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PLANS, "hybrid", SMALL)


@pytest.mark.parametrize("method", PLANS)
def test_the_plan_of_a_method_is_run_and_written(
    tmp_path: Path, options: list[str], encoder: Counting, method: str
) -> None:
    done = RUNNER.invoke(app, ["eval", "ablation", method, *options, "--limit", "2"])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "out" / "ablation"
    result = json.loads((folder / "ablation.json").read_text())
    assert [row["retriever"] for row in result["rows"]][:2] == [method, PLANS[method].baseline]
    pictures = {group["plot"] for group in result["groups"] if group["plot"]} | {"differences.png"}
    assert {path.name for path in folder.iterdir()} == {"ablation.json", "ablation.md", *pictures}
    assert {row["n"] for row in result["rows"]} == {2}


@pytest.mark.usefixtures("small")
def test_the_page_can_be_printed_and_rows_kept(tmp_path: Path, options: list[str], encoder: Counting) -> None:
    rows = tmp_path / "rows.jsonl"
    arguments = ["--set", "hybrid.m=2", "--baseline", "bm25", "--per-question", str(rows), "--markdown"]
    done = RUNNER.invoke(app, ["eval", "ablation", "hybrid", *options, *arguments])
    assert done.exit_code == 0, done.output
    assert done.stdout == (tmp_path / "out" / "ablation" / "ablation.md").read_text()
    assert "| vs hybrid | vs bm25 |" in done.stdout
    assert len(rows.read_text().splitlines()) == 4 * 4
    result = json.loads((tmp_path / "out" / "ablation" / "ablation.json").read_text())
    assert {row["params"]["m"] for row in result["rows"] if row["retriever"].startswith("hybrid")} == {2}


@pytest.mark.usefixtures("small")
def test_a_stopped_ablation_goes_on_with_the_same_command(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["eval", "ablation", "hybrid", *options]
    use(monkeypatch, Counting(stop_at=5))
    stopped = RUNNER.invoke(app, command)
    assert stopped.exit_code == 3, stopped.output
    assert "run the same command to resume" in stopped.output
    partial = tmp_path / "out" / "ablation" / "rows.partial"
    kept = len(partial.read_text().splitlines()) - 1
    assert kept > 0
    again = use(monkeypatch, Counting())
    assert RUNNER.invoke(app, command).exit_code == 0
    assert again.documents == 0
    assert not partial.exists()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bm25"], "there is no ablation of 'bm25'"),
        (["hybrid", "--set", "hybrid.nope=1"], "'dense'"),
        (["hybrid", "--set", "hybrid.m=0"], "hybrid cannot be run"),
        (["hybrid", "--set", "memgas.seeds=1"], "use one of hybrid, dense"),
        (["hybrid", "--baseline", "nope"], "'bm25'"),
        (["memgas", "--summaries", "none"], "needs stored"),
        (["memgas", "--summaries", "dataset"], "locomo has no summaries"),
        (["memgas", "--granularity", "turn"], "granularity='session'"),
        (["hybrid", "--per-question", "nowhere/rows.jsonl"], "folder that exists"),
    ],
)
def test_bad_input_is_refused(options: list[str], encoder: Counting, arguments: list[str], says: str) -> None:
    refused = RUNNER.invoke(app, ["eval", "ablation", *arguments, *options])
    assert refused.exit_code == 2, refused.output
    assert says in " ".join(refused.output.split())


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path, options: list[str], encoder: Counting) -> None:
    (tmp_path / "out").write_text("in the way")
    refused = RUNNER.invoke(app, ["eval", "ablation", "rf-mem", *options])
    assert refused.exit_code == 2
    assert "is not a place for a folder" in " ".join(refused.output.split())


def test_both_commands_share_their_options() -> None:
    def shown(command: str) -> set[str]:
        words = RUNNER.invoke(app, ["eval", command, "--help"], env={"COLUMNS": "200"}).output.split()
        return {word for word in words if word.startswith("--")}

    assert shown("ablation") <= shown("retrieval")
    assert {"--retriever"} <= shown("retrieval") - shown("ablation")
    assert {"--dataset", "--set", "--summaries", "--limit", "--no-cache", "--markdown"} <= shown("ablation")


def test_help_has_an_example() -> None:
    text = " ".join(RUNNER.invoke(app, ["eval", "ablation", "--help"]).output.split())
    assert "Example: memagent eval ablation memgas --dataset locomo" in text
