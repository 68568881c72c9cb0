"""The cloud's side as a LangGraph graph: a request comes in, the leader's guideline goes out.

All that the graph is given is a :class:`~memagent.agents.lsrp.messages.GuidelineRequest`. Its state holds JSON values
only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from memagent.agents.lsrp.messages import Guideline, GuidelineRequest, TaskType
from memagent.agents.lsrp.strategies import strategy
from memagent.errors import InvalidInput, MalformedReply
from memagent.llm.model import as_model
from memagent.prompts.lsrp import leader

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

    from memagent.llm.model import Model, ModelLike
    from memagent.llm.reply import Reply
    from memagent.prompts.prompt import Prompt

WriteGuideline: TypeAlias = "Callable[[GuidelineRequest], Prompt[str]]"
"""The prompt for a request; :func:`guideline_prompt` is LSRP's."""

LONGEST_TASK = 20_000
"""Characters of a task, at most."""


class CloudInput(TypedDict):
    """What the graph is given: the fields of a request."""

    task: str
    strategy: str
    task_type: str


class CloudState(CloudInput):
    """What the graph keeps; ``guideline`` is None until it is written."""

    guideline: str | None


def guideline_prompt(request: GuidelineRequest) -> Prompt[str]:
    """LSRP's prompt for a request; raises UnknownName for a strategy that is not known here."""
    return leader(request.task, strategy(request.strategy), request.task_type)


def build_cloud(
    model: Model,
    *,
    write: WriteGuideline = guideline_prompt,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
) -> CompiledStateGraph[CloudState, None, CloudInput, CloudState]:
    """The compiled graph: ``receive`` refuses what cannot be served, ``guideline`` asks the model.

    It runs synchronously and asynchronously. ``checkpointer`` is LangGraph's.
    """
    from langchain_core.runnables import RunnableLambda
    from langgraph.graph import END, START, StateGraph

    nodes = _Nodes(model, write)
    graph = StateGraph(CloudState, input_schema=CloudInput, output_schema=CloudState)
    graph.add_node("receive", nodes.receive)
    graph.add_node("guideline", RunnableLambda(nodes.guideline, afunc=nodes.aguideline, name="guideline"))
    graph.add_edge(START, "receive")
    graph.add_edge("receive", "guideline")
    graph.add_edge("guideline", END)
    return graph.compile(checkpointer=checkpointer, name="lsrp-cloud")


class _Nodes:
    """The nodes, over one model."""

    def __init__(self, model: Model, write: WriteGuideline) -> None:
        self._model = model
        self._write = write

    def receive(self, state: CloudInput) -> dict[str, Any]:
        """The request, if it can be served."""
        request = _request(state)
        if not request.task.strip():
            raise InvalidInput("the task is empty", hint="send its text")
        if len(request.task) > LONGEST_TASK:
            raise InvalidInput(f"the task has {len(request.task):,} characters", hint=f"at most {LONGEST_TASK:,}")
        try:
            request.task.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidInput("the task holds a lone surrogate", hint="decode it first") from None
        self._write(request)  # an unknown strategy is told before the model is asked
        return {**request.to_json(), "guideline": None}

    def guideline(self, values: CloudState) -> dict[str, Any]:
        """The leader's text."""
        return _written(self._model.ask(self._write(_request(values))))

    async def aguideline(self, values: CloudState) -> dict[str, Any]:
        """As :meth:`guideline`, for an event loop."""
        return _written(await self._model.aask(self._write(_request(values))))


class Cloud:
    """The leader: a :class:`~memagent.agents.lsrp.ports.Leader` over a model, here or behind a server.

    ``model``: what :class:`~memagent.llm.Model` takes. ``write``: another prompt than LSRP's (a sketch, a prompt
    without examples). ``graph`` is the compiled graph itself. Nothing of a request is kept.
    """

    def __init__(self, model: ModelLike, *, write: WriteGuideline = guideline_prompt) -> None:
        self._model = as_model(model)
        self._write = write
        self._graph: CompiledStateGraph[CloudState, None, CloudInput, CloudState] | None = None

    @property
    def model(self) -> Model:
        """The model that is asked; its ``meter`` counts calls, tokens and cost."""
        return self._model

    @property
    def graph(self) -> CompiledStateGraph[CloudState, None, CloudInput, CloudState]:
        """The compiled graph."""
        if self._graph is None:
            self._graph = build_cloud(self._model, write=self._write)
        return self._graph

    def guideline(self, request: GuidelineRequest) -> Guideline:
        """The guideline for a request.

        Raises UnknownName for a strategy that is not registered here, InvalidInput for an empty or endless task,
        ModelError where the model gives none.
        """
        return _guideline(_apart().run(self.graph.invoke, _input(request)))

    async def aguideline(self, request: GuidelineRequest) -> Guideline:
        """As :meth:`guideline`, for an event loop."""
        graph = self.graph

        async def run() -> Any:
            return await graph.ainvoke(_input(request))

        return _guideline(await asyncio.create_task(run(), context=_apart()))


def _apart() -> Context:
    """A context in which LangGraph does not take the graph for a part of the one that calls it.

    Called from a device's graph in this process, it would write to that graph's checkpoints, and call its callbacks.
    """
    from langchain_core.runnables.config import var_child_runnable_config

    context = copy_context()
    context.run(var_child_runnable_config.set, None)
    return context


def _input(request: GuidelineRequest) -> CloudInput:
    return {"task": request.task, "strategy": request.strategy, "task_type": request.task_type.value}


def _request(values: CloudInput) -> GuidelineRequest:
    return GuidelineRequest(task=values["task"], strategy=values["strategy"], task_type=TaskType(values["task_type"]))


def _written(reply: Reply[str]) -> dict[str, Any]:
    text = reply.value.strip()
    if not text:
        raise MalformedReply("the leader wrote nothing", hint="ask again, or another model", reason="empty")
    return {"guideline": text}


def _guideline(values: Any) -> Guideline:
    return Guideline(text=values["guideline"])
