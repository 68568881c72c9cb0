"""The calls that LangGraph's documentation makes of a store, on InMemoryStore and on ours: the constructor differs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from uuid import UUID, uuid4

import pytest
from chat_doubles import Scripted
from langchain.agents import create_agent
from langchain.tools import ToolRuntime, tool
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedStore
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore

from memagent.integrations import MemagentStore
from memagent.testing import HashingEncoder
from memagent.testing.langgraph_store_contract import embedding

ENCODER = HashingEncoder()
Making: TypeAlias = Callable[..., BaseStore]


@pytest.fixture(params=["InMemoryStore", "MemagentStore"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Making]:
    with ExitStack() as opened:

        def make(**index: Any) -> BaseStore:
            if request.param == "InMemoryStore":
                known: Any = {"dims": ENCODER.dim, "embed": embedding(ENCODER), **index}
                return InMemoryStore(index=known)
            return opened.enter_context(MemagentStore(tmp_path, encoder=ENCODER, index=index))

        yield make


def test_a_memory_is_put_and_shown(made: Making) -> None:
    store = made()
    namespace = ("1", "memories")
    key = str(uuid4())
    store.put(namespace, key, {"food_preference": "pizza"})
    shown = store.search(namespace)[-1].dict()
    assert shown["value"] == {"food_preference": "pizza"}
    assert (shown["key"], tuple(shown["namespace"])) == (key, namespace)
    assert shown["created_at"]
    assert shown["updated_at"]
    item = store.get(namespace, key)
    assert item is not None
    assert item.value["food_preference"] == "pizza"


def test_memories_are_found_by_meaning_and_by_fields(made: Making) -> None:
    store = made(fields=["memory", "emotional_context"])
    ann = ("user_123", "memories")
    store.put(ann, "mem1", {"memory": "friday pizza", "emotional_context": "happy with friends", "this_isnt": "tax"})
    store.put(ann, "mem2", {"memory": "work plumbing", "emotional_context": "stressed about deadline"})
    found = store.search(ann, query="stressed deadline", limit=1)
    assert [(item.key, item.score is not None) for item in found] == [("mem2", True)]
    assert store.search(ann, query="happy friends", limit=1)[0].key == "mem1"
    store.put(ann, "mem3", {"memory": "spaghetti", "context": "at the ristorante"}, index=["context"])
    assert store.search(ann, query="ristorante", limit=1)[0].key == "mem3"
    store.put(ann, "mem4", {"memory": "ristorante ristorante"}, index=False)
    assert store.search(ann, query="ristorante", limit=1)[0].key == "mem3"
    assert store.get(ann, "mem4") is not None


def test_a_search_joins_a_filter_and_a_query(made: Making) -> None:
    store = made()
    namespace = ("my-user", "chitchat")
    store.put(namespace, "a-memory", {"rules": ["likes short language", "speaks English"], "my-key": "my-value"})
    store.put(namespace, "another", {"rules": ["likes short language"], "my-key": "other"})
    found = store.search(namespace, filter={"my-key": "my-value"}, query="language preferences")
    assert [item.key for item in found] == ["a-memory"]
    store.put(("docs",), "one", {"score": 4.5, "status": "published"})
    store.put(("docs",), "two", {"score": 5.0, "status": "published"})
    assert [i.key for i in store.search(("docs",), filter={"score": {"$gt": 4.99}, "status": "published"})] == ["two"]


def test_namespaces_are_listed(made: Making) -> None:
    store = made()
    for namespace in (("a", "b", "c"), ("a", "b", "d", "e"), ("a", "b", "d", "i"), ("a", "b", "f"), ("a", "c", "f")):
        store.put(namespace, "k", {"n": 1})
    assert store.list_namespaces(prefix=("a", "b"), max_depth=3) == [("a", "b", "c"), ("a", "b", "d"), ("a", "b", "f")]
    assert store.list_namespaces(prefix=("a", "*"), suffix=("f",)) == [("a", "b", "f"), ("a", "c", "f")]


def test_a_graph_remembers_across_threads(made: Making) -> None:
    def call_model(state: MessagesState, config: RunnableConfig, *, store: BaseStore) -> dict[str, Any]:
        namespace = ("memories", config["configurable"]["user_id"])
        last = str(state["messages"][-1].content)
        info = "\n".join(str(item.value["data"]) for item in store.search(namespace, query=last))
        if "remember" in last.lower():
            store.put(namespace, str(uuid4()), {"data": "the name is Bob"})
        return {"messages": [AIMessage(f"You know: {info}")]}

    store = made()
    builder = StateGraph(MessagesState)
    builder.add_node(call_model)
    builder.add_edge(START, "call_model")
    graph = builder.compile(checkpointer=InMemorySaver(), store=store)

    def ask(text: str, thread: str, user: str) -> str:
        config: Any = {"configurable": {"thread_id": thread, "user_id": user}}
        asked: Any = {"messages": [("user", text)]}
        chunks: list[Any] = list(graph.stream(asked, config, stream_mode="values"))
        return str(chunks[-1]["messages"][-1].content)

    ask("Hi! Remember: my name is Bob", "1", "1")
    assert ask("what is my name?", "2", "1") == "You know: the name is Bob"
    assert ask("what is my name?", "3", "2") == "You know: "
    assert [item.value for item in store.search(("memories", "1"))] == [{"data": "the name is Bob"}]


def test_a_workflow_gets_the_store(made: Making) -> None:
    @entrypoint(store=made())
    def workflow(text: str, *, store: BaseStore) -> list[str]:
        known = [item.value["data"] for item in store.search(("memories", "1"))]
        store.put(("memories", "1"), str(uuid4()), {"data": text})
        return known

    workflow.invoke("bread")
    assert workflow.invoke("rain") == ["bread"]


def test_the_tools_of_an_agent_read_and_write(made: Making) -> None:
    @tool
    def look(user: str, runtime: ToolRuntime) -> str:
        """What is known of a user."""
        assert runtime.store is not None
        known = runtime.store.get(("users",), user)
        return str(known.value["name"]) if known else "nobody"

    @tool
    async def upsert_memory(
        content: str, *, memory_id: UUID | None = None, store: Annotated[Any, InjectedStore]
    ) -> str:
        """Keep a memory."""
        key = memory_id or uuid4()
        await store.aput(("user_123", "memories"), key=str(key), value={"text": content})
        return f"Stored memory {key}"

    store = made()
    store.put(("users",), "bob", {"name": "Bob Stone"})
    calls = AIMessage(
        "",
        tool_calls=[
            {"name": "look", "args": {"user": "bob"}, "id": "1"},
            {"name": "upsert_memory", "args": {"content": "likes tea"}, "id": "2"},
        ],
    )
    model = Scripted(reply=lambda messages: calls if len(messages) == 1 else AIMessage("Done."))
    agent = create_agent(model, [look, upsert_memory], store=store)
    said = asyncio.run(agent.ainvoke({"messages": [{"role": "user", "content": "Who is bob?"}]}))["messages"]
    assert said[2].content == "Bob Stone"
    assert [item.value for item in store.search(("user_123", "memories"))] == [{"text": "likes tea"}]
