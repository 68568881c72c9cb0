"""Graphs with our store: nodes that get it, the functional interface, and many conversations at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_store
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.runtime import Runtime
from langgraph.store.base import BaseStore

from memagent import Memory
from memagent.integrations import MemagentStore
from memagent.testing import HashingEncoder


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]


@dataclass
class Context:
    user_id: str


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemagentStore]:
    with MemagentStore(tmp_path, encoder=HashingEncoder(), user_at=1) as store:
        yield store


def remember(state: State, config: RunnableConfig, *, store: BaseStore) -> dict[str, Any]:
    """Keeps what the user says after "remember", and tells what is kept that has to do with the message."""
    namespace = ("memories", config["configurable"]["user_id"])
    said = state["messages"][-1].content
    known = sorted(item.value["data"] for item in store.search(namespace, query=said, limit=3))
    if said.startswith("remember "):
        store.put(namespace, str(uuid4()), {"data": said.removeprefix("remember ")})
    return {"messages": [AIMessage("; ".join(known) or "nothing")]}


async def aremember(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
    """The same, awaited, with the store from the runtime."""
    assert runtime.store is not None
    namespace = ("memories", runtime.context.user_id)
    said = state["messages"][-1].content
    known = sorted(item.value["data"] for item in await runtime.store.asearch(namespace, query=said, limit=3))
    if said.startswith("remember "):
        await runtime.store.aput(namespace, str(uuid4()), {"data": said.removeprefix("remember ")})
    return {"messages": [AIMessage("; ".join(known) or "nothing")]}


def compiled(store: BaseStore) -> Any:
    builder = StateGraph(State)
    builder.add_node("remember", remember)
    builder.add_edge(START, "remember")
    return builder.compile(checkpointer=InMemorySaver(), store=store)


def say(graph: Any, text: str, *, user: str, thread: str) -> str:
    config = {"configurable": {"user_id": user, "thread_id": thread}}
    answer: str = graph.invoke({"messages": [HumanMessage(text)]}, config)["messages"][-1].content
    return answer


def test_a_graph_remembers_across_threads_and_not_across_users(store: MemagentStore) -> None:
    graph = compiled(store)
    assert say(graph, "remember my name is Bob", user="bob", thread="1") == "nothing"
    assert say(graph, "what is my name?", user="bob", thread="2") == "my name is Bob"
    assert say(graph, "what is my name?", user="ann", thread="3") == "nothing"


def test_a_graph_remembers_after_reopening_and_forgets_with_the_user(tmp_path: Path) -> None:
    for expected in ("nothing", "I live in Porto"):
        with MemagentStore(tmp_path, encoder=HashingEncoder(), user_at=1) as store:
            graph = compiled(store)
            assert say(graph, "where do I live?", user="bob", thread="1") == expected
            if expected == "nothing":
                say(graph, "remember I live in Porto", user="bob", thread="1")
    with Memory(tmp_path, encoder=HashingEncoder()) as memory:
        memory.forget_user(user_id="bob")
        graph = compiled(MemagentStore(memory, user_at=1))
        assert say(graph, "where do I live?", user="bob", thread="1") == "nothing"


def test_many_threads_of_one_graph_keep_every_item(store: MemagentStore) -> None:
    graph = compiled(store)
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: say(graph, f"remember {n}", user=f"u{n % 3}", thread=str(n)), range(48)))
    for user in range(3):
        kept = {item.value["data"] for item in store.search(("memories", f"u{user}"), limit=100)}
        assert kept == {str(n) for n in range(user, 48, 3)}


def test_many_awaited_runs_of_one_graph_keep_every_item(store: MemagentStore) -> None:
    builder = StateGraph(State, context_schema=Context)
    builder.add_node("remember", aremember)
    builder.add_edge(START, "remember")
    graph = builder.compile(store=store)

    async def run(start: int) -> None:
        runs = (
            graph.ainvoke({"messages": [HumanMessage(f"remember {n}")]}, context=Context(f"u{n % 3}"))
            for n in range(start, start + 24)
        )
        await asyncio.gather(*runs)

    asyncio.run(run(0))
    asyncio.run(run(24))  # another loop
    for user in range(3):
        kept = {item.value["data"] for item in store.search(("memories", f"u{user}"), limit=100)}
        assert kept == {str(n) for n in range(user, 48, 3)}


def test_the_functional_interface_finds_the_store(store: MemagentStore) -> None:
    @task
    def keep(text: str) -> None:
        get_store().put(("memories", "ann"), str(uuid4()), {"data": text})

    @entrypoint(store=store)
    def workflow(texts: list[str]) -> list[str]:
        for text in texts:
            keep(text).result()
        return sorted(item.value["data"] for item in get_store().search(("memories", "ann")))

    assert workflow.invoke(["bread", "olives"]) == ["bread", "olives"]
    assert workflow.invoke(["rain"]) == ["bread", "olives", "rain"]
