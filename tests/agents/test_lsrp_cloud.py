"""The cloud: what it answers, what it refuses, and that it knows a task and nothing else."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lsrp_examples import PLAN, serving

from memagent.agents.lsrp import (
    GENERAL,
    STYLES,
    Cloud,
    Guideline,
    GuidelineRequest,
    RemoteLeader,
    Strategy,
    TaskType,
    Worded,
    build_cloud,
    register,
    strategies,
    strategy,
    strategy_names,
)
from memagent.agents.lsrp.cloud import LONGEST_TASK
from memagent.agents.lsrp.strategies import load_strategies
from memagent.errors import (
    DataError,
    DuplicateId,
    InvalidInput,
    MalformedReply,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelUnavailable,
    UnknownName,
)
from memagent.llm.http import ServerHttp
from memagent.prompts.lsrp import sketch
from memagent.server.lsrp_cloud import LONGEST_BODY, lsrp_cloud_app, serve_lsrp_cloud
from memagent.testing import ScriptedModel

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

pytestmark = pytest.mark.model

REQUEST = GuidelineRequest(task="Write a note.", strategy="directive", task_type=TaskType.WRITING)
MINE = Strategy(
    name="haste",
    summary="be quick",
    writing=Worded(instructions="Be quick about the text."),
    explanation=Worded(instructions="Be quick about the reasons."),
)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "_known", dict(strategies._known))


def test_the_messages_and_the_state_of_the_graph_have_no_room_for_a_user() -> None:
    assert [field.name for field in dataclasses.fields(GuidelineRequest)] == ["task", "strategy", "task_type"]
    assert [field.name for field in dataclasses.fields(Guideline)] == ["text"]
    graph = build_cloud(ScriptedModel([PLAN]))
    values = graph.invoke({"task": "Write a note.", "strategy": "directive", "task_type": "writing"})
    assert values == {**REQUEST.to_json(), "guideline": PLAN}


@pytest.mark.parametrize("kind", TaskType)
@pytest.mark.parametrize("name", [*STYLES, GENERAL])
def test_each_strategy_has_its_own_wording_and_two_examples(name: str, kind: TaskType) -> None:
    model = ScriptedModel([PLAN])
    Cloud(model).guideline(dataclasses.replace(REQUEST, strategy=name, task_type=kind))
    [prompt] = model.prompts
    worded = strategy(name).worded(kind)
    assert worded.instructions in prompt.system
    assert len(worded.examples) == 2
    assert all(example.guideline in prompt.system for example in worded.examples)
    assert prompt.user == "<task>\nWrite a note.\n</task>"


def test_a_strategy_of_ones_own_is_registered_once_and_used_by_name() -> None:
    register(MINE)
    register(MINE)
    assert strategy_names()[: len(STYLES) + 1] == (*STYLES, GENERAL)
    assert strategy_names().count("haste") == 1  # beside those that other tests of this process have registered
    model = ScriptedModel([PLAN])
    Cloud(model).guideline(dataclasses.replace(REQUEST, strategy="haste"))
    assert model.prompts[0].name == "lsrp-leader-haste-writing"
    with pytest.raises(DuplicateId, match="haste"):
        register(dataclasses.replace(MINE, summary="another"))
    with pytest.raises(UnknownName, match="directive"):
        strategy("charm")


@pytest.mark.parametrize("name", ["", "Directive", "two words", "x" * 41, "-a", "ann@example.org"])
def test_a_name_that_could_say_something_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="name of a strategy"):
        dataclasses.replace(MINE, name=name)
    with pytest.raises(InvalidInput, match="no instructions"):
        dataclasses.replace(MINE, writing=Worded(instructions=" "))
    with pytest.raises(UnknownName, match="poem"):
        MINE.worded("poem")


def test_strategies_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "strategies.json"
    worded = {"instructions": "Be quick.", "examples": [{"task": "t", "guideline": "g"}]}
    one = {"name": "haste", "summary": "s", "writing": worded, "explanation": {"instructions": "Be quick."}}
    path.write_text(json.dumps([one]))
    [found] = load_strategies(path)
    assert (found.name, found.writing.examples[0].guideline, found.explanation.examples) == ("haste", "g", ())
    damaged: list[Any] = ["x", {}, [3], [{}], [{**one, "name": "A b"}], [{**one, "writing": 3}], [{**one, "name": 3}]]
    for wrong in damaged:
        path.write_text("{" if wrong == "x" else json.dumps(wrong))
        with pytest.raises(DataError, match="strategies"):
            load_strategies(path)
    with pytest.raises(DataError, match="cannot be read"):
        load_strategies(tmp_path / "missing.json")


def test_another_prompt_takes_the_place_of_lsrps() -> None:
    model = ScriptedModel([PLAN])
    Cloud(model, write=lambda request: sketch(request.task, request.task_type)).guideline(REQUEST)
    assert model.prompts[0].name == "lsrp-sketch-writing"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"task": " "}, InvalidInput),
        ({"task": "x" * (LONGEST_TASK + 1)}, InvalidInput),
        ({"task": "half a \ud83d face"}, InvalidInput),
        ({"strategy": "x"}, UnknownName),
    ],
)
def test_what_cannot_be_served_is_refused_before_the_model_is_asked(
    change: dict[str, Any], error: type[Exception]
) -> None:
    model = ScriptedModel([])
    with pytest.raises(error):
        Cloud(model).guideline(dataclasses.replace(REQUEST, **change))
    assert model.prompts == []


def test_half_a_character_in_a_guideline_does_not_stop_it() -> None:
    with serving(Cloud(ScriptedModel(["Smile \ud83d and greet."]))) as url:
        assert RemoteLeader(url).guideline(REQUEST).text == "Smile \ufffd and greet."


def test_an_empty_guideline_is_none() -> None:
    with pytest.raises(MalformedReply, match="wrote nothing"):
        asyncio.run(Cloud(ScriptedModel(["  "])).aguideline(REQUEST))


def test_the_server_answers_as_the_cloud_does_and_tells_what_it_cannot_read() -> None:
    with serving(Cloud(ScriptedModel([PLAN]))) as url:
        server = ServerHttp(url)
        assert server.get_json("/health", timeout=60) == {"status": "ok"}
        answer = server.call("/guideline", REQUEST.to_json(), timeout=60)
        assert (answer.status, json.loads(answer.body)) == (200, {"text": PLAN})
        bodies: list[dict[str, Any]] = [
            {},
            {"task": "x", "strategy": "general"},
            {**REQUEST.to_json(), "profile": {"name": "Ann"}},
            {**REQUEST.to_json(), "task": 3},
            {**REQUEST.to_json(), "task": " "},
            {**REQUEST.to_json(), "strategy": "charm"},
            {**REQUEST.to_json(), "task_type": "poem"},
            {**REQUEST.to_json(), "task": "x" * (LONGEST_TASK + 1)},
        ]
        for body in bodies:
            answer = server.call("/guideline", body, timeout=60)
            assert (answer.status, list(json.loads(answer.body))) == (400, ["detail"])
        assert server.call("/guideline", {"task": "x" * LONGEST_BODY}, timeout=60).status == 413
        assert server.call("/guideline", None, timeout=60).status == 405
        assert _raw(url, b"{" * 5_000) == 400
        assert _raw(url, b"\xff\xfe") == 400


def _raw(url: str, body: bytes) -> int:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.sendall(b"POST /guideline HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        return int(sock.recv(4096).split()[1])


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memagent.server.lsrp_cloud._PATIENCE", 0.1)
    with serving(Cloud(ScriptedModel([]))) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=60) as sock:
            sock.sendall(b"POST /guideline HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
            assert b" 408 " in sock.recv(4096)


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ModelUnavailable("busy"), 503, ModelUnavailable),
        (ModelRefused("too long"), 502, ModelUnavailable),
        (ModelError("odd"), 500, ModelUnavailable),
    ],
)
def test_a_model_that_fails_is_told_with_a_status(
    error: ModelError, status: int, told: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memagent.agents.lsrp.remote._WAIT", 0.0)
    with serving(Cloud(ScriptedModel(lambda _: error, retries=0))) as url:
        assert ServerHttp(url).call("/guideline", REQUEST.to_json(), timeout=60).status == status
        with pytest.raises(told):
            RemoteLeader(url).guideline(REQUEST)


def test_a_token_lets_in_and_nothing_else_does() -> None:
    with serving(Cloud(ScriptedModel([PLAN])), token="right") as url:
        for token in (None, "wrong", "right2"):
            with pytest.raises(ModelDenied, match="a token is needed"):
                RemoteLeader(url, token=token).guideline(REQUEST)
        assert RemoteLeader(url, token="right").guideline(REQUEST).text == PLAN


def test_many_devices_at_once_each_get_their_own_guideline() -> None:
    with serving(Cloud(ScriptedModel(lambda prompt: prompt.user))) as url:
        leader = RemoteLeader(url)
        requests = [dataclasses.replace(REQUEST, task=f"task {number}") for number in range(24)]
        with ThreadPoolExecutor(8) as pool:
            texts = [guideline.text for guideline in pool.map(leader.guideline, requests)]
    assert texts == [f"<task>\ntask {number}\n</task>" for number in range(24)]
    assert len(leader.wire.records) == 48


def test_a_server_for_everybody_is_not_begun() -> None:
    cloud = Cloud(ScriptedModel([]))
    with pytest.raises(InvalidInput, match="asks for no token"):
        serve_lsrp_cloud(cloud, host="0.0.0.0")
    with pytest.raises(InvalidInput, match="token cannot be sent"):
        lsrp_cloud_app(cloud, token="two words")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(InvalidInput, match="cannot listen"):
        serve_lsrp_cloud(cloud, port=taken.getsockname()[1])
