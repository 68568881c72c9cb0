"""Commands that have a language model write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

import memagent.llm.model
from memagent.errors import ModelRefused
from memagent.prompts.facts import Fact, Facts
from memagent.prompts.prompt import Prompt
from memagent.prompts.summary import SessionKeywords, SessionSummary
from memagent.testing import ScriptedModel


class Script:
    """What every model of a command answers, while it is not broken."""

    broken = False

    def __call__(self, prompt: Prompt[Any]) -> Any:
        if self.broken:
            return ModelRefused("not today")
        if prompt.name == "session-summary":
            return SessionSummary(summary="Written by a model.")
        if prompt.name == "session-keywords":
            return SessionKeywords(keywords=["written"])
        return Facts(facts=[Fact(text="Ann keeps bees.", messages=[1])])


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    found = Script()
    monkeypatch.setattr(memagent.llm.model, "as_model", lambda name: ScriptedModel(found))
    return found


@pytest.fixture
def cli(tmp_path: Path, script: Script) -> CommandLine:
    return CommandLine(tmp_path / "store")


def test_what_is_added_is_written_about_at_once(cli: CommandLine) -> None:
    done = cli("add", "I keep bees.", "--user", "ann", "--infer", "--model", "somewhere:model")
    assert done.exit_code == 0, done.output
    assert "language model: 1 done" in done.stderr
    listed = cli.json("list", "--user", "ann", "--granularity", "fact")
    assert [item["memory"] for item in listed["results"]] == ["Ann keeps bees."]
    assert cli.json("status", "--user", "ann")["done"] == 1


def test_sessions_of_a_file_are_written_about(cli: CommandLine) -> None:
    lines = "\n".join(json.dumps({"session_id": f"s{n}", "messages": [f"I keep {n} bees."]}) for n in range(3))
    reply = cli.json("add", "--file", "-", "--user", "ann", "--infer", "--model", "x:y", typed=lines)
    assert reply["inference"]["done"] == 6
    summaries = cli.json("list", "--user", "ann", "--granularity", "summary")["results"]
    assert {item["memory"] for item in summaries} == {"Written by a model."}


def test_a_model_must_be_named(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--model" in cli.refused("add", "I keep bees.", "--user", "ann", "--infer")
    assert not cli.store.exists()
    monkeypatch.setenv("MEMAGENT_MODEL", "x:y")
    assert cli.json("add", "I keep bees.", "--user", "ann", "--infer")["inference"]["done"] == 1


def test_what_failed_is_shown_and_tried_again(cli: CommandLine, script: Script) -> None:
    script.broken = True
    done = cli("add", "I keep bees.", "--user", "ann", "--session", "s", "--infer", "--model", "x:y")
    assert (done.exit_code, "1 failed" in done.stderr) == (0, True)
    shown = cli("status")
    assert (shown.exit_code, "not today" in shown.stdout) == (0, True)
    assert cli("infer", "--model", "x:y").exit_code == 1
    assert cli("infer", "--model", "x:y", "--retry-failed").exit_code == 1
    script.broken = False
    done = cli("infer", "--model", "x:y", "--retry-failed", "--user", "ann")
    assert done.exit_code == 0, done.output
    assert cli.json("status")["problems"] == []
    assert cli.json("infer", "--model", "x:y")["done"] == 1


def test_what_is_not_done_in_time_is_left(cli: CommandLine) -> None:
    done = cli("add", "I keep bees.", "--user", "ann", "--infer", "--model", "x:y", "--wait", "0")
    assert "1 left for `memagent infer`" in done.stderr
    done = cli("infer", "--model", "x:y", "--timeout", "0")
    assert (done.exit_code, "1 job left" in done.stderr) == (3, True)
    assert cli("infer", "--model", "x:y").exit_code == 0


def test_superseded_facts_are_listed_and_found_when_asked_for(cli: CommandLine) -> None:
    cli("add", "I keep bees.", "--user", "ann", "--infer", "--model", "x:y")
    for command in (["search", "bees"], ["context", "bees"], ["list"]):
        done = cli(*command, "--user", "ann", "--granularity", "fact", "--superseded")
        assert (done.exit_code, "Ann keeps bees." in done.stdout) == (0, True), done.output
