"""MemagentStore where it goes beyond the contract: users' files, settings, and what it refuses."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import GetOp, ListNamespacesOp, MatchCondition, PutOp, SearchOp

from memagent import AsyncMemory, Memory
from memagent.encoders import load_encoder
from memagent.errors import (
    InvalidFilter,
    InvalidInput,
    MemagentError,
    NotFound,
    UnknownMemory,
    UnknownName,
)
from memagent.integrations import MemagentStore
from memagent.integrations.langgraph_filters import compile_filter
from memagent.memory import document_reading
from memagent.records import utc_now
from memagent.retrievers import names
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path / "store", encoder=ENCODER) as memory:
        yield memory


@pytest.fixture
def store(memory: Memory) -> Iterator[MemagentStore]:
    with MemagentStore(memory, index={"fields": ["text"]}) as store:
        yield store


def found(store: MemagentStore, *namespace: str, **options: Any) -> list[str]:
    return [item.key for item in store.search(namespace, **options)]


# settings


def test_a_store_that_indexes_nothing_needs_no_encoder(tmp_path: Path) -> None:
    with MemagentStore(tmp_path, encoder="no/such-model", index=False) as store:
        store.put(("ann",), "key", {"text": "bread"})
        store.put(("ann",), "more", {"text": "bread"}, index=["text"])
        assert sorted(found(store, "ann", query="bread", filter={"text": "bread"})) == ["key", "more"]
        assert isinstance(store.memory, Memory)
        assert store.memory.verify()["ok"]
        store.delete(("ann",), "key")
        assert found(store, "ann") == ["more"]


def test_items_are_found_by_their_whole_value_if_nothing_is_said(memory: Memory) -> None:
    store = MemagentStore(memory)
    store.put(("ann",), "a", {"title": "bread", "n": [1]})
    store.put(("ann",), "b", {"title": "rain"})
    assert found(store, "ann", query="bread") == ["a", "b"]


def test_blank_texts_and_missing_fields_are_not_indexed(store: MemagentStore, memory: Memory) -> None:
    store.put(("ann",), "blank", {"text": "  "})
    store.put(("ann",), "missing", {"title": "bread"})
    store.put(("ann",), "shown", {"text": "bread"})
    assert found(store, "ann", query="bread") == ["shown"]
    assert memory.stats(user_id="ann")["document_units"] == 3


@pytest.mark.parametrize("name", sorted(set(names()) - {"memgas"}))
def test_any_retriever_finds_items(memory: Memory, name: str) -> None:
    store = MemagentStore(memory, retriever=name, index={"fields": ["text"]})
    for number, text in enumerate(("bread with olives", "my cat", "rain in the harbour", "a green bicycle")):
        store.put(("ann", "a"), str(number), {"text": text, "n": number})
    store.put(("ann", "b"), "other", {"text": "bread with olives"})
    assert found(store, "ann", "a", query="bread with olives", limit=2)[0] == "0"
    assert found(store, "ann", query="the harbour in the rain", filter={"n": {"$gt": 0}}, limit=1) == ["2"]
    assert len(found(store, query="my cat")) == 5


def test_a_retriever_that_ranks_sessions_is_refused(memory: Memory) -> None:
    with pytest.raises(InvalidInput, match="'memgas' ranks no items"):
        MemagentStore(memory, retriever="memgas")


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"index": {"embed": len}}, InvalidInput, "'embed' in index is not supported .pass encoder="),
        ({"index": {"dims": 384}}, InvalidInput, "'dims' in index"),
        ({"index": {"distance_type": "l2"}}, UnknownName, "no option 'distance_type'"),
        ({"index": {"fields": "text"}}, InvalidInput, "fields of index is 'text'"),
        ({"index": {"fields": [" "]}}, InvalidInput, "empty path"),
        ({"index": {"fields": ["a[0"]}}, InvalidInput, "brackets do not match"),
        ({"index": ["text"]}, InvalidInput, "index is list"),
        ({"ttl": {"default_ttl": -1}}, InvalidInput, "ttl is -1"),
        ({"ttl": {"default": 1}}, UnknownName, "no option 'default'"),
        ({"ttl": {"omit_expired": False}}, InvalidInput, "omit_expired=False is not supported"),
        ({"ttl": {"refresh_on_read": "no"}}, InvalidInput, "refresh_on_read is 'no'"),
        ({"ttl": {"sweep_interval_minutes": 0}}, InvalidInput, "sweep_interval_minutes is 0"),
        ({"ttl": 5}, InvalidInput, "ttl is int"),
        ({"user_at": -1}, InvalidInput, "user_at is -1"),
        ({"user_at": True}, InvalidInput, "user_at is True"),
        ({"workers": 0}, InvalidInput, "workers is 0"),
        ({"encoder": ENCODER}, InvalidInput, "a memory and an encoder"),
        ({"retriever": "nearest"}, UnknownName, "nearest"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    memory: Memory, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        MemagentStore(memory, **options)


def test_closing_a_store_closes_the_memory_that_it_made_and_no_other(memory: Memory, tmp_path: Path) -> None:
    given = MemagentStore(memory)
    given.close()
    memory.add("still open", user_id="ann")
    own = MemagentStore(tmp_path / "own", encoder=ENCODER)
    own.put(("ann",), "key", {"n": 1})
    own.close()
    own.close()
    with pytest.raises(InvalidInput, match="closed"):
        own.get(("ann",), "key")
    with pytest.raises(InvalidInput, match="closed"):
        asyncio.run(own.aget(("ann",), "key"))


# what is refused


@pytest.mark.parametrize(
    "op",
    [
        PutOp("ann", "k", {}),  # type: ignore[arg-type]
        PutOp((), "k", {}),
        PutOp(("langgraph", "x"), "k", {}),
        PutOp(("ann", "\ud800"), "k", {}),
        PutOp(("x" * 9000,), "k", {}),
        PutOp(("ann",), 3, {}),  # type: ignore[arg-type]
        PutOp(("ann",), "\ud800", {}),
        PutOp(("ann",), "x" * 9000, {}),
        PutOp(("ann",), "k", ["no dict"]),  # type: ignore[arg-type]
        PutOp(("ann",), "k", {1: 2}),  # type: ignore[dict-item]
        PutOp(("ann",), "k", {"a": "\ud800"}),
        PutOp(("ann",), "k", {"a": float("nan")}),
        PutOp(("ann",), "k", {"a": 10**5000}),
        PutOp(("ann",), "k", {"a": "x" * (1 << 20)}),
        PutOp(("ann",), "k", {"a": [[[[]]]] * 2, "b": json.loads("[" * 60 + "]" * 60)}),
        PutOp(("ann",), "k", {}, index="text"),  # type: ignore[arg-type]
        PutOp(("ann",), "k", {}, index=True),  # type: ignore[arg-type]
        PutOp(("ann",), "k", {}, index=["a{b"]),
        PutOp(("ann",), "k", {}, ttl=0),
        PutOp(("ann",), "k", {}, ttl=float("inf")),
        PutOp(("ann",), "k", {}, ttl=1e9),
        PutOp(("ann",), "k", {}, ttl="5"),  # type: ignore[arg-type]
        GetOp(None, "k"),  # type: ignore[arg-type]
        GetOp(("ann",), None),  # type: ignore[arg-type]
        SearchOp(None),  # type: ignore[arg-type]
        SearchOp(("a.b",)),
        SearchOp((), limit=-1),
        SearchOp((), offset=-1),
        SearchOp((), limit=2.5),  # type: ignore[arg-type]
        SearchOp((), query=5),  # type: ignore[arg-type]
        SearchOp((), filter=["a"]),  # type: ignore[arg-type]
        ListNamespacesOp(max_depth=0),
        ListNamespacesOp(limit=None),  # type: ignore[arg-type]
        ListNamespacesOp((MatchCondition("infix", ("a",)),)),  # type: ignore[arg-type]
        ListNamespacesOp((MatchCondition("prefix", ("",)),)),
        ListNamespacesOp(("ann",)),  # type: ignore[arg-type]
        ListNamespacesOp(3),  # type: ignore[arg-type]
        None,
    ],
)
def test_an_operation_that_cannot_be_says_what_to_do_and_stops_the_batch(store: MemagentStore, op: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        store.batch([PutOp(("ann",), "before", {"n": 1}), op])
    assert caught.value.hint
    assert len(str(caught.value)) < 500
    assert store.search(()) == []
    with pytest.raises(InvalidInput):
        asyncio.run(store.abatch([op]))


def test_a_value_as_large_as_the_memory_allows_is_kept(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, max_message_bytes=100) as memory:
        store = MemagentStore(memory)
        store.put(("ann",), "fits", {"a": "x" * 90})
        with pytest.raises(InvalidInput, match="has 101 bytes, more than the limit of 100"):
            store.put(("ann",), "does not", {"a": "x" * 93})
        assert found(store, "ann") == ["fits"]


def test_tuples_become_lists(store: MemagentStore) -> None:
    store.put(("ann",), "key", {"a": (1, (2, 3))})
    assert store.get(("ann",), "key").value == {"a": [1, [2, 3]]}  # type: ignore[union-attr]


def test_a_failing_encoder_stores_nothing() -> None:
    class Broken(HashingEncoder):
        def encode_documents(self, texts: Any) -> Any:
            raise RuntimeError("out of memory")

    with MemagentStore(":memory:", encoder=Broken()) as store:
        with pytest.raises(MemagentError, match="out of memory"):
            store.put(("ann",), "key", {"text": "bread"})
        assert store.search(()) == []
        store.put(("ann",), "key", {"text": "bread"}, index=False)
        assert found(store) == ["key"]


# filters

PERSON = {"name": "Ann", "age": 30, "tags": ["x", "y"], "home": {"city": "Lisbon", "floor": 2}, "member": True}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"name": {"$in": ["Ann", "Bob"]}}, True),
        ({"name": {"$nin": ["Ann"]}}, False),
        ({"other": {"$nin": ["Ann"]}}, True),
        ({"tags": {"$contains": "x"}}, True),
        ({"tags": {"$contains": "z"}}, False),
        ({"name": {"$contains": "nn"}}, True),
        ({"name": {"$icontains": "ANN"}}, True),
        ({"home": {"city": {"$icontains": "lis"}, "floor": {"$lt": 3}}}, True),
        ({"home": {"street": None}}, True),
        ({"name": {"city": "Lisbon"}}, False),
        ({"$or": [{"name": "Bob"}, {"age": {"$gte": 30}}]}, True),
        ({"$and": [{"name": "Ann"}, {"age": 31}]}, False),
        ({"$not": {"name": "Ann"}}, False),
        ({"$not": [{"name": "Bob"}, {"age": 31}]}, True),
        ({"member": 1}, False),
        ({"home": {"$eq": {"floor": 2, "city": "Lisbon"}}}, True),
        ({}, True),
    ],
    ids=str,
)
def test_filters_may_use_our_operators_too(condition: dict[str, Any], expected: bool) -> None:
    assert compile_filter(condition)(PERSON) is expected


@pytest.mark.parametrize(
    "condition",
    [
        {"age": {"$near": 1}},
        {"age": {"$gt": 1, "other": 2}},
        {"$nor": [{"a": 1}]},
        {"$or": []},
        {"$and": ["a"]},
        {"age": {"$in": "abc"}},
        {"age": {"$eq": {1, 2}}},
        {"age": [object()]},
        {3: 4},
        [("a", 1)],
        json.loads('{"a":' * 60 + "1" + "}" * 60),
    ],
)
def test_a_filter_that_cannot_be_is_refused(condition: Any) -> None:
    with pytest.raises(InvalidFilter) as caught:
        compile_filter(condition)
    assert caught.value.hint


# lifetimes


def test_a_default_lifetime_holds_for_items_that_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with MemagentStore(tmp_path, encoder=ENCODER, ttl={"default_ttl": 10, "refresh_on_read": False}) as store:
        store.put(("ann",), "default", {"n": 1})
        store.put(("ann",), "ever", {"n": 1}, ttl=None)
        monkeypatch.setattr(document_reading, "utc_now", lambda: utc_now() + timedelta(minutes=11))
        assert found(store, "ann") == ["ever"]


def test_the_sweeper_removes_expired_items_until_it_is_stopped(tmp_path: Path) -> None:
    with MemagentStore(tmp_path, encoder=ENCODER) as store:
        store.put(("ann",), "short", {"text": "bread"}, ttl=0.0001)
        store.put(("ann",), "ever", {"text": "bread"})
        store.start_ttl_sweeper(0.0005)
        store.start_ttl_sweeper()
        deadline = time.monotonic() + 60
        while store.memory._core.banks and time.monotonic() < deadline:
            with store.memory._core.banks.lease("ann") as bank, bank.store.read() as transaction:
                if transaction.counts()["document_units"] == 1:
                    break
            time.sleep(0.01)
        assert store.stop_ttl_sweeper()
        assert store.sweep_ttl() == 0
        assert found(store, "ann") == ["ever"]
        store.start_ttl_sweeper(1000)
        assert "memagent-sweeper" in {thread.name for thread in threading.enumerate()}
    assert "memagent-sweeper" not in {thread.name for thread in threading.enumerate()}


# several at once


def test_a_sweep_of_all_users_leaves_those_open_who_were(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, max_open_users=2) as memory:
        store = MemagentStore(memory)
        for number in range(5):
            store.put((f"u{number}",), "short", {"n": 1}, ttl=None if number else 0.0001)
        with memory._core.banks.lease("u3") as third, memory._core.banks.lease("u4") as fourth:
            pass
        assert [store.sweep_ttl(), store.sweep_ttl()] == [1, 0]
        with memory._core.banks.lease("u3") as again, memory._core.banks.lease("u4") as and_again:
            assert (again, and_again) == (third, fourth)


def test_an_item_is_found_by_any_of_its_texts_under_a_filter(store: MemagentStore) -> None:
    store.put(("ann",), "two", {"a": "rain", "b": "bread", "n": 1}, index=["a", "b"])
    store.put(("ann",), "other", {"a": "bread", "n": 2}, index=["a"])
    (item,) = store.search(("ann",), query="bread", filter={"n": 1})
    assert item.key == "two"
    assert item.score == pytest.approx(1.0, abs=1e-3)


def test_cancelling_a_task_leaves_the_store_whole() -> None:
    async def work(store: MemagentStore) -> None:
        tasks = [asyncio.ensure_future(store.aput(("ann",), str(n), {"text": f"bread {n}"})) for n in range(20)]
        await asyncio.sleep(0.005)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        kept = {item.key for item in await store.asearch(("ann",), limit=100)}
        assert {str(n) for n in range(1, 20, 2)} <= kept

    with MemagentStore(":memory:", encoder=ENCODER) as store:
        asyncio.run(work(store))
        assert store.memory._core.closed is False


def test_an_async_memory_may_be_given() -> None:
    async def work() -> None:
        memory = AsyncMemory(":memory:", encoder=ENCODER)
        store = MemagentStore(memory)
        await store.aput(("ann",), "key", {"text": "bread"})
        assert (await store.asearch(("ann",), query="bread"))[0].key == "key"
        assert await memory.users() == ["ann"]
        store.close()
        await memory.close()

    asyncio.run(work())


def test_the_real_encoder_finds_by_meaning(tmp_path: Path) -> None:
    with MemagentStore(tmp_path, encoder=load_encoder()) as store:
        store.put(("ann", "memories"), "1", {"text": "I love pizza"})
        store.put(("ann", "memories"), "2", {"text": "I am a plumber"})
        (item,) = store.search(("ann", "memories"), query="I'm hungry", limit=1)
        assert item.value == {"text": "I love pizza"}
        assert item.score is not None
        assert 0 < item.score < 1


def test_an_unknown_user_is_just_empty(store: MemagentStore, memory: Memory) -> None:
    assert store.get(("nobody",), "key") is None
    assert store.search(("nobody",), query="bread") == []
    store.delete(("nobody",), "key")
    assert store.sweep_ttl() == 0
    assert memory.users() == []
    with pytest.raises((UnknownMemory, NotFound)):
        memory.stats(user_id="nobody")
