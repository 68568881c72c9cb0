from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import memagent.encoders
from memagent.agents.reason_rag.tree_log import read_trees
from memagent.cli import app
from memagent.testing import HashingEncoder
from memagent.tuning.pairs import read_pairs

TREES = ("tune", "trees", "--dataset", "world", "--policy", "scripted", "--retriever", "bm25", "--limit", "2")


class Line:
    """The command line in an empty folder, with an encoder that costs nothing."""

    def __call__(self, *args: str) -> Result:
        return CliRunner().invoke(app, args, catch_exceptions=False)

    def refused(self, *args: str, status: int = 2) -> str:
        done = self(*args)
        assert (done.exit_code, done.stdout) == (status, ""), done.output
        return done.stderr


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEMAGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(memagent.encoders, "load_encoder", lambda *args, **options: HashingEncoder(dim=32))
    return Line()


def test_trees_are_searched_and_become_pairs(cli: Line) -> None:
    done = cli(*TREES, "--out", "trees.jsonl")
    assert done.exit_code == 0, done.output
    assert "trees" in done.stdout
    trees = read_trees("trees.jsonl")
    assert len(trees) == 2
    assert not Path("trees.jsonl.partial").exists()
    again = cli(*TREES, "--out", "again.jsonl")
    assert " 0, and" in again.stdout  # all replies came from the cache
    assert [tree.case for tree in read_trees("again.jsonl")] == [tree.case for tree in trees]
    made = cli("tune", "pairs", "--trees", "trees.jsonl", "--out", "pairs.jsonl", "--dataset", "pairs-dataset")
    assert made.exit_code == 0, made.output
    pairs = read_pairs("pairs.jsonl")
    assert pairs
    assert str(len(pairs)) in made.stdout
    assert (Path("pairs-dataset") / "dataset_info.json").is_file()
    other = cli("tune", "pairs", "--trees", "trees.jsonl", "--out", "few.jsonl", "--margin", "0.5")
    assert other.exit_code == 0
    assert Path("few.jsonl").stat().st_size < Path("pairs.jsonl").stat().st_size


def test_a_spent_budget_stops_the_search_and_the_same_command_resumes_it(cli: Line) -> None:
    said = cli.refused(*TREES, "--iterations", "8", "--budget-calls", "5", "--out", "trees.jsonl", status=3)
    assert "raise the budget" in said
    assert Path("trees.jsonl.partial").is_file()
    assert cli(*TREES, "--iterations", "8", "--out", "trees.jsonl").exit_code == 0


def test_what_cannot_be_searched_is_refused(cli: Line) -> None:
    data = ("--dataset", "hotpotqa", "--policy", "scripted", "--out", "trees.jsonl")
    assert "cannot read the questions" in cli.refused("tune", "trees", *data)
    assert "temperature is 0" in cli.refused(*TREES, "--temperature", "0", "--out", "trees.jsonl")
    assert "cannot be read" in cli.refused("tune", "pairs", "--trees", "none.jsonl", "--out", "pairs.jsonl")


def test_a_model_is_tuned_and_measured(cli: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trl")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "tuning"))
    sys.modules.pop("tiny_models", None)
    from tiny_models import one_thread, pair, save_tiny_model

    save_tiny_model(tmp_path / "tiny")
    Path("pairs.jsonl").write_text("".join(json.dumps(pair(number).record()) + "\n" for number in range(8)))
    how = ("--learning-rate", "0.02", "--rank", "4", "--warmup", "0", "--device", "cpu", "--no-save-memory")
    with one_thread():
        done = cli("tune", "dpo", "--pairs", "pairs.jsonl", "--model", "tiny", "--out", "tuned", *how)
        assert done.exit_code == 0, done.output
        assert "after, train" in done.stdout
        assert (tmp_path / "tuned" / "adapter" / "adapter_model.safetensors").is_file()
        scored = cli("tune", "score", "--pairs", "pairs.jsonl", "--model", "tiny", "--adapter", "tuned/adapter")
        assert scored.exit_code == 0, scored.output
        assert "accuracy 1.000" in scored.stdout
    assert "no model" in cli.refused("tune", "dpo", "--pairs", "pairs.jsonl", "--model", "nothing", "--out", "x")
