from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fake_server
import pytest
from typer.testing import CliRunner

from memagent.agents.ab.agent.policy import AgentPolicy
from memagent.agents.ab.ratings import split
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.users import users_of
from memagent.agents.ab.validation.judges import ModelJudge
from memagent.cli import app
from memagent.errors import BudgetExceeded, DataError, ModelUnavailable, Stopped, UnknownName
from memagent.evals.ab.config import read_config
from memagent.evals.ab.validating import Suite, chosen_angles, judge_of, report_on, suite_of
from memagent.evals.ab.validating_config import ANGLES, Validation
from memagent.prompts.ab_judging import Taken
from memagent.testing import ScriptedModel

CONFIG = """
data: {kind: synthetic, size: 40}
arms: [random, popularity, {kind: item-knn, name: knn}]
users: 24
shares: {arms: [popularity], shares: [0.3, 1.0]}
taste: {items: 6, users: 20, parts: [validation]}
activity: {arm: knn, users: 20, targets: {1: 1.5}}
alignment: {items: 6, users: 20, ratios: [1, 2]}
errors: {arm: popularity, users: 30, repetitions: 30, planted: 10}
off_policy: {repetitions: 2}
"""
CHEAP = "model,data,taste,alignment,off-policy"


def write(folder: Path, text: str = CONFIG) -> Path:
    path = folder / "validation.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def suite(folder: Path, text: str = CONFIG) -> Suite:
    config = read_config(write(folder, text), Validation)
    return suite_of(config, folder / "out", base=folder, cache=folder / "arms", say=lambda _: None)


def test_a_validation_from_a_file_to_its_report_and_again_from_what_was_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["eval", "ab-validate", "--config", str(write(tmp_path)), "--out", str(out), "--angles", CHEAP]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    report = json.loads((out / "validation.json").read_text(encoding="utf-8"))
    assert [finding["angle"] for finding in report["findings"]] == [
        "model", "data", "taste: validation part", "alignment", "off-policy: estimators",
    ]  # fmt: skip
    assert all(finding["expected"] and finding["came"] for finding in report["findings"])
    assert all(finding["holds"] in (True, False, None) for finding in report["findings"])
    page = (out / "validation.md").read_text(encoding="utf-8")
    assert "## alignment" in page
    again = CliRunner().invoke(app, [*command, "--markdown"])
    assert again.exit_code == 0
    assert (out / "validation.md").read_text(encoding="utf-8") == page
    assert page.splitlines()[0] in again.output


def test_angles_are_chosen_by_name() -> None:
    assert chosen_angles(None) == list(ANGLES)
    assert chosen_angles("taste, model") == ["taste", "model"]
    with pytest.raises(UnknownName, match="no angle 'tastes'"):
        chosen_angles("tastes")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: {kind: synthetic}\ntaste: {item: 3}", "taste"),
        ("data: {kind: synthetic}\nalignment: {ratios: []}", "alignment.ratios"),
        ("data: {kind: synthetic}\noff_policy: {clip: 0}", "off_policy.clip"),
    ],
)
def test_a_file_that_cannot_be_used_names_the_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_config(write(tmp_path, text), Validation)


def test_an_angle_that_cannot_be_measured_says_so_and_the_others_go_on(tmp_path: Path) -> None:
    text = CONFIG.replace("taste: {items: 6", "taste: {items: 300").replace("targets: {1: 1.5}", "targets: {1: 90}")
    report = report_on(suite(tmp_path, text), ["taste", "activity", "off-policy"])
    assert [finding.holds for finding in report.findings[:2]] == [None, None]
    assert "nobody likes 150 items" in report.findings[0].came
    assert "cannot be reached" in report.findings[1].came
    assert report.findings[-1].angle == "off-policy: estimators"


def test_an_angle_that_names_a_strange_arm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="'nobody'"):
        suite(tmp_path, CONFIG.replace("arm: knn", "arm: nobody")).run("activity")


@pytest.mark.parametrize("error", [BudgetExceeded("no more", hint="more"), ModelUnavailable("no more")])
def test_no_budget_or_no_model_stops_the_validation_which_can_be_resumed(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spent(self: Suite, angle: str) -> list[object]:
        raise error

    monkeypatch.setattr(Suite, "run", spent)
    with pytest.raises(Stopped, match="no more"):
        report_on(suite(tmp_path), ["model"])


def test_the_users_of_an_agent_policy_answer_by_their_model() -> None:
    data = synthetic(users=20, items=120)
    train = split(data.ratings).train
    model = ScriptedModel([Taken(taken=[2])])
    judge = judge_of(AgentPolicy.fitted(model, data, train))
    assert isinstance(judge, ModelJudge)
    user = users_of(data, train)[0]
    assert judge.judge([(user, data.catalogue.items[:3])]) == [[False, True, False]]
    assert "habits:" in model.prompts[0].user
    assert data.catalogue.items[1].title in model.prompts[0].user


PLAYED = """
data: {{kind: synthetic, size: 40}}
arms: [random]
layout: {{page_size: 4, max_pages: 1}}
policy: {{kind: agent, model: "{url}", retriever: bm25, recalled: 0}}
taste: {{items: 4, users: 3, parts: [test]}}
alignment: {{items: 4, users: 3, ratios: [1], parts: [test]}}
"""


def reply(body: dict[str, Any]) -> str:
    """Leaves every page at once, and takes the first item of a list."""
    user = body["messages"][-1]["content"]
    if "<outcome>" in user:
        said: dict[str, Any] = {"reason": "nothing", "satisfaction": 2, "returns": False}
    elif "<item number" in user:
        said = {"taken": [1]}
    else:
        said = {"reason": "bored", "interest": 1, "action": "exit"}
    return f"<answer>{json.dumps(said)}</answer>"


@pytest.mark.model
def test_users_played_by_a_model_are_validated_by_the_same_command(tmp_path: Path) -> None:
    with fake_server.serving(fake_server.Fake(reply=reply, guides=False)) as fake:
        path = write(tmp_path, PLAYED.format(url=fake.url))
        command = ["eval", "ab-validate", "--config", str(path), "--out", str(tmp_path / "out"), "--angles"]
        done = CliRunner().invoke(app, [*command, "taste,alignment"])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "out" / "validation.json").read_text(encoding="utf-8"))
    lists, judged = report["findings"]
    assert set(lists["figures"]["ctr"]["means"].values()) == {0.0}
    assert lists["holds"] is False
    assert judged["figures"]["test"]["1:1"]["recall"]["mean"] <= 0.5
    assert judged["figures"]["test"]["1:1"]["AUC"]["mean"] is None
