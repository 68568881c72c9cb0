"""The device as users hold it: ask, stream the nodes, resume a run that was cut off."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memagent.agents.lsrp.choosing import FixedChooser
from memagent.agents.lsrp.deadline import seconds_above_zero
from memagent.agents.lsrp.device_graph import Parts, build_device
from memagent.agents.lsrp.device_state import DeviceInput, DeviceState, task_from_json, task_to_json
from memagent.agents.lsrp.guard import ProfileGuard
from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import Guard, Leader, PrivateTask, StyleChooser
from memagent.agents.lsrp.private import PrivateMemory
from memagent.agents.lsrp.remote import TIMEOUT, RemoteLeader
from memagent.agents.lsrp.trace import Trace, trace_of
from memagent.agents.lsrp.untraced import asteps_untraced, steps_untraced, untraced
from memagent.agents.lsrp.wire import WireLog
from memagent.agents.lsrp.writing import WriteSettings
from memagent.errors import InvalidInput, NotFound, UnknownName
from memagent.llm.model import as_model

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Durability

    from memagent.llm.model import Model, ModelLike
    from memagent.memory import Memory

_GRACE = 0.5  # seconds that a leader with a deadline of its own has to say that it was reached


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the device wrote.

    ``led``: by a leader's guideline (False: alone, and ``trace.alone`` says why). ``guideline`` is that text as it
    came, and ``memories`` the texts of the user's memory that the model was shown; both are for the device's eyes.
    ``thread_id`` names the run at its checkpointer, if it has one.
    """

    task: PrivateTask
    text: str
    led: bool
    guideline: str | None
    memories: tuple[str, ...]
    trace: Trace
    thread_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A node that has run: its name, and what it changed of the state (see :class:`DeviceState`)."""

    node: str
    changed: dict[str, Any]


class Device:
    """The subordinate: a small model with the user's private data, led by a model that sees none of them.

    ``model``: the device's own, what :class:`~memagent.llm.Model` takes. ``leader``: the URL of a
    ``memagent serve lsrp-cloud``, or a :class:`~memagent.agents.lsrp.ports.Leader` such as
    :class:`~memagent.agents.lsrp.RemoteLeader` or :class:`~memagent.agents.lsrp.Cloud`; None: the device writes alone,
    and nothing leaves. ``memory``: the user's own (see :meth:`for_user`). ``guard`` decides what of a task's text may
    leave: :class:`~memagent.agents.lsrp.guard.ProfileGuard` with its default policy, which redacts; one without a
    memory of its own looks into the device's. ``chooser`` names the strategy: the general one by default. ``wire``: the
    log of all that crosses (for a ``leader`` that keeps a log of its own, that one). With a ``checkpointer`` of
    LangGraph every node is kept, private data and all, and :meth:`resume` goes on with a run that was cut off.

    ``cloud_timeout``: seconds that it waits for a guideline, repetitions and all, before it writes alone; None: those
    of a RemoteLeader, 30 for any other leader. ``model_timeout``: seconds for the text of its own model, and for the
    choice of a strategy; None: as long as the model's own timeouts and repetitions take. ``math.inf`` waits for ever.

        >>> from memagent.agents.lsrp import Device
        >>> device = Device("http://localhost:8000/v1", "https://leader.example.org")  # doctest: +SKIP
        >>> device.ask("Invite my neighbours to dinner.", "writing").text  # doctest: +SKIP

    Where the cloud cannot be reached, is slow, or answers with something that is no guideline, the device writes alone
    by a general plan; errors of its own model and memory are raised. While it works tracing by LangSmith is off, and a
    graph of LangGraph in whose node it is asked learns nothing: neither that graph's callbacks nor its checkpoints.
    """

    def __init__(
        self,
        model: ModelLike,
        leader: Leader | str | None,
        *,
        memory: PrivateMemory | None = None,
        guard: Guard | None = None,
        chooser: StyleChooser | None = None,
        wire: WireLog | None = None,
        settings: WriteSettings | None = None,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        cloud_timeout: float | None = None,
        model_timeout: float | None = None,
    ) -> None:
        seconds_above_zero(cloud_timeout, "cloud_timeout")
        if isinstance(leader, str):
            leader = RemoteLeader(leader, wire=wire, timeout=TIMEOUT if cloud_timeout is None else cloud_timeout)
        if cloud_timeout is None:
            cloud_timeout = leader.timeout + _GRACE if isinstance(leader, RemoteLeader) else TIMEOUT
        own = getattr(leader, "wire", None)
        if isinstance(own, WireLog):
            if wire is not None and own is not wire:
                raise InvalidInput("the leader keeps another wire log", hint="give the log to one of the two")
            wire = own
        guard = guard or ProfileGuard()
        if memory is not None and isinstance(guard, ProfileGuard):
            guard = guard.knowing(memory.memory, memory.user_id)
        self._parts = Parts(
            model=as_model(model),
            leader=leader,
            guard=guard,
            chooser=chooser or FixedChooser(),
            wire=wire or WireLog(),
            memory=memory,
            settings=settings or WriteSettings(),
            cloud_timeout=seconds_above_zero(cloud_timeout, "cloud_timeout"),
            model_timeout=seconds_above_zero(model_timeout, "model_timeout"),
        )
        self._checkpointer = checkpointer
        self._graph: CompiledStateGraph[DeviceState, None, DeviceInput, DeviceState] | None = None

    @classmethod
    def for_user(
        cls,
        model: ModelLike,
        leader: Leader | str | None,
        memory: Memory,
        *,
        user_id: str,
        top_k: int = 5,
        **options: Any,
    ) -> Device:
        """A device that knows what a user's memory holds: profile, earlier texts, and ``top_k`` memories for a task.

        ``options`` are those of :class:`Device`; a ``retriever``, ``filters`` or ``granularity`` are given to a
        :class:`~memagent.agents.lsrp.PrivateMemory` of one's own.
        """
        return cls(model, leader, memory=PrivateMemory(memory, user_id=user_id, top_k=top_k), **options)

    @property
    def model(self) -> Model:
        """The device's model; its ``meter`` counts calls, tokens and cost."""
        return self._parts.model

    @property
    def wire(self) -> WireLog:
        """The log of all that crossed."""
        return self._parts.wire

    @property
    def graph(self) -> CompiledStateGraph[DeviceState, None, DeviceInput, DeviceState]:
        """The compiled graph. Whoever runs it directly has to see to it that nothing traces it to another machine."""
        if self._graph is None:
            self._graph = build_device(self._parts, checkpointer=self._checkpointer)
        return self._graph

    def ask(
        self, task: PrivateTask | str, task_type: TaskType | str | None = None, *, thread_id: str | None = None
    ) -> Answer:
        """The text for a task.

        ``task``: with its private data, or its text and ``task_type`` ("writing" or "explanation"); what it lacks is
        taken from the memory. ``thread_id`` names the run at the checkpointer (None: a new name). Raises InvalidInput
        for an empty task, ModelError for the device's model, and what the memory raises; with a checkpointer
        :meth:`resume` then goes on where it was cut off.
        """
        given, (config, thread) = _given(task, task_type), self._config(thread_id)
        with untraced():
            return _answer(self.graph.invoke(given, config, durability=self._durability), thread)

    async def aask(
        self, task: PrivateTask | str, task_type: TaskType | str | None = None, *, thread_id: str | None = None
    ) -> Answer:
        """As :meth:`ask`, for an event loop."""
        given, (config, thread) = _given(task, task_type), self._config(thread_id)
        with untraced():
            return _answer(await self.graph.ainvoke(given, config, durability=self._durability), thread)

    def stream(
        self, task: PrivateTask | str, task_type: TaskType | str | None = None, *, thread_id: str | None = None
    ) -> Iterator[Stage]:
        """Each node as soon as it has run; the last one, ``restore``, holds the answer."""
        given, (config, _) = _given(task, task_type), self._config(thread_id)
        updates = self.graph.stream(given, config, stream_mode="updates", durability=self._durability)
        for update in steps_untraced(updates):
            yield from _stages(update)

    async def astream(
        self, task: PrivateTask | str, task_type: TaskType | str | None = None, *, thread_id: str | None = None
    ) -> AsyncIterator[Stage]:
        """As :meth:`stream`, for an event loop."""
        given, (config, _) = _given(task, task_type), self._config(thread_id)
        updates = self.graph.astream(given, config, stream_mode="updates", durability=self._durability)
        async for update in asteps_untraced(updates):
            for stage in _stages(update):
                yield stage

    def resume(self, thread_id: str) -> Answer:
        """Go on with a run that was cut off; no node that was kept runs again, and an answer is only read.

        Raises InvalidInput without a checkpointer, NotFound for a thread that was never begun.
        """
        config, thread = self._kept(thread_id)
        if not self.graph.get_state(config).values:
            raise NotFound(f"no run is kept as {thread_id!r}", hint="ask begins one")
        with untraced():
            return _answer(self.graph.invoke(None, config, durability=self._durability), thread)

    async def aresume(self, thread_id: str) -> Answer:
        """As :meth:`resume`, for an event loop."""
        config, thread = self._kept(thread_id)
        if not (await self.graph.aget_state(config)).values:
            raise NotFound(f"no run is kept as {thread_id!r}", hint="ask begins one")
        with untraced():
            return _answer(await self.graph.ainvoke(None, config, durability=self._durability), thread)

    @property
    def _durability(self) -> Durability | None:
        """A node is on disk before the next one runs: LangGraph's default writes it while that is under way."""
        return None if self._checkpointer is None else "sync"

    def _kept(self, thread_id: str) -> tuple[RunnableConfig, str | None]:
        if self._checkpointer is None:
            raise InvalidInput("this device keeps no runs", hint="make it with a checkpointer of LangGraph")
        return self._config(thread_id)

    def _config(self, thread_id: str | None) -> tuple[RunnableConfig, str | None]:
        if self._checkpointer is None:
            if thread_id is not None:
                raise InvalidInput("a thread_id needs a checkpointer", hint="make the device with one of LangGraph's")
            return {}, None
        thread = thread_id or uuid.uuid4().hex
        return {"configurable": {"thread_id": thread}}, thread


def _stages(update: Any) -> Iterator[Stage]:
    for node, changed in update.items():
        yield Stage(node=node, changed=changed)


def _given(task: PrivateTask | str, task_type: TaskType | str | None) -> DeviceInput:
    if isinstance(task, PrivateTask):
        if task_type is not None and task_type != task.task_type:
            raise InvalidInput("the task has a type of its own", hint="leave task_type out")
        return {"task": task_to_json(task)}
    if task_type is None:
        raise InvalidInput("what kind of task is it?", hint=f"task_type is one of {', '.join(TaskType)}")
    try:
        kind = TaskType(task_type)
    except ValueError:
        raise UnknownName(f"there is no task type {task_type!r}", hint=f"one of {', '.join(TaskType)}") from None
    return {"task": task_to_json(PrivateTask(text=task, task_type=kind))}


def _answer(values: Any, thread: str | None) -> Answer:
    used = set(values["used"] or ())
    return Answer(
        task=task_from_json(values["task"]),
        text=values["answer"] or "",
        led=values["guideline"] is not None,
        guideline=values["received"],
        memories=tuple(memory["text"] for memory in values["memories"] or () if memory["id"] in used),
        trace=trace_of(values),
        thread_id=thread,
    )
