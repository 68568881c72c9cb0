"""The programs of the README that need a graph or a model of the reader's run with one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.store.base import BaseStore
from readme import program

from memagent import Memory
from memagent.agents.reason_rag import Answer
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
