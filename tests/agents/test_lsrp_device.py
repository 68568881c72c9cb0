"""The device: led or alone it answers, nothing private leaves, and the trace says what happened."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_server import Fake
from fake_server import serving as model_server
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langgraph.graph import END, START, StateGraph
from lsrp_examples import HISTORY, PLAN, PRIVATE, PROFILE, TASK, answering, follows, guided, http

from memagent import Memory
from memagent.agents.lsrp import (
    Checked,
    Choice,
    Cloud,
    Device,
    FixedChooser,
    Guideline,
    GuidelineRequest,
    ModelChooser,
    PrivateTask,
    ProfileGuard,
    RemoteLeader,
    Strategy,
    TaskType,
    Verdict,
    WireLog,
    Worded,
    WriteSettings,
    Written,
    example_users,
    register,
    remember_private,
)
from memagent.errors import InvalidInput, ModelTimeout, ModelUnavailable, NotFound, StoreBusy, UnknownName
from memagent.llm import Model
from memagent.prompts.lsrp import general_plan
from memagent.testing import HashingEncoder, ScriptedModel

with warnings.catch_warnings():
    # LangGraph's own imports warn about each other on some versions.
    warnings.simplefilter("ignore")
    from langgraph.checkpoint.memory import InMemorySaver

pytestmark = pytest.mark.model


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memagent.agents.lsrp.remote._WAIT", 0.0)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=HashingEncoder(dim=64), background=False) as made:
        remember_private(made, user_id="ann", profile=PROFILE, history=HISTORY)
        made.add("Otto eats no fish.", user_id="ann")
        made.add("A secret of somebody else.", user_id="bob")
        yield made


def private_in(text: str) -> list[str]:
    return [piece for piece in PRIVATE if piece in text]


def test_a_led_answer_and_what_happened_on_the_way(memory: Memory) -> None:
    cloud = ScriptedModel(["Greet [NAME_1], then name the day."])
    own = ScriptedModel(follows)
    device = Device.for_user(own, Cloud(cloud), memory, user_id="ann")
    answer = device.ask("Invite Rosalind to dinner in Porto.", "writing")
    assert answer.text == "I follow: Greet Rosalind, then name the day."
    assert answer.led
    assert private_in(cloud.prompts[0].user + cloud.prompts[0].system) == []
    assert "Rosalind Quist" in own.prompts[0].user
    assert any("Otto eats no fish." in text for text in answer.memories)
    assert "somebody else" not in own.prompts[0].user
    trace = answer.trace
    assert (trace.strategy, trace.verdict, trace.problems, trace.alone) == ("general", "redacted", (), "")
    assert trace.sent == "Invite [NAME_1] to dinner in [PLACE_1]."
    assert list(trace.ms) == ["begin", "choose", "guard", "lead", "recall", "write", "restore"]
    assert (trace.up, trace.down) == tuple(one.size for one in device.wire.records)
    assert private_in(json.dumps(trace.to_json(), ensure_ascii=False)) == []
    assert "redacted" in trace.text()


def test_one_server_for_both_roles_sees_private_data_only_from_the_device() -> None:
    fake = Fake(reply=lambda body: "Greet the guest.")
    with model_server(fake):
        device = Device(Model(f"{fake.url}/v1"), Cloud(Model(f"{fake.url}/v1")))
        device.ask(TASK)
    asked = [json.dumps(body, ensure_ascii=False) for body in fake.requests if body["messages"][0]["role"] == "system"]
    led, wrote = asked
    assert "experienced manager" in led
    assert private_in(led) == []
    assert set(private_in(wrote)) == set(PRIVATE)


def test_no_example_user_is_known_to_the_leader() -> None:
    cloud = ScriptedModel(lambda prompt: "Plan.")
    device = Device(ScriptedModel(follows), Cloud(cloud))
    for user in example_users():
        for task in user.tasks:
            assert device.ask(task).led
    users = example_users()
    assert len(users) >= 6
    assert {task.task_type for user in users for task in user.tasks} == set(TaskType)
    seen = "\n".join(prompt.user for prompt in cloud.prompts)
    for user in users:
        names = [name for name in user.profile["name"].split() if name in seen]
        assert names == []


FAILING = {
    "gone": None,
    "closes": b"",
    "html": http("200 OK", b"<html>"),
    "odd": http("200 OK", b'{"answer": "x"}'),
    "empty": guided(""),
    "endless": guided("x" * 300_000),
    "busy": http("503 Busy", b'{"detail": "later"}'),
    "refuses": http("403 No", b'{"detail": "not you"}'),
    "cut off": guided()[:-4],
}


@pytest.mark.parametrize("failing", FAILING)
def test_without_a_guideline_the_device_answers_alone_and_says_why(failing: str, memory: Memory) -> None:
    raw = FAILING[failing]
    own = ScriptedModel(follows)
    with answering(lambda _, connection: connection.sendall(raw or b"")) as (url, _):
        leader = RemoteLeader("http://127.0.0.1:9" if raw is None else url, timeout=30)
        answer = Device.for_user(own, leader, memory, user_id="ann").ask("Invite Otto to dinner.", "writing")
    assert answer.text == f"I follow: {general_plan('writing')}"
    assert not answer.led
    assert [problem["node"] for problem in answer.trace.problems] == ["lead"]
    assert answer.trace.alone == answer.trace.problems[0]["message"]
    assert "Rosalind Quist" in own.prompts[0].user
    assert "Otto eats no fish." in own.prompts[0].user
    assert answer.trace.up == sum(one.size for one in leader.wire.records if one.direction == "up")


def test_a_slow_cloud_costs_its_timeout_and_no_more() -> None:
    def late(_number: int, connection: socket.socket) -> None:
        connection.settimeout(60)
        connection.recv(1)  # until the device has had enough

    with answering(late) as (url, _):
        answer = Device(ScriptedModel(follows), RemoteLeader(url, timeout=0.3)).ask(TASK)
    assert answer.trace.problems[0]["error"] == "ModelTimeout"
    assert 250 < answer.trace.ms["lead"] < 30_000


@contextmanager
def silent() -> Iterator[str]:
    """A server whose connections are accepted, by the system, and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_whatever_the_leader_waits_for_the_device_answers_alone_at_its_deadline(asynchronous: bool) -> None:
    with silent() as url:
        # 120 s for a call, and three repetitions, are this model's own limits.
        device = Device(ScriptedModel(follows), Cloud(Model(f"{url}/v1")), cloud_timeout=0.3)
        begun = time.monotonic()
        answer = asyncio.run(device.aask(TASK)) if asynchronous else device.ask(TASK)
        assert 0.3 <= time.monotonic() - begun < 60
    assert not answer.led
    assert answer.text.startswith("I follow: ")
    assert answer.trace.problems[0]["error"] == "ModelTimeout"
    assert "no guideline came within 0.3 s" in answer.trace.alone
    assert answer.trace.up > 0


def test_a_silent_cloud_is_left_at_the_deadline_of_the_device_or_of_the_remote_leader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("memagent.agents.lsrp.device._GRACE", 60.0)
    with silent() as url:
        first = Device(ScriptedModel(follows), url, cloud_timeout=0.3).ask(TASK)
        second = Device(ScriptedModel(follows), RemoteLeader(url, timeout=0.3)).ask(TASK)
    assert "within 0.3 s" in first.trace.alone
    assert "did not answer within 0.3 s" in second.trace.alone


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_devices_own_model_is_given_up_when_the_time_allowed_is_over(asynchronous: bool) -> None:
    with silent() as url:
        model = Model(f"{url}/v1")
        device = Device(model, Cloud(ScriptedModel([PLAN])), chooser=ModelChooser(model=model), model_timeout=0.2)
        nodes: list[str] = []

        def follow() -> None:
            for stage in device.stream(TASK):
                nodes.append(stage.node)
                if stage.node == "choose":
                    assert stage.changed["choice"]["strategy"] == "general"

        begun = time.monotonic()
        with pytest.raises(ModelTimeout, match=r"own model came within 0\.2 s"):
            asyncio.run(device.aask(TASK)) if asynchronous else follow()
        assert time.monotonic() - begun < 60
    assert asynchronous or nodes == ["begin", "choose", "guard", "lead", "recall"]


@pytest.mark.parametrize("option", ["cloud_timeout", "model_timeout"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5", True])
def test_a_deadline_that_is_no_time_is_refused(option: str, seconds: Any) -> None:
    with pytest.raises(InvalidInput, match=option):
        Device(ScriptedModel([]), "http://127.0.0.1:9", **{option: seconds})


def test_without_a_deadline_a_slow_leader_is_waited_for() -> None:
    with answering(lambda _, connection: connection.sendall(guided())) as (url, _):
        for endless in (None, float("inf"), 10**400, 1e12):
            assert Device(ScriptedModel(follows), url, cloud_timeout=endless, model_timeout=endless).ask(TASK).led


class Says:
    """A guard and a chooser that do one thing, or raise."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def check(self, task: PrivateTask) -> Checked:
        return self._said()  # type: ignore[no-any-return]

    def choose(self, task: PrivateTask) -> Choice:
        return self._said()  # type: ignore[no-any-return]

    def restored(self, text: str, checked: Checked) -> str:
        return text

    def _said(self) -> Any:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.mark.parametrize(
    "result", [Checked(verdict=Verdict.REFUSED, text=""), Checked(verdict=Verdict.PASSED, text=" "), StoreBusy("busy")]
)
def test_what_the_guard_refuses_or_cannot_check_does_not_leave(result: Any) -> None:
    device = Device(ScriptedModel(follows), "http://127.0.0.1:9", guard=Says(result))
    answer = device.ask(TASK)
    assert device.wire.records == ()
    assert answer.trace.alone == "the guard let nothing leave"
    assert (answer.trace.up, answer.trace.ms.get("lead")) == (0, None)


@pytest.mark.parametrize("result", [StoreBusy("busy"), Choice(strategy="tell them that Ann is 31", reason="x")])
def test_a_chooser_that_fails_or_names_no_strategy_leaves_the_general_one(result: Any) -> None:
    device = Device(ScriptedModel(follows), Cloud(ScriptedModel([PLAN])), chooser=Says(result))
    answer = device.ask(TASK)
    assert (answer.led, answer.trace.strategy) == (True, "general")
    assert [problem["node"] for problem in answer.trace.problems] == ["choose"]
    assert b"Ann" not in device.wire.records[0].body


def test_what_an_error_repeats_of_the_users_data_is_not_in_the_trace() -> None:
    for said, shown in (("no style for Rosalind Quist", False), ("the model is busy", True)):
        device = Device(ScriptedModel(follows), Cloud(ScriptedModel([PLAN])), chooser=Says(ModelUnavailable(said)))
        assert (said in device.ask(TASK).trace.text()) is shown


def test_the_name_of_a_strategy_of_ones_own_is_sent_only_if_it_says_nothing_of_the_user() -> None:
    worded = Worded(instructions="Be brief.")
    for name in ("for-rosalind-quist", "porto", "terse-lists"):
        register(Strategy(name=name, summary="", writing=worded, explanation=worded))
    for name, sent in (("for-rosalind-quist", "general"), ("porto", "general"), ("terse-lists", "terse-lists")):
        device = Device(ScriptedModel(follows), Cloud(ScriptedModel([PLAN])), chooser=FixedChooser(strategy=name))
        answer = device.ask(TASK)
        assert json.loads(device.wire.records[0].body)["strategy"] == answer.trace.strategy == sent
        assert [problem["node"] for problem in answer.trace.problems] == ["choose"] * (sent == "general")
        assert not any(name in problem["message"] for problem in answer.trace.problems)


@pytest.mark.parametrize("guard", [None, ProfileGuard(), ProfileGuard(policies={"card": "refuse"})])
def test_any_profile_guard_of_a_device_knows_the_memory_and_the_profile_in_it(guard: ProfileGuard | None) -> None:
    task = PrivateTask(
        text="Tell Zolbert of Bath, a night nurse.", task_type=TaskType.WRITING, profile={"shoe size": "44"}
    )
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        remember_private(memory, user_id="rq", profile={"city": "Bath", "job": "night nurse"})
        memory.add("My brother Zolbert eats no fish.", user_id="rq")
        device = Device.for_user(
            ScriptedModel(follows), Cloud(ScriptedModel([PLAN])), memory, user_id="rq", guard=guard
        )
        device.ask(task)
    sent = json.loads(device.wire.records[0].body)["task"]
    assert sent == "Tell [WORD_1] of [PLACE_1], a [PROFILE_1]."


def test_the_chosen_style_and_its_votes_are_sent_and_traced() -> None:
    choice = Choice(strategy="supportive", reason="nearest", votes={"supportive": 3, "directive": 2})
    cloud = ScriptedModel([PLAN])
    answer = Device(ScriptedModel(follows), Cloud(cloud), chooser=Says(choice)).ask(TASK)
    assert cloud.prompts[0].name == "lsrp-leader-supportive-writing"
    assert answer.trace.votes == {"supportive": 3, "directive": 2}
    assert "supportive (nearest; votes: supportive 3, directive 2)" in answer.trace.text()


def test_a_device_without_a_leader_sends_nothing_and_says_so() -> None:
    device = Device(ScriptedModel(follows), None)
    answer = device.ask("Name a boat.", TaskType.EXPLANATION)
    assert device.wire.records == ()
    assert answer.trace.alone == "it has no leader"
    assert answer.text.startswith("I follow: Say first what the conclusion is.")


def test_streams_and_event_loops_do_the_same() -> None:
    device = Device(ScriptedModel(follows), Cloud(ScriptedModel(lambda prompt: PLAN)))
    nodes = ["begin", "choose", "guard", "lead", "recall", "write", "restore"]
    streamed = list(device.stream(TASK))
    assert [stage.node for stage in streamed] == nodes
    assert streamed[-1].changed["answer"] == f"I follow: {PLAN}"

    async def both() -> tuple[str, list[str]]:
        answer = await device.aask(TASK)
        return answer.text, [stage.node async for stage in device.astream(TASK)]

    assert asyncio.run(both()) == (f"I follow: {PLAN}", nodes)


class Meeting:
    """A leader that answers nobody until so many ask at once."""

    def __init__(self, number: int) -> None:
        self._all = threading.Barrier(number, timeout=60)

    def guideline(self, request: GuidelineRequest) -> Guideline:
        self._all.wait()
        return Guideline(text=PLAN)


def test_tasks_of_one_event_loop_do_not_wait_for_each_others_guidelines() -> None:
    many = 40  # more than the threads that asyncio has of its own
    device = Device(ScriptedModel(follows), Meeting(many), cloud_timeout=120)

    async def answers() -> list[bool]:
        return [answer.led for answer in await asyncio.gather(*[device.aask(TASK) for _ in range(many)])]

    assert asyncio.run(answers()) == [True] * many


def test_a_run_that_was_cut_off_goes_on_without_asking_the_cloud_again() -> None:
    saver, cloud = InMemorySaver(), ScriptedModel([PLAN])
    broken = ScriptedModel([ModelUnavailable("gone")], retries=0)
    with pytest.raises(ModelUnavailable):
        Device(broken, Cloud(cloud), checkpointer=saver).ask(TASK, thread_id="run")
    mended = Device(ScriptedModel(follows), Cloud(ScriptedModel([])), checkpointer=saver)
    answer = mended.resume("run")
    assert (answer.text, answer.thread_id, answer.led) == (f"I follow: {PLAN}", "run", True)
    assert answer.trace.up > 0
    assert asyncio.run(mended.aresume("run")).text == answer.text
    with pytest.raises(NotFound, match="no run is kept"):
        mended.resume("other")
    with pytest.raises(InvalidInput, match="keeps no runs"):
        Device(ScriptedModel([]), None).resume("run")
    with pytest.raises(InvalidInput, match="needs a checkpointer"):
        Device(ScriptedModel([]), None).ask(TASK, thread_id="run")


def test_a_new_task_of_the_same_thread_begins_anew() -> None:
    device = Device(ScriptedModel(follows), Cloud(ScriptedModel([PLAN, ""])), checkpointer=InMemorySaver())
    assert device.ask(TASK, thread_id="run").led
    again = device.ask(replace(TASK, text="Name a boat."), thread_id="run")
    assert (again.led, again.guideline, len(again.trace.problems)) == (False, None, 1)


def test_nothing_is_traced_to_another_machine_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from langchain_core.tracers.context import _tracing_v2_is_enabled
    from langsmith.utils import get_env_var

    clear: Any = get_env_var.cache_clear  # type: ignore[attr-defined]  # it is cached
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    clear()
    traced: list[object] = []

    def sees(prompt: Any) -> str:
        traced.append(_tracing_v2_is_enabled())
        return "x"

    device = Device(ScriptedModel(sees), Cloud(ScriptedModel(sees)))
    try:
        assert _tracing_v2_is_enabled()
        device.ask(TASK)
        for _ in device.stream(TASK):
            assert _tracing_v2_is_enabled()

        async def follow() -> None:
            await device.aask(TASK)
            async for _ in device.astream(TASK):
                assert _tracing_v2_is_enabled()

        asyncio.run(follow())
    finally:
        monkeypatch.undo()
        clear()
    assert traced == [False] * 8


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_graph_in_whose_node_a_device_is_asked_learns_nothing_of_it(asynchronous: bool) -> None:
    device = Device(ScriptedModel(follows), Cloud(ScriptedModel(lambda prompt: PLAN)))
    told: list[str] = []
    outer: StateGraph[Any, Any, Any, Any] = StateGraph(dict)

    class Listener(BaseCallbackHandler):
        def on_chain_start(self, *given: Any, **more: Any) -> None:
            told.append(repr(given))

        def on_chain_end(self, *given: Any, **more: Any) -> None:
            told.append(repr(given))

    def sync(values: Any) -> Any:
        return {"led": device.ask(TASK).led, "nodes": len(list(device.stream(TASK)))}

    async def other(values: Any) -> Any:
        led = (await device.aask(TASK)).led
        return {"led": led, "nodes": len([stage async for stage in device.astream(TASK)])}

    outer.add_node("node", RunnableLambda(sync, afunc=other))
    outer.add_edge(START, "node")
    outer.add_edge("node", END)
    saver = InMemorySaver()
    graph = outer.compile(checkpointer=saver)
    config: RunnableConfig = {"configurable": {"thread_id": "outer"}, "callbacks": [Listener()]}
    given: Any = {"led": None}
    found = asyncio.run(graph.ainvoke(given, config)) if asynchronous else graph.invoke(given, config)
    assert found == {"led": True, "nodes": 7}
    assert told
    for kept in (repr(told), repr((saver.storage, saver.blobs, saver.writes))):
        assert not [private for private in PRIVATE if private in kept]


def test_what_is_too_long_for_the_model_is_left_out_from_the_end(memory: Memory) -> None:
    long = tuple(Written(title=f"text {number}", text="word " * 300) for number in range(6))
    own = ScriptedModel(follows)
    device = Device(own, None, settings=WriteSettings(max_prompt_tokens=2_000))
    answer = device.ask(replace(TASK, history=long))
    assert 0 < answer.trace.writings < 6
    assert 'title="text 0"' in own.prompts[0].user
    with pytest.raises(InvalidInput, match="do not hold the task"):
        Device(own, None, settings=WriteSettings(max_prompt_tokens=300)).ask(TASK)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_guideline_too_long_for_the_devices_model_is_left_aside(asynchronous: bool) -> None:
    model = ScriptedModel(follows)
    device = Device(model, Cloud(ScriptedModel(lambda _: "Greet " * 20_000)))
    answer = asyncio.run(device.aask(TASK)) if asynchronous else device.ask(TASK)
    assert answer.text == f"I follow: {general_plan(TaskType.WRITING)}"
    assert (answer.led, answer.guideline) == (False, None)
    assert answer.trace.alone == "the guideline is too long for the device's model"
    assert answer.trace.up > 0
    with pytest.raises(InvalidInput, match="do not hold the task"):  # what is the user's own is not left aside
        device.ask(replace(TASK, profile={"note": "word " * 20_000}))


def test_a_leader_cannot_fill_the_devices_memory_by_repeating_a_placeholder() -> None:
    long = " ".join(["we took the ferry over the cold water that day"] * 60)
    task = replace(TASK, text=f"Copy this: {long}", history=(Written(title="", text=long),))
    leader = Cloud(ScriptedModel(lambda prompt: "[PASSAGE_1]" * 20_000))
    answer = Device(ScriptedModel(follows), leader).ask(task)
    assert answer.trace.sent == "Copy this: [PASSAGE_1]"
    assert answer.text == f"I follow: {general_plan(TaskType.WRITING)}"
    assert not answer.led
    assert [problem["node"] for problem in answer.trace.problems] == ["lead"]
    assert "restored the text is too long" in answer.trace.alone


def test_a_text_that_the_memory_brings_is_shown_once(memory: Memory) -> None:
    own = ScriptedModel(follows)
    Device.for_user(own, None, memory, user_id="ann").ask("Tell about the hive with Otto at Vila Verde.", "writing")
    assert own.prompts[0].user.count("opened the hive") == 1


@pytest.mark.parametrize(
    ("task", "kind", "error"),
    [
        ("  ", "writing", InvalidInput),
        ("x", None, InvalidInput),
        ("x", "poem", UnknownName),
        (TASK, "explanation", InvalidInput),
        ("\ud800", "writing", InvalidInput),
        (replace(TASK, profile={"age": 31}), None, InvalidInput),  # type: ignore[dict-item]
        (replace(TASK, history=(Written(title="t", text=None),)), None, InvalidInput),  # type: ignore[arg-type]
    ],
)
def test_a_task_that_is_none_is_refused(task: Any, kind: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Device(ScriptedModel([]), None).ask(task, kind)


def test_a_leader_of_ones_own_needs_a_guideline_method_and_its_messages_are_logged(tmp_path: Path) -> None:
    class Own:
        def guideline(self, request: GuidelineRequest) -> Guideline:
            return Guideline(text=f"About {request.task}")

    log = WireLog(tmp_path / "wire.jsonl")
    answer = Device(ScriptedModel(follows), Own(), wire=log).ask(PrivateTask(text="a", task_type=TaskType.WRITING))
    assert answer.text == "I follow: About a"
    assert [json.loads(one.body) for one in log.records] == [
        {"task": "a", "strategy": "general", "task_type": "writing"},
        {"text": "About a"},
    ]
    with pytest.raises(InvalidInput, match="another wire log"):
        Device(ScriptedModel([]), RemoteLeader("http://127.0.0.1:9"), wire=log)
