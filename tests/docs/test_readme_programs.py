"""The programs of the README that need a graph or a model of the reader's run with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore
from readme import ROOT, program
from typer.testing import CliRunner

from memagent import Memory
from memagent.agents.lsrp import Cloud
from memagent.agents.reason_rag import Answer
from memagent.cli import app
from memagent.testing import ScriptedModel


class State(TypedDict):
    text: str
    known: list[str]


def remember(state: State, *, store: BaseStore) -> dict[str, Any]:
    found = store.search(("ann", "notes"), query=state["text"], limit=2)
    store.put(("ann", "notes"), state["text"], {"text": state["text"]})
    return {"known": [item.value["text"] for item in found]}


def test_the_graph_of_the_readme_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"builder": StateGraph(State).add_node("remember", remember).add_edge(START, "remember")}
    exec(program("MemagentStore"), names)
    try:
        names["graph"].invoke({"text": "I keep bees.", "known": []})
        assert names["graph"].invoke({"text": "Which animals?", "known": []})["known"] == ["I keep bees."]
    finally:
        names["store"].close()


def test_the_agent_of_the_readme_searches_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model = ScriptedModel(
        [
            "Who lives in Porto? So the next query is <query>sister in Porto",
            "The relevant evidence is <evidence>The sister Ana moved to Porto. [m1]",
            "It is Ana. So the next query is <query>instrument that Ana plays",
            "The relevant evidence is <evidence>Ana joined a string quartet as its cellist. [m1]",
            "So the answer is <answer>the cello",
        ]
    )
    text = program("ReasonRag")
    assert '"http://localhost:8000/v1"' in text
    names: dict[str, Any] = {"model": model}
    exec(text.replace('"http://localhost:8000/v1"', "model"), names)
    answer, memory = names["answer"], names["memory"]
    assert isinstance(answer, Answer)
    assert isinstance(memory, Memory)
    memory.close()
    assert answer.text == "the cello"
    assert "Ana joined a string quartet as its cellist." in capsys.readouterr().out


def test_the_device_of_the_readme_keeps_names_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    leader = ScriptedModel(["Name the day, and one dish."])
    names: dict[str, Any] = {
        "small": ScriptedModel(["Otto, Friday at seven. There will be no fish. Ann"]),
        "cloud": Cloud(leader),
    }
    text = program("remember_private").replace('"http://localhost:8000/v1"', "small")
    exec(text.replace('"http://leader.example:8010"', "cloud"), names)
    names["memory"].close()
    assert "Otto, Friday at seven." in capsys.readouterr().out
    (sent,) = leader.prompts
    assert "dinner" in sent.user
    assert not [private for private in ("Otto", "Ann", "Porto") if private in sent.system + sent.user]


def test_the_experiment_of_the_readme_finds_the_better_arm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    described = page.partition("```yaml\n")[2].partition("```")[0]
    Path("experiment.yaml").write_text(described, encoding="utf-8")
    command = page.partition("```sh\nmemagent ")[2].partition("\n```")[0]
    done = CliRunner().invoke(app, command.split())
    assert done.exit_code == 0, done.output
    assert "item-knn does better than popularity" in " ".join(done.output.split())
    assert Path("ab-test/report.html").is_file()
