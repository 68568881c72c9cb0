"""Budgets and counts of all models of an experiment: those that rank, beside those that play."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fake_server import Fake, serving
from typer.testing import CliRunner

from memagent.cli import app
from memagent.errors import DataError
from memagent.evals.ab.config import Config, read_config
from memagent.evals.ab.running import prepare

pytestmark = pytest.mark.model

DATA = "data: {kind: synthetic, size: 40}\n"
RANKED = """
arms: [popularity, {{kind: llm-ranker, name: ranked, parameters: {{model: "{url}", candidates: 4}}, {arm}}}]
users: 6
layout: {{page_size: 3, max_pages: 1}}
"""
PLAYED = """
policy: {{kind: agent, model: "{url}", retriever: bm25, recalled: 0, {policy}}}
"""


def reply(body: dict[str, Any]) -> str:
    """Ranks backwards; takes the first of a list of things; leaves every page at once."""
    user = body["messages"][-1]["content"]
    if "<candidates>" in user:
        numbers = re.findall(r"^(\d+)\. ", user, re.MULTILINE)
        said: dict[str, Any] = {"order": [int(number) for number in reversed(numbers)]}
    elif "<outcome>" in user:
        said = {"reason": "nothing", "satisfaction": 2, "returns": False}
    elif "<item number" in user:
        said = {"taken": [1]}
    else:
        said = {"reason": "bored", "interest": 1, "action": "exit"}
    return f"<answer>{json.dumps(said)}</answer>"


def run(folder: Path, text: str, *, kind: str = "ab", more: tuple[str, ...] = ()) -> Any:
    path = folder / "experiment.yaml"
    path.write_text(DATA + text, encoding="utf-8")
    return CliRunner().invoke(app, ["eval", kind, "--config", str(path), "--out", str(folder / "out"), *more])


def usage(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out/usage.jsonl").read_text(encoding="utf-8").splitlines()]


def asked(fake: Fake) -> list[str]:
    sent = [str(request["messages"]) for request in fake.requests]
    return [one for one in sent if "<person>" in one]


@pytest.mark.parametrize("own", [False, True])
def test_a_ranker_stops_at_the_budget_and_goes_on_with_a_larger_one(own: bool, tmp_path: Path) -> None:
    def text(calls: int) -> str:
        budget = f"budget: {{calls: {calls}}}"
        return RANKED.format(url=fake.url, arm=budget if own else "") + ("" if own else budget)

    with serving(Fake(reply=reply, guides=False)) as fake:
        poor = run(tmp_path, text(3))
        assert (poor.exit_code, "raise the budget" in poor.output) == (3, True), poor.output
        assert [row["calls"] for row in usage(tmp_path)] == [
            row["rankers"]["ranked"]["calls"] for row in usage(tmp_path)
        ]
        offline = run(tmp_path, text(3))  # that is all that visits need, lists for offline figures need more
        assert (offline.exit_code, "evaluating offline" in offline.output) == (3, True), offline.output
        done = run(tmp_path, text(100), more=("--markdown",))
        assert done.exit_code == 0, done.output
    assert len(asked(fake)) == len(set(asked(fake))) == sum(row["calls"] for row in usage(tmp_path))
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert report["extra"]["rankers"]["ranked"]["calls"] == len(asked(fake))
    assert "agent" not in report["extra"]
    assert f"{len(asked(fake))} calls" in " ".join(done.output.split())


def test_one_budget_bounds_visitors_and_rankers_and_each_is_counted_apart(tmp_path: Path) -> None:
    with serving(Fake(reply=reply, guides=False)) as fake:
        arm, policy = "prices: {input: 1, output: 2}", "prices: {input: 10, output: 20}"
        text = RANKED.format(url=fake.url, arm=arm) + PLAYED.format(url=fake.url, policy=policy) + "offline: false\n"
        poor = run(tmp_path, text + "budget: {calls: 20}")
        assert poor.exit_code == 3, poor.output
        done = run(tmp_path, text + "budget: {cost: 100}")
        assert done.exit_code == 0, done.output
    used = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))["extra"]
    lists = [one for one in asked(fake) if "<candidates>" in one]
    assert used["rankers"]["ranked"]["calls"] == len(lists)
    assert used["agent"]["calls"] == len(asked(fake)) - len(lists)
    assert [row["calls"] for row in usage(tmp_path)] == [20, len(asked(fake)) - 20]
    for row in usage(tmp_path):
        parts = [row["visitors"], *row["rankers"].values()]
        for name in ("calls", "input_tokens", "output_tokens", "cost"):
            assert row[name] == pytest.approx(sum(part[name] for part in parts))


def test_a_calibration_whose_arm_asks_a_model_is_within_the_budget(tmp_path: Path) -> None:
    with serving(Fake(reply=reply, guides=False)) as fake:
        text = RANKED.format(url=fake.url, arm="") + "calibrate: {arm: ranked, users: 10}\nbudget: {calls: 2}"
        poor = run(tmp_path, text)
    assert (poor.exit_code, "raise the budget" in poor.output) == (3, True), poor.output
    assert [row["calls"] for row in usage(tmp_path)] == [2]


def test_a_validation_writes_down_what_it_uses_and_stops_at_the_budget(tmp_path: Path) -> None:
    angles = "alignment: {items: 4, users: 3, ratios: [1], parts: [test]}\ntaste: {items: 4, users: 3, parts: [test]}\n"
    with serving(Fake(reply=reply, guides=False)) as fake:
        text = RANKED.format(url=fake.url, arm="") + PLAYED.format(url=fake.url, policy="concurrency: 1") + angles
        for angle in ("taste", "alignment"):
            poor = run(tmp_path, f"{text}budget: {{calls: 2}}", kind="ab-validate", more=("--angles", angle))
            assert (poor.exit_code, "raise the budget" in poor.output) == (3, True), poor.output
        done = run(tmp_path, f"{text}budget: {{calls: 100}}", kind="ab-validate", more=("--angles", "taste,alignment"))
        assert done.exit_code == 0, done.output
    assert len(asked(fake)) == len(set(asked(fake)))
    assert sum(row["visitors"]["calls"] for row in usage(tmp_path)) == len(asked(fake))
    said = json.loads((tmp_path / "out/validation.json").read_text(encoding="utf-8"))["facts"]["models"]
    assert f"visitors {len(asked(fake))} calls" in said


def test_an_augmentation_writes_down_what_it_uses(tmp_path: Path) -> None:
    model = "augment: {models: [{kind: fm, parameters: {epochs: 1, factors: 2}}], reference: item-knn, seeds: [0]}"
    with serving(Fake(reply=reply, guides=False)) as fake:
        text = f"{RANKED.format(url=fake.url, arm='')}users: 6\n{model}\nbudget: ".replace("users: 6\n", "", 1)
        poor = run(tmp_path, text + "{calls: 2}", kind="ab-augment")
        assert (poor.exit_code, "raise the budget" in poor.output) == (3, True), poor.output
        done = run(tmp_path, text + "{calls: 50}", kind="ab-augment", more=("--markdown",))
        assert done.exit_code == 0, done.output
    assert [row["rankers"]["ranked"]["calls"] for row in usage(tmp_path)] == [2, len(asked(fake)) - 2]
    assert f"ranked {len(asked(fake))} calls" in " ".join(done.output.split())


def test_a_budget_and_a_timeout_tell_no_experiment_from_another(tmp_path: Path) -> None:
    def label(arm: str, more: str = "") -> str:
        path = tmp_path / "experiment.yaml"
        path.write_text(DATA + RANKED.format(url="http://127.0.0.1:9/v1", arm=arm) + more, encoding="utf-8")
        return prepare(read_config(path), base=tmp_path, cache=None, say=lambda _: None).experiment.fingerprint

    bare = label("")
    more = "budget: {calls: 3}, prices: {input: 1, output: 1}, timeout: 9"
    assert label(more, "budget: {cost: 2}") == bare
    assert label("thinking_tokens: 500") != bare
    assert label("seed: 1") != bare


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arms: [{kind: popularity, budget: {calls: 1}}]", "popularity asks no model"),
        ("arms: [{kind: popularity, thinking_tokens: 1}]", "only llm-ranker has thinking_tokens"),
        ("arms: [{kind: llm-ranker, budget: {cost: 1}}]", "arms.0: .*needs prices"),
        ("arms: [{kind: llm-ranker, name: r}]\nbudget: {cost: 1}", "needs prices of the arm r"),
        ("arms: [popularity]\nbudget: {cost: 1}\npolicy: {kind: agent, model: m}", "needs policy.prices"),
        ("arms: [popularity]\nbudget: {calls: -1}", "budget.calls"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(DATA + text, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_config(path, Config)
