"""The device's side as a LangGraph graph: choose, guard, lead, recall, write, restore.

Private data are in every node but one, and that one (``lead``) can hand over only a
:class:`~memagent.agents.lsrp.messages.GuidelineRequest`, made of what the guard has let pass. Where no guideline comes,
the device writes by a general plan of its own, and says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from memagent.agents.lsrp.deadline import awithin, within
from memagent.agents.lsrp.device_state import (
    DeviceInput,
    DeviceState,
    Problem,
    begun,
    checked_from_json,
    checked_to_json,
    choice_to_json,
    memory_from_json,
    memory_to_json,
    readable,
    task_from_json,
    usage_to_json,
)
from memagent.agents.lsrp.guard.placeholders import left_over
from memagent.agents.lsrp.leading import Led, lead
from memagent.agents.lsrp.messages import GuidelineRequest
from memagent.agents.lsrp.ports import Checked, Choice, Guard, Leader, PrivateTask, StyleChooser, Verdict
from memagent.agents.lsrp.remote import TIMEOUT
from memagent.agents.lsrp.strategies import GENERAL, STYLES, strategy
from memagent.agents.lsrp.writing import Draft, WriteSettings, holds, write_draft
from memagent.errors import InvalidInput, MemagentError
from memagent.llm.flow import adrive, drive
from memagent.prompts.lsrp import general_plan

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from memagent.agents.lsrp.private import PrivateMemory
    from memagent.agents.lsrp.wire import WireLog
    from memagent.llm.flow import Steps
    from memagent.llm.model import Model

_TEXT = "text of the device's own model"
Update: TypeAlias = dict[str, Any]
Node: TypeAlias = Literal["begin", "choose", "guard", "lead", "recall", "write", "restore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a device consists of. ``leader`` None: it writes alone, and nothing leaves; ``memory`` None: it knows of the
    user what the task itself brings. ``cloud_timeout``: seconds for a guideline, whatever the leader waits for;
    ``model_timeout``: for the text, and for the choice of a strategy. None: as long as it takes.
    """

    model: Model
    leader: Leader | None
    guard: Guard
    chooser: StyleChooser
    wire: WireLog
    memory: PrivateMemory | None = None
    settings: WriteSettings = field(default_factory=WriteSettings)
    cloud_timeout: float | None = TIMEOUT
    model_timeout: float | None = None


def build_device(
    parts: Parts, *, checkpointer: BaseCheckpointSaver[Any] | None = None
) -> CompiledStateGraph[DeviceState, None, DeviceInput, DeviceState]:
    """The compiled graph; it runs synchronously and asynchronously.

    What is private of the user stands in its state: keep the ``checkpointer`` (LangGraph's) on the device, and let
    nothing trace the graph to another machine (:class:`~memagent.agents.lsrp.Device` sees to the latter).
    """
    from langchain_core.runnables import RunnableLambda
    from langgraph.graph import END, START, StateGraph

    nodes = _Nodes(parts)
    graph = StateGraph(DeviceState, input_schema=DeviceInput, output_schema=DeviceState)
    for name, sync in (
        ("begin", nodes.begin),
        ("choose", nodes.choose),
        ("guard", nodes.guard),
        ("lead", nodes.lead),
        ("recall", nodes.recall),
        ("restore", nodes.restore),
    ):
        graph.add_node(name, RunnableLambda(sync, afunc=_in_thread(sync), name=name))
    graph.add_node("write", RunnableLambda(nodes.write, afunc=nodes.awrite, name="write"))
    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", nodes.after_begin, ["choose", "recall"])
    graph.add_edge("choose", "guard")
    graph.add_conditional_edges("guard", nodes.after_guard, ["lead", "recall"])
    graph.add_edge("lead", "recall")
    graph.add_edge("recall", "write")
    graph.add_edge("write", "restore")
    graph.add_edge("restore", END)
    return graph.compile(checkpointer=checkpointer, name="lsrp-device")


class _Nodes:
    """The nodes, over one device."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def begin(self, values: DeviceInput) -> Update:
        """The task, completed from the user's memory; nothing is left of an earlier task of the same thread."""
        clock = _Clock()
        task = readable(task_from_json(values["task"]))
        if self._parts.memory is not None:
            task = self._parts.memory.completed(task)
        return {**begun(task), "ms": {"begin": clock.ms()}}

    def after_begin(self, _values: DeviceState) -> Node:
        """Without a leader nothing is chosen or checked."""
        return "recall" if self._parts.leader is None else "choose"

    def choose(self, values: DeviceState) -> Update:
        """The strategy; the general one where the chooser fails, or names one that is not known here or is private."""
        clock, problems, task = _Clock(), list(values["problems"]), task_from_json(values["task"])
        try:
            choice = within(self._parts.model_timeout, lambda: self._parts.chooser.choose(task), "choice of a strategy")
            self._sendable(choice.strategy, task)
        except MemagentError as error:
            problems.append(self._shown(_problem("choose", error), task))
            choice = Choice(strategy=GENERAL, reason="no style could be chosen")
        return {"choice": choice_to_json(choice), "problems": problems, "ms": clock.added(values, "choose")}

    def _sendable(self, name: str, task: PrivateTask) -> None:
        """Raise an error unless a strategy's name, which is sent, is one of ours and says nothing of the user."""
        if strategy(name).name in (*STYLES, GENERAL):
            return
        checked = self._parts.guard.check(replace(task, text=name))
        if checked.verdict is not Verdict.PASSED:
            raise InvalidInput(
                "the strategy's name holds something private, so it is not sent", hint="register it by another name"
            )

    def _shown(self, problem: Problem, task: PrivateTask) -> Problem:
        """A problem of the device's own as a trace may hold it: a model's error may repeat its prompt."""
        try:
            passed = self._parts.guard.check(replace(task, text=problem["message"])).verdict is Verdict.PASSED
        except MemagentError:
            passed = False
        return problem if passed else {**problem, "message": "not shown, as it may hold something private"}

    def guard(self, values: DeviceState) -> Update:
        """What of the task's text may leave; nothing where the guard fails."""
        clock, problems, task = _Clock(), list(values["problems"]), task_from_json(values["task"])
        try:
            checked = self._parts.guard.check(task)
        except MemagentError as error:
            problems.append(self._shown(_problem("guard", error), task))
            checked = Checked(verdict=Verdict.REFUSED, text="")
        return {"checked": checked_to_json(checked), "problems": problems, "ms": clock.added(values, "guard")}

    def after_guard(self, values: DeviceState) -> Node:
        """A refused task does not leave."""
        checked = values["checked"]
        refused = checked is None or checked["verdict"] == Verdict.REFUSED or not checked["text"].strip()
        return "recall" if refused else "lead"

    def lead(self, values: DeviceState) -> Update:
        """The leader's guideline; none, and the problem, where it gives none."""
        clock, leader, checked = _Clock(), self._parts.leader, _checked(values)
        assert leader is not None
        assert values["choice"] is not None
        task = task_from_json(values["task"])
        chosen = values["choice"]["strategy"]
        request = GuidelineRequest(task=checked.text, strategy=chosen, task_type=task.task_type)
        led: Led = lead(leader, request, self._parts.wire, timeout=self._parts.cloud_timeout)
        problems = [*values["problems"], *(_problem("lead", error) for error in led.errors)]
        text = whole = None
        if led.guideline is not None:
            try:
                whole = self._parts.guard.restored(led.guideline.text, checked)
                text = led.guideline.text
            except MemagentError as error:
                problems.append(self._shown(_problem("lead", error), task))
        return {
            "received": text,
            "guideline": whole,
            "problems": problems,
            "bytes": {"up": led.up, "down": led.down},
            "ms": clock.added(values, "lead"),
        }

    def recall(self, values: DeviceState) -> Update:
        """What the user's own memory holds for the task."""
        clock, memory = _Clock(), self._parts.memory
        found = () if memory is None else memory.recalled(task_from_json(values["task"]))
        return {"memories": list(map(memory_to_json, found)), "ms": clock.added(values, "recall")}

    def write(self, values: DeviceState) -> Update:
        """The device's own text."""
        clock = _Clock()

        def written() -> tuple[Draft, bool]:
            steps, fits = self._writing(values)
            return drive(steps, self._parts.model), fits

        return _written(values, *within(self._parts.model_timeout, written, _TEXT), clock)

    async def awrite(self, values: DeviceState) -> Update:
        """As :meth:`write`, for an event loop."""
        clock, limit = _Clock(), self._parts.model_timeout

        async def written() -> tuple[Draft, bool]:
            # In a thread: to know its window the model may connect, and an event loop must not wait.
            steps, fits = await asyncio.to_thread(within, limit, lambda: self._writing(values), _TEXT)
            return await adrive(steps, self._parts.model), fits

        return _written(values, *await awithin(limit, written(), _TEXT), clock)

    def restore(self, values: DeviceState) -> Update:
        """The text with the private texts put back where the model has left placeholders."""
        clock, draft = _Clock(), values["draft"] or ""
        if values["checked"] is None:
            return {"answer": draft, "ms": clock.added(values, "restore")}
        checked = _checked(values)
        answer = self._parts.guard.restored(draft, checked)
        left = max(0, left_over(answer) - left_over(values["task"]["text"]))
        return {"answer": answer, "leftover": left, "ms": clock.added(values, "restore")}

    def _writing(self, values: DeviceState) -> tuple[Steps[Draft], bool]:
        """How to write, and whether the guideline fits the model: one without end must not leave the user without."""
        task = task_from_json(values["task"])
        memories = tuple(map(memory_from_json, values["memories"] or ()))
        settings = self._parts.settings.within(self._parts.model.window)
        guideline = values["guideline"]
        fits = guideline is None or holds(task, guideline, settings)
        plan = guideline if guideline is not None and fits else general_plan(task.task_type)
        return write_draft(task, plan, memories, settings), fits


class _Clock:
    """Milliseconds since it was made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()

    def ms(self) -> float:
        return round((time.perf_counter() - self._begun) * 1000, 3)

    def added(self, values: DeviceState, node: Node) -> dict[str, float]:
        return {**values["ms"], node: self.ms()}


def _in_thread(node: Callable[[Any], Update]) -> Callable[[Any], Any]:
    async def run(values: Any) -> Update:
        # A thread of its own: asyncio's own are few, and leaders may keep each for as long as their time limit.
        thread = ThreadPoolExecutor(1, thread_name_prefix="lsrp device")
        try:
            return await asyncio.get_running_loop().run_in_executor(thread, copy_context().run, node, values)
        finally:
            thread.shutdown(wait=False)

    return run


def _checked(values: DeviceState) -> Checked:
    assert values["checked"] is not None
    return checked_from_json(values["checked"])


def _problem(node: Node, error: MemagentError) -> Problem:
    return {"node": node, "error": type(error).__name__, "message": str(error)}


def _written(values: DeviceState, draft: Draft, fits: bool, clock: _Clock) -> Update:
    problems = list(values["problems"])
    led: Update = {}
    if not fits:
        said = "the guideline is too long for the device's model"
        problems.append({"node": "lead", "error": "MalformedReply", "message": said})
        led = {"received": None, "guideline": None}
    if not draft.text:
        said = "the device's model wrote nothing"
        problems.append({"node": "write", "error": "MalformedReply", "message": said})
    return {
        **led,
        "draft": draft.text,
        "prompt": draft.prompt,
        "used": list(draft.memories),
        "writings": list(draft.writings),
        "truncated": draft.truncated,
        "usage": usage_to_json(draft.usage),
        "problems": problems,
        "ms": clock.added(values, "write"),
    }
