"""A memory as a LangChain retriever."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from memagent import AsyncMemory, Memory
from memagent.errors import InvalidFilter, InvalidInput, UnknownName
from memagent.integrations import MemagentRetriever
from memagent.testing import HashingEncoder


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        memory.add("My beagle is called Rex.", user_id="ann", metadata={"topic": "pets"}, session_id="s")
        memory.add("I sail at weekends.", user_id="ann", metadata={"topic": "sport"})
        memory.add("My beagle is called Max.", user_id="bob")
        yield memory


def test_documents_are_the_users_memories_best_first(memory: Memory) -> None:
    found = MemagentRetriever(memory=memory, user_id="ann").invoke("What is the beagle called?")
    assert [document.page_content for document in found] == ["My beagle is called Rex.", "I sail at weekends."]
    best = found[0]
    assert best.id is not None
    assert memory.get(best.id)["memory"] == best.page_content
    assert best.metadata["metadata"] == {"topic": "pets"}
    assert best.metadata["session_id"] == "s"
    assert best.metadata["score"] >= found[1].metadata["score"]


def test_what_a_search_takes_can_be_given_once_or_for_a_call(memory: Memory) -> None:
    retriever = MemagentRetriever(memory=memory, user_id="ann", top_k=1, filters={"topic": "sport"})
    assert [d.page_content for d in retriever.invoke("beagle")] == ["I sail at weekends."]
    other: list[Any] = retriever.invoke("beagle", user_id="bob", filters=None, retriever="bm25")
    assert [d.page_content for d in other] == ["My beagle is called Max."]
    assert retriever.invoke("beagle", as_of="2001-01-01T00:00:00Z") == []
    assert retriever.invoke("beagle", granularity="session", filters=None)[0].metadata["granularity"] == "session"


def test_a_user_without_memories_has_no_documents(memory: Memory) -> None:
    assert MemagentRetriever(memory=memory, user_id="new").invoke("beagle") == []


def test_no_search_is_without_a_user(memory: Memory) -> None:
    with pytest.raises(InvalidInput, match="no user is named"):
        MemagentRetriever(memory=memory).invoke("beagle")


def test_what_cannot_be_used_is_refused_by_name(memory: Memory) -> None:
    with pytest.raises(ValidationError, match="str is no memory"):
        MemagentRetriever(memory="store", user_id="ann")
    retriever = MemagentRetriever(memory=memory, user_id="ann")
    with pytest.raises(InvalidInput, match=r"unknown options.*'k'"):
        retriever.invoke("beagle", k=3)
    with pytest.raises(InvalidFilter):
        retriever.invoke("beagle", filters={"topic": {"like": "x"}})
    with pytest.raises(UnknownName):
        retriever.invoke("beagle", retriever="magic")
    with pytest.raises(InvalidInput, match="empty"):
        retriever.invoke(" ")


def test_it_is_awaited_on_either_memory(memory: Memory) -> None:
    async def look_up() -> list[str]:
        async with AsyncMemory(":memory:", encoder=HashingEncoder()) as other:
            await other.add("I keep bees.", user_id="ann")
            found = await MemagentRetriever(memory=other, user_id="ann").ainvoke("bees")
            found += await MemagentRetriever(memory=memory, user_id="ann", top_k=1).ainvoke("beagle")
            with pytest.raises(InvalidInput, match="without an event loop"):
                MemagentRetriever(memory=other, user_id="ann").invoke("bees")
            return [document.page_content for document in found]

    assert asyncio.run(look_up()) == ["I keep bees.", "My beagle is called Rex."]


def test_it_stands_in_a_chain(memory: Memory) -> None:
    from langchain_core.runnables import RunnableLambda

    chain = MemagentRetriever(memory=memory, user_id="ann", top_k=1) | RunnableLambda(
        lambda found: found[0].page_content
    )
    assert chain.invoke("beagle") == "My beagle is called Rex."
