"""A session as a LangChain chat history."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from memagent import AsyncMemory, Memory
from memagent.errors import DuplicateId, InvalidInput, InvalidUserId
from memagent.integrations import MemagentChatMessageHistory
from memagent.testing import HashingEncoder


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        yield memory


def history(memory: Memory, session: str = "monday", user: str = "ann") -> MemagentChatMessageHistory:
    return MemagentChatMessageHistory(memory, user_id=user, session_id=session)


def shown(messages: list[BaseMessage]) -> list[tuple[str, str]]:
    return [(message.type, str(message.text)) for message in messages]


def test_a_session_comes_back_as_it_was_said_and_is_found_by_searches(memory: Memory) -> None:
    kept = history(memory)
    assert kept.messages == []
    kept.add_messages([SystemMessage("Be brief."), HumanMessage("I keep bees."), AIMessage("How many hives?")])
    kept.add_user_message("Three.")
    kept.add_ai_message("Nice.")
    assert shown(kept.messages) == [
        ("system", "Be brief."),
        ("human", "I keep bees."),
        ("ai", "How many hives?"),
        ("human", "Three."),
        ("ai", "Nice."),
    ]
    assert "bees" in memory.search("bees", user_id="ann", top_k=1)["results"][0]["memory"]


def test_sessions_and_users_do_not_see_each_other(memory: Memory) -> None:
    history(memory, "monday").add_user_message("one")
    history(memory, "tuesday").add_user_message("two")
    history(memory, "monday", "bob").add_user_message("three")
    assert shown(history(memory, "monday").messages) == [("human", "one")]
    history(memory, "monday").clear()
    history(memory, "monday", "nobody").clear()
    assert history(memory, "monday").messages == []
    assert shown(history(memory, "tuesday").messages) == [("human", "two")]
    assert shown(history(memory, "monday", "bob").messages) == [("human", "three")]


def test_another_process_reads_what_was_said(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=HashingEncoder()) as memory:
        history(memory).add_user_message("I keep bees.")
    with Memory(tmp_path, encoder=HashingEncoder()) as memory:
        assert shown(history(memory).messages) == [("human", "I keep bees.")]


def test_calls_of_tools_are_remembered_and_not_replayed(memory: Memory) -> None:
    call = AIMessage("", tool_calls=[{"name": "hives", "args": {}, "id": "1"}])
    kept = history(memory)
    kept.add_messages(
        [HumanMessage("How many hives?"), call, ToolMessage("3 hives", tool_call_id="1"), AIMessage("3.")]
    )
    assert shown(kept.messages) == [("human", "How many hives?"), ("ai", "3.")]
    assert "3 hives" in memory.get_all(user_id="ann")["results"][0]["memory"]


def test_names_ids_and_other_roles_are_kept(memory: Memory) -> None:
    kept = history(memory)
    kept.add_messages([HumanMessage("Hello", name="Ann", id="m1"), ChatMessage(content="Hm", role="critic")])
    first, second = kept.messages
    assert (first.name, first.id) == ("Ann", "m1")
    assert isinstance(second, ChatMessage)
    assert second.role == "critic"
    with pytest.raises(DuplicateId):
        kept.add_messages([HumanMessage("Again", id="m1")])


def test_what_cannot_be_a_history_is_refused(memory: Memory) -> None:
    with pytest.raises(InvalidUserId):
        history(memory, user="")
    with pytest.raises(InvalidInput, match="no session is named"):
        MemagentChatMessageHistory(memory, user_id="ann", session_id=None)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="cannot be replaced"):
        history(memory).messages = []
    history(memory).add_messages([])


def test_it_is_awaited_on_either_memory(memory: Memory) -> None:
    async def talk(kept: BaseChatMessageHistory) -> list[BaseMessage]:
        await kept.aadd_messages([HumanMessage("one"), AIMessage("two")])
        said = await kept.aget_messages()
        await kept.aclear()
        assert await kept.aget_messages() == []
        return said

    async def both() -> None:
        assert shown(await talk(history(memory))) == [("human", "one"), ("ai", "two")]
        async with AsyncMemory(":memory:", encoder=HashingEncoder()) as other:
            kept = MemagentChatMessageHistory(other, user_id="ann", session_id="s")
            assert shown(await talk(kept)) == [("human", "one"), ("ai", "two")]

    asyncio.run(both())


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40).filter(str.strip)


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(["human", "ai", "system"]), TEXTS), min_size=1, max_size=8), st.integers(1, 8)
)
def test_whatever_is_said_in_whatever_pieces_comes_back(said: list[tuple[str, str]], size: int) -> None:
    kinds = {"human": HumanMessage, "ai": AIMessage, "system": SystemMessage}
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        kept = history(memory)
        messages = [kinds[kind](text) for kind, text in said]
        for start in range(0, len(messages), size):
            kept.add_messages(messages[start : start + size])
        assert shown(kept.messages) == said
