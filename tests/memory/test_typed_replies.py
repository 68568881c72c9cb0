"""What type checkers see: read by mypy, and run as well."""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

from memagent import AsyncMemory, Granularity, Memory, Message, Session
from memagent.memory.portable import Exported, Imported
from memagent.memory.replies import (
    AddReply,
    ChangeReply,
    DeletedReply,
    Erased,
    HistoryEntry,
    Item,
    ListReply,
    SearchReply,
    Verified,
)
from memagent.records import utc_now
from memagent.testing import HashingEncoder


def test_the_replies_of_a_memory_are_typed(tmp_path: Any) -> None:
    with Memory(":memory:", encoder=HashingEncoder(32), background=False) as memory:
        assert_type(memory, Memory)
        reply = assert_type(memory.add("I keep bees.", user_id="ann", session_id="s"), AddReply)
        added = assert_type(reply["results"][0]["id"], str)
        session = Session(messages=(Message(role="user", content="I sail.", event_at=utc_now()),))
        assert_type(memory.add_many([session, {"messages": "I keep hens."}], user_id="ann"), AddReply)
        assert_type(memory.close_session("s", user_id="ann"), AddReply)
        assert_type(memory.flush(user_id="ann"), int)
        found = assert_type(
            memory.search("bees", user_id="ann", granularity=Granularity.TURN, explain=True), SearchReply
        )
        assert_type(found["results"], list[Item])
        assert_type(found["results"][0]["memory"], str)
        assert_type(found["results"][0]["score"], float)
        assert_type(found["results"][0]["metadata"], dict[str, Any])
        assert_type(found["trace"], dict[str, Any])
        assert_type(memory.context("bees", user_id="ann"), str)
        assert_type(memory.get(added), Item)
        assert_type(memory.get_all(user_id="ann"), ListReply)
        assert_type(memory.update(added, "I sold the bees."), ChangeReply)
        assert_type(memory.history(added), list[HistoryEntry])
        assert_type(memory.export(tmp_path / "a", user_id="ann"), Exported)
        assert_type(memory.import_(tmp_path / "a", user_id="bob"), Imported)
        assert_type(memory.backup(tmp_path / "b", user_id="ann"), str)
        assert_type(memory.users(), list[str])
        assert_type(memory.stats(), dict[str, Any])
        assert_type(memory.verify(), Verified)
        assert_type(memory.reindex(user_id="ann"), int)
        assert_type(memory.delete(added), ChangeReply)
        assert_type(memory.delete_all(user_id="ann"), DeletedReply)
        assert_type(memory.forget_user(user_id="bob"), Erased)


def test_the_replies_of_an_asynchronous_memory_are_typed() -> None:
    async def use() -> None:
        async with AsyncMemory(":memory:", encoder=HashingEncoder(32), background=False) as memory:
            assert_type(memory, AsyncMemory)
            assert_type(await memory.add({"role": "user", "content": "I keep bees."}, user_id="ann"), AddReply)
            assert_type(await memory.search("bees", user_id="ann"), SearchReply)
            assert_type(await memory.users(), list[str])

    asyncio.run(use())
