"""ReasonRAG as users hold it: ask, stream the steps, resume a run that was cut off."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memagent.agents.reason_rag.citations import cited, without_labels
from memagent.agents.reason_rag.graph import AgentState, build_graph, recursion_limit, trajectory
from memagent.agents.reason_rag.memory_search import MemorySearcher
from memagent.agents.reason_rag.state import State, Step
from memagent.agents.reason_rag.steps import StepSettings
from memagent.agents.reason_rag.trace import trace_of, trace_text
from memagent.agents.reason_rag.transitions import stopped_text
from memagent.errors import InvalidInput, NotFound
from memagent.llm.model import as_model
from memagent.overlap import normalised
from memagent.records import as_utc

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore
    from langgraph.types import Durability

    from memagent.agents.reason_rag.graph import AgentInput
    from memagent.agents.reason_rag.searching import Document, Searcher
    from memagent.llm.model import Model, ModelLike
    from memagent.llm.reply import Usage
    from memagent.memory import Memory
    from memagent.records import Granularity
    from memagent.retrievers.port import Retriever

_UNKNOWN = (["not", "known"], ["unknown"], ["none"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the agent came to.

    ``text`` is the answer, empty if there is none. ``known`` is False if there is none, or the agent says that the
    documents do not hold it. ``citations`` are the documents that the evidence rests on. ``stopped`` says in a
    sentence why it ended. ``thread_id`` names the run at its checkpointer, if it has one.
    """

    question: str
    text: str
    known: bool
    citations: tuple[Document, ...]
    stopped: str
    state: State
    thread_id: str | None = None

    @property
    def usage(self) -> Usage:
        """The tokens of all steps."""
        return self.state.usage

    @property
    def trace(self) -> list[dict[str, Any]]:
        """Every step as JSON values: its query, documents, evidence or answer."""
        return list(trace_of(self.state))

    def explained(self) -> str:
        """The trace for people to read."""
        return trace_text(self.state)


class ReasonRag:
    """An agent that answers a question by reasoning, searching and grounding in turns.

    ``model``: a :class:`~memagent.llm.Model`, a LangChain chat model, the URL of a server, or a name for
    ``init_chat_model``. ``searcher``: where it looks things up (see :class:`Searcher`). ``settings``: budget, number of
    documents and lengths; the defaults are ReasonRAG's. With a ``checkpointer`` of LangGraph every step is kept, and
    :meth:`resume` goes on with a run that was cut off. Without one no step is kept, also where the agent is asked in a
    node of another graph. ``graph`` is the compiled graph itself.

        >>> from memagent import Memory
        >>> from memagent.agents.reason_rag import ReasonRag
        >>> agent = ReasonRag.for_user("http://localhost:8000/v1", Memory("store"), user_id="ann")  # doctest: +SKIP
        >>> agent.ask("Which instrument does the sister who lives in Porto play?").text  # doctest: +SKIP
    """

    def __init__(
        self,
        model: ModelLike,
        searcher: Searcher,
        *,
        settings: StepSettings | None = None,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        store: BaseStore | None = None,
    ) -> None:
        self._model = as_model(model)
        self._searcher = searcher
        self._settings = settings or StepSettings()
        self._checkpointer = checkpointer
        self._store = store
        self._graph: CompiledStateGraph[AgentState, None, AgentInput, AgentState] | None = None
        self._asked: CompiledStateGraph[AgentState, None, AgentInput, AgentState] | None = None

    @classmethod
    def for_user(
        cls,
        model: ModelLike,
        memory: Memory,
        *,
        user_id: str,
        retriever: Retriever | str | None = None,
        granularity: Granularity | str = "turn",
        filters: Mapping[str, Any] | None = None,
        as_of: datetime | str | None = None,
        asked_at: datetime | str | None = None,
        settings: StepSettings | None = None,
        checkpointer: BaseCheckpointSaver[Any] | None = None,
        store: BaseStore | None = None,
    ) -> ReasonRag:
        """The personal agent: it answers questions about a user from what is remembered of them, with citations.

        ``as_of`` hides what was said later. ``asked_at`` is the time from which "last week" counts: ``as_of`` if that
        is given, else the time at which each question is asked. Without ``settings`` of your own, memories that are too
        long for a prompt are cut (see :class:`StepSettings`).
        """
        searcher = MemorySearcher(
            memory, user_id=user_id, retriever=retriever, granularity=granularity, filters=filters, as_of=as_of
        )
        now = as_utc(moment, "asked_at") if (moment := asked_at or as_of) is not None else None
        own = settings or StepSettings(fit_documents=True)  # memories are longer than passages of 100 words
        own = replace(own, wording=replace(own.wording, personal=True, now=now))
        return cls(model, searcher, settings=own, checkpointer=checkpointer, store=store)

    @property
    def model(self) -> Model:
        """The model that is asked; its ``meter`` counts calls, tokens and cost."""
        return self._model

    @property
    def graph(self) -> CompiledStateGraph[AgentState, None, AgentInput, AgentState]:
        """The compiled graph; given ``{"question": ...}`` it returns an :class:`AgentState`."""
        if self._graph is None:
            self._graph = build_graph(
                self._model,
                self._searcher,
                self.settings,
                checkpointer=self._checkpointer,
                store=self._store,
            )
        return self._graph

    @property
    def settings(self) -> StepSettings:
        """How it asks, within the model's window where that is known; connects to it."""
        return self._settings.within(self._model.window)

    def ask(self, question: str, *, thread_id: str | None = None) -> Answer:
        """The answer to a question.

        ``thread_id`` names the run at the checkpointer (None: a new name). Raises ModelError, and what the searcher
        raises; with a checkpointer :meth:`resume` then goes on where it was cut off.
        """
        config, thread = self._config(thread_id)
        values = self._ready().invoke({"question": question}, config, durability=self._durability)
        return self._answer(values, thread)

    async def aask(self, question: str, *, thread_id: str | None = None) -> Answer:
        """As :meth:`ask`, for an event loop."""
        config, thread = self._config(thread_id)
        graph = await asyncio.to_thread(self._ready)
        values = await graph.ainvoke({"question": question}, config, durability=self._durability)
        return self._answer(values, thread)

    def stream(self, question: str, *, thread_id: str | None = None) -> Iterator[Step]:
        """Each step as soon as it is made; the last one holds the answer, if there is one."""
        config, _ = self._config(thread_id)
        seen = 0
        asked: AgentInput = {"question": question}
        for update in self._ready().stream(asked, config, stream_mode="updates", durability=self._durability):
            for step in _steps(update)[seen:]:
                seen += 1
                yield Step.from_json(step)

    async def astream(self, question: str, *, thread_id: str | None = None) -> AsyncIterator[Step]:
        """As :meth:`stream`, for an event loop."""
        config, _ = self._config(thread_id)
        seen = 0
        asked: AgentInput = {"question": question}
        graph = await asyncio.to_thread(self._ready)
        async for update in graph.astream(asked, config, stream_mode="updates", durability=self._durability):
            for step in _steps(update)[seen:]:
                seen += 1
                yield Step.from_json(step)

    def resume(self, thread_id: str) -> Answer:
        """Go on with a run that was cut off; no step that was kept is made again, and an answer is only read.

        Raises InvalidInput without a checkpointer, NotFound for a thread that was never begun.
        """
        config, thread = self._kept(thread_id)
        if not self.graph.get_state(config).values:
            raise NotFound(f"no run is kept as {thread_id!r}", hint="ask begins one")
        return self._answer(self.graph.invoke(None, config, durability=self._durability), thread)

    async def aresume(self, thread_id: str) -> Answer:
        """As :meth:`resume`, for an event loop."""
        config, thread = self._kept(thread_id)
        graph = await asyncio.to_thread(self._ready)
        if not (await graph.aget_state(config)).values:
            raise NotFound(f"no run is kept as {thread_id!r}", hint="ask begins one")
        return self._answer(await graph.ainvoke(None, config, durability=self._durability), thread)

    def _ready(self) -> CompiledStateGraph[AgentState, None, AgentInput, AgentState]:
        """The graph that a question is put to; connects to the model, so that an event loop has it made in a thread.

        In a node of another graph LangGraph would take it for a part of that one: keep what was found in that graph's
        checkpoints, and, when the node is run again, give the answer kept for the first question asked in it to
        whichever is asked first now.
        """
        if self._checkpointer is not None:
            return self.graph
        if self._asked is None:
            self._asked = self.graph.copy({"checkpointer": False})
        return self._asked

    @property
    def _durability(self) -> Durability | None:
        """A step is on disk before the next one is asked: LangGraph's default writes it while that is under way."""
        return None if self._checkpointer is None else "sync"

    def _kept(self, thread_id: str) -> tuple[RunnableConfig, str | None]:
        if self._checkpointer is None:
            raise InvalidInput("this agent keeps no steps", hint="make it with a checkpointer of LangGraph")
        return self._config(thread_id)

    def _config(self, thread_id: str | None) -> tuple[RunnableConfig, str | None]:
        config: RunnableConfig = {"recursion_limit": recursion_limit(self._settings)}
        if self._checkpointer is None:
            if thread_id is not None:
                raise InvalidInput("a thread_id needs a checkpointer", hint="make the agent with one of LangGraph's")
            return config, None
        thread = thread_id or uuid.uuid4().hex
        config["configurable"] = {"thread_id": thread}
        return config, thread

    def _answer(self, values: Any, thread: str | None) -> Answer:
        state = trajectory(values)
        text = state.answer or ""
        if self._settings.wording.personal:
            text = without_labels(text)
        return Answer(
            question=state.question,
            text=text,
            known=bool(text) and normalised(text) not in _UNKNOWN,
            citations=cited(state),
            stopped=stopped_text(state),
            state=state,
            thread_id=thread,
        )


def _steps(update: Any) -> list[dict[str, Any]]:
    """The steps so far in what one superstep changed."""
    for change in update.values():
        if isinstance(change, dict) and "steps" in change:
            steps: list[dict[str, Any]] = change["steps"]
            return steps
    return []
