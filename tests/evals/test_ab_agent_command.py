"""``eval ab`` with visitors played by a model behind a server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import fake_server
import pytest
from typer.testing import CliRunner

from memagent.cli import app
from memagent.errors import DataError
from memagent.evals.ab.config import read_config

pytestmark = pytest.mark.model

CONFIG = """
data: {{kind: synthetic, size: 60}}
arms: [random, popularity]
users: 4
layout: {{page_size: 3, max_pages: 2}}
offline: false
policy:
  kind: agent
  model: {url}
  retriever: bm25
  recalled: 0
  concurrency: 4
  budget: {{calls: {calls}}}
  prices: {{input: 1, output: 2}}
"""


def reply(body: dict[str, Any]) -> str:
    """Opens the first item of a page, once; watches what is open, and goes on."""
    user = body["messages"][-1]["content"]
    if "<outcome>" in user:
        said: dict[str, Any] = {"reason": "fine", "satisfaction": 6, "returns": False}
    elif 'kind="item"' in user:
        said = {"reason": "why not", "interest": 4, "action": "watch" if 'watched="no"' in user else "back"}
    elif 'opened="yes"' in user or "possible" not in user:
        out = "next" if "next" in user.rpartition("<possible>")[2] else "exit"
        said = {"reason": "enough", "interest": 2, "action": out}
    else:
        said = {"reason": "new", "interest": 4, "action": "click", "position": 1}
    return f"<answer>{json.dumps(said)}</answer>"


def run(folder: Path, url: str, *, calls: int) -> Any:
    path = folder / "experiment.yaml"
    path.write_text(CONFIG.format(url=url, calls=calls), encoding="utf-8")
    return CliRunner().invoke(app, ["eval", "ab", "--config", str(path), "--out", str(folder / "out"), "--markdown"])


def test_an_experiment_with_a_model_stops_at_its_budget_and_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    with fake_server.serving(fake_server.Fake(reply=reply, guides=False)) as fake:
        poor = run(tmp_path, fake.url, calls=40)
        assert poor.exit_code == 3, poor.output
        assert "raise the budget" in poor.output
        done = run(tmp_path, fake.url, calls=1000)
        assert done.exit_code == 0, done.output
        asked = [str(request["messages"]) for request in fake.requests if "<person>" in str(request["messages"])]
        before = len(asked)
        again = run(tmp_path, fake.url, calls=1000)
    assert (again.exit_code, len(asked)) == (0, before)
    assert len(set(asked)) == len(asked)  # nothing was paid for twice
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    used = report["extra"]["agent"]
    assert (used["calls"], used["runs"]) == (len(asked), 2)
    assert used["cost"] > 0
    assert report["facts"]["policy"] == f"agent, fake-model at {fake.url}"
    assert {arm["totals"]["clicks"] for arm in report["arms"]} == {8}
    told = again.output.replace("\n", " ")
    assert re.search(rf"played by a language model.*{len(asked)} calls", told)
    assert "invalid" in told


def test_an_augmentation_whose_budget_is_spent_is_stopped_and_can_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "augment.yaml"
    with fake_server.serving(fake_server.Fake(reply=reply, guides=False)) as fake:
        path.write_text(CONFIG.format(url=fake.url, calls=5) + "augment: {seeds: [0]}", encoding="utf-8")
        command = ["eval", "ab-augment", "--config", str(path), "--out", str(tmp_path / "out")]
        poor = CliRunner().invoke(app, command)
    assert poor.exit_code == 3, poor.output
    assert "raise the budget" in poor.output


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("{kind: agent}", "model: Field required"),
        ("{kind: robot}", "policy"),
        ("{kind: agent, model: x, visuals: film}", "visuals"),
        ("{kind: agent, model: x, visuals: caption}", "needs a captioner, or captions"),
        ("{kind: agent, model: x, concurrency: 0}", "concurrency"),
        ("{model: x}", "model"),
        ("{kind: agent, model: x, budget: {cost: 1}}", "needs prices"),
        (
            "{kind: agent, model: x, captioner: y, budget: {cost: 1}, prices: {input: 1, output: 1}}",
            "needs captioner_prices",
        ),
    ],
)
def test_a_policy_that_cannot_be_is_named(tmp_path: Path, policy: str, said: str) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(f"data: {{kind: synthetic}}\narms: [popularity]\npolicy: {policy}", encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_config(path)
