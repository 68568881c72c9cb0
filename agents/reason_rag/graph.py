"""The agent as a LangGraph graph: reason, retrieve, ground, and again, until there is an answer.

The graph adds nothing to :mod:`memagent.agents.reason_rag.steps` but its order: each node takes one step, so that a
checkpointer keeps every step, and a run that was cut off goes on after the last one. Its state holds JSON values only.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from memagent.agents.reason_rag.searching import Document, Searcher
from memagent.agents.reason_rag.state import State, Step, Stopped
from memagent.agents.reason_rag.steps import StepSettings, begun, documents_for, take_step
from memagent.agents.reason_rag.transitions import next_action
from memagent.llm.flow import adrive, drive

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore

    from memagent.llm.model import Model

Node: TypeAlias = Literal["reason", "retrieve", "ground", "answer"]

_NODES = {"begin": "reason", "reason": "reason", "ground": "retrieve", "force": "answer", None: "answer"}
"""Where each action begins: a search goes before a grounding step."""


class AgentState(TypedDict):
    """What the graph keeps; only ``question`` is given to it.

    ``asked_at``: the time that the model is shown (ISO 8601), None where it is shown none. ``steps``:
    :meth:`Step.to_json <memagent.agents.reason_rag.Step.to_json>` of each output so far. ``documents``: what
    was found for the pending query, only until it is grounded. ``stopped`` and ``answer`` are None while it goes on.
    """

    question: str
    asked_at: str | None
    steps: list[dict[str, Any]]
    documents: list[dict[str, Any]]
    stopped: Stopped | None
    answer: str | None


class AgentInput(TypedDict):
    """What the graph is given."""

    question: str


def trajectory(values: AgentState) -> State:
    """The trajectory in a graph's state."""
    steps = tuple(map(Step.from_json, values["steps"]))
    return State(question=values["question"], steps=steps, stopped=values["stopped"])


def build_graph(
    model: Model,
    searcher: Searcher,
    settings: StepSettings | None = None,
    *,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
    store: BaseStore | None = None,
) -> CompiledStateGraph[AgentState, None, AgentInput, AgentState]:
    """The compiled graph; ``checkpointer`` and ``store`` are LangGraph's.

    It runs synchronously and asynchronously. In personal mode without a time of its own (``settings.wording.now``) each
    question is asked at the time at which it comes, also when it is resumed later. A question needs up to
    ``recursion_limit`` supersteps of LangGraph (see :func:`recursion_limit`).
    """
    from langchain_core.runnables import RunnableLambda
    from langgraph.graph import END, START, StateGraph

    nodes = _Nodes(model, searcher, settings or StepSettings())
    graph = StateGraph(AgentState, input_schema=AgentInput, output_schema=AgentState)
    graph.add_node("begin", nodes.begin)
    graph.add_node("retrieve", RunnableLambda(nodes.retrieve, afunc=nodes.aretrieve, name="retrieve"))
    for name in ("reason", "ground", "answer"):
        graph.add_node(name, RunnableLambda(nodes.step, afunc=nodes.astep, name=name))
    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", nodes.after, ["reason", "answer"])
    graph.add_conditional_edges("reason", nodes.after, ["retrieve", "answer"])
    graph.add_edge("retrieve", "ground")
    graph.add_conditional_edges("ground", nodes.after, ["reason", "answer"])
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=checkpointer, store=store, name="reason-rag")


def recursion_limit(settings: StepSettings) -> int:
    """More supersteps than a question can take: a step each, a search before every second, the beginning, the end."""
    return 2 * settings.budget.max_iter + 8


class _Nodes:
    """The nodes, over one model and one searcher."""

    def __init__(self, model: Model, searcher: Searcher, settings: StepSettings) -> None:
        self._model = model
        self._searcher = searcher
        self._settings = settings

    def begin(self, state: AgentInput) -> dict[str, Any]:
        """Nothing is left of an earlier question of the same thread."""
        new = begun(state["question"])
        wording = self._settings.wording
        now = wording.now or (datetime.now(UTC) if wording.personal else None)
        return {
            "question": new.question,
            "asked_at": now.isoformat() if now else None,
            "steps": [],
            "documents": [],
            "stopped": None,
            "answer": None,
        }

    def after(self, values: AgentState) -> Node:
        """Which node comes next; the last one where the trajectory has ended."""
        action = next_action(trajectory(values), self._settings.budget)
        return _NODES[action]  # type: ignore[return-value]  # the table holds nothing else

    def retrieve(self, values: AgentState) -> dict[str, Any]:
        """Search for the pending query."""
        found = documents_for(trajectory(values), self._searcher, self._settings)
        return {"documents": [document.to_json() for document in found]}

    async def aretrieve(self, values: AgentState) -> dict[str, Any]:
        """As :meth:`retrieve`, in a thread: the event loop goes on."""
        return await asyncio.to_thread(self.retrieve, values)

    def step(self, values: AgentState) -> dict[str, Any]:
        """One output of the model; none where the trajectory has ended."""
        state = trajectory(values)
        if state.stopped is None:
            state = drive(take_step(state, _pending(values), self._at(values)), self._model)
        return _update(values, state)

    async def astep(self, values: AgentState) -> dict[str, Any]:
        """As :meth:`step`, for an event loop."""
        state = trajectory(values)
        if state.stopped is None:
            state = await adrive(take_step(state, _pending(values), self._at(values)), self._model)
        return _update(values, state)

    def _at(self, values: AgentState) -> StepSettings:
        """The settings with the time at which this question was asked."""
        told = values["asked_at"]
        if told is None:
            return self._settings
        return replace(self._settings, wording=replace(self._settings.wording, now=datetime.fromisoformat(told)))


def _pending(values: AgentState) -> tuple[Document, ...]:
    return tuple(map(Document.from_json, values["documents"]))


def _update(values: AgentState, state: State) -> dict[str, Any]:
    made = [step.to_json() for step in state.steps[len(values["steps"]) :]]
    return {
        "steps": [*values["steps"], *made],
        "documents": [],
        "stopped": state.stopped,
        "answer": state.answer if state.stopped else None,
    }
