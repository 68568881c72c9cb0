"""LangMem's tools on our store, unchanged, in an agent whose model follows a script."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chat_doubles import Scripted
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.warnings import LangGraphDeprecatedSinceV10

from memagent.integrations import MemagentStore
from memagent.testing import HashingEncoder

with warnings.catch_warnings():
    # LangMem 0.0.30 and trustcall import names from where LangGraph had them before version 1.
    warnings.simplefilter("ignore", LangGraphDeprecatedSinceV10)
    from langmem import create_manage_memory_tool, create_search_memory_tool

NAMESPACE = ("memories", "{langgraph_user_id}")


def script(messages: Sequence[BaseMessage]) -> AIMessage:
    """What a model does that has a memory: keeps, corrects and forgets when it is told to, looks up otherwise."""
    last = messages[-1]
    if isinstance(last, ToolMessage):
        found = json.loads(last.text) if last.name == "search_memory" else None
        asked = next(m.text for m in reversed(messages) if isinstance(m, HumanMessage))
        if found is None:
            return AIMessage(last.text)
        if asked.startswith("correct: "):
            return call("manage_memory", action="update", id=found[0]["key"], content=asked.removeprefix("correct: "))
        if asked.startswith("forget "):
            return call("manage_memory", action="delete", id=found[0]["key"])
        return AIMessage("; ".join(item["value"]["content"] for item in found) or "I do not know.")
    if last.text.startswith("note: "):
        return call("manage_memory", content=last.text.removeprefix("note: "))
    return call("search_memory", query=last.text, limit=1)


def call(name: str, **arguments: Any) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": f"call-{name}"}])


def agent(store: MemagentStore) -> Any:
    tools = [create_manage_memory_tool(NAMESPACE), create_search_memory_tool(NAMESPACE)]
    return create_agent(Scripted(reply=script), tools=tools, store=store)


def say(chat: Any, text: str, user: str) -> str:
    config = {"configurable": {"langgraph_user_id": user}}
    answer: str = chat.invoke({"messages": [HumanMessage(text)]}, config)["messages"][-1].text
    return answer


async def asay(chat: Any, text: str, user: str) -> str:
    config = {"configurable": {"langgraph_user_id": user}}
    answer: str = (await chat.ainvoke({"messages": [HumanMessage(text)]}, config))["messages"][-1].text
    return answer


def test_an_agent_keeps_finds_corrects_and_forgets_memories(tmp_path: Path) -> None:
    with MemagentStore(tmp_path, encoder=HashingEncoder(), user_at=1) as store:
        chat = agent(store)
        assert say(chat, "note: I write my services in Python", "ann").startswith("created memory ")
        assert say(chat, "note: I live in Lisbon", "ann").startswith("created memory ")
        assert say(chat, "note: I live in Porto", "bob").startswith("created memory ")
    with MemagentStore(tmp_path, encoder=HashingEncoder(), user_at=1) as store:
        chat = agent(store)
        assert say(chat, "what services do I write in Python", "ann") == "I write my services in Python"
        assert say(chat, "where do I live in", "bob") == "I live in Porto"
        assert say(chat, "correct: I write my services in Go", "ann").startswith("updated memory ")
        assert say(chat, "which services do I write", "ann") == "I write my services in Go"
        created = {item.value["content"]: item.created_at for item in store.search(("memories", "ann"))}
        assert created["I write my services in Go"] < created["I live in Lisbon"]
        assert say(chat, "forget where I live in Lisbon", "ann").startswith("Deleted memory ")
        assert [item.value for item in store.search(("memories", "ann"))] == [{"content": "I write my services in Go"}]
        assert store.memory.verify()["ok"]  # type: ignore[index]


def test_awaited_agents_of_several_users_keep_to_their_own(tmp_path: Path) -> None:
    async def work(store: MemagentStore) -> None:
        chat = agent(store)
        users = [f"u{number}" for number in range(6)]
        await asyncio.gather(*(asay(chat, f"note: my number is {user}", user) for user in users))
        found = await asyncio.gather(*(asay(chat, "my number", user) for user in users))
        assert found == [f"my number is {user}" for user in users]

    with MemagentStore(tmp_path, encoder=HashingEncoder(), user_at=1) as store:
        asyncio.run(work(store))


def test_the_tools_work_outside_a_graph_with_a_store_of_their_own(tmp_path: Path) -> None:
    with MemagentStore(tmp_path, encoder=HashingEncoder()) as store:
        keep = create_manage_memory_tool(("ann", "notes"), store=store)
        look = create_search_memory_tool(("ann", "notes"), store=store, response_format="content_and_artifact")
        keep.invoke({"content": "bread with olives"})
        text = look.invoke({"query": "olives", "filter": {"content": {"$contains": "bread"}}})
        assert json.loads(text)[0]["value"] == {"content": "bread with olives"}
        with pytest.raises(ValueError, match="You must provide a MEMORY ID"):
            keep.invoke({"action": "delete"})
