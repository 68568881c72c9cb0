"""What a LangGraph store should do, as tests: inherit the class and give a ``store`` fixture.

LangGraph says little about what its stores do beyond their signatures, and those that exist differ. Each test here is
one choice, said in its name. A store that does something else says so in ``differences``: its tests then must fail, so
that what is written there stays true.

    class TestMyStore(LangGraphStoreContract):
        differences = {"test_times_have_a_zone": "times are naive, in UTC"}

        @pytest.fixture
        def store(self):
            return MyStore(index={"dims": 384, "embed": embedding(HashingEncoder()), "fields": ["text"]})
"""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from langgraph.store.base import GetOp, ListNamespacesOp, PutOp, SearchOp

from memagent.testing.langgraph_store_items import got, keys
from memagent.testing.langgraph_store_searching import StoreSearchingContract

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

    from memagent.encoders.port import Encoder

_THREADS = 8
_EACH = 10


def embedding(encoder: Encoder) -> Callable[[Any], list[list[float]]]:
    """An encoder as the ``embed`` of LangGraph's IndexConfig."""
    return lambda texts: encoder.encode_documents(list(texts)).tolist()


class LangGraphStoreContract(StoreSearchingContract):
    """Tests of one store, empty, which finds items by their field ``text`` (cosine of the vectors).

    ``differences``: by the name of a test, what the store does instead. Tests of lifetimes need :meth:`let_pass`; they
    are skipped for stores that do not support them.
    """

    differences: ClassVar[Mapping[str, str]] = {}

    @pytest.fixture
    def store(self) -> Iterator[BaseStore] | BaseStore:
        """The store under test, empty; a subclass must give it."""
        raise NotImplementedError("give a fixture called store")

    def let_pass(self, store: BaseStore, minutes: float) -> None:
        """Let time pass for the lifetimes of the store's items; a subclass must, if its store supports them."""
        raise NotImplementedError("define let_pass(store, minutes)")

    @pytest.fixture(autouse=True)
    def expected(self, request: pytest.FixtureRequest) -> None:
        """Tests named in ``differences`` must fail."""
        name = request.node.originalname
        if name in self.differences:
            request.applymarker(pytest.mark.xfail(reason=self.differences[name], strict=True))

    # batches

    def test_results_come_in_the_order_of_the_operations(self, store: BaseStore) -> None:
        store.put(("a",), "one", {"n": 1})
        store.put(("b",), "two", {"n": 2})
        two, listed, nothing, found, done, one = store.batch(
            [
                GetOp(("b",), "two"),
                ListNamespacesOp(),
                GetOp(("a",), "none"),
                SearchOp(("a",)),
                PutOp(("c",), "three", {"n": 3}),
                GetOp(("a",), "one"),
            ]
        )
        assert two.value == {"n": 2}  # type: ignore[union-attr]
        assert one.value == {"n": 1}  # type: ignore[union-attr]
        assert listed == [("a",), ("b",)]
        assert [item.key for item in found] == ["one"]  # type: ignore[union-attr]
        assert (nothing, done) == (None, None)
        assert store.batch([]) == []

    def test_reads_see_what_was_there_before_the_batch(self, store: BaseStore) -> None:
        store.put(("a",), "key", {"n": 1})
        results = store.batch([PutOp(("a",), "key", {"n": 2}), GetOp(("a",), "key"), PutOp(("a",), "new", {"n": 3})])
        assert results[1].value == {"n": 1}  # type: ignore[union-attr]
        results = store.batch([PutOp(("a",), "newer", {"n": 4}), SearchOp(("a",))])
        assert {item.key for item in results[1]} == {"key", "new"}  # type: ignore[union-attr]

    def test_of_several_writes_to_one_item_the_last_counts(self, store: BaseStore) -> None:
        store.put(("a",), "there", {"n": 0})
        store.batch(
            [
                PutOp(("a",), "key", {"n": 1}),
                PutOp(("a",), "gone", {"n": 1}),
                PutOp(("a",), "there", None),
                PutOp(("a",), "key", {"n": 2}),
                PutOp(("a",), "gone", None),
                PutOp(("a",), "there", {"n": 3}),
            ]
        )
        assert {item.key: item.value["n"] for item in store.search(("a",))} == {"key": 2, "there": 3}

    def test_nothing_is_done_if_an_operation_cannot_be(self, store: BaseStore) -> None:
        store.put(("a",), "key", {"n": 1})
        for bad in (PutOp(("a",), "bad", {"n": {1, 2}}), SearchOp(("a",), {"n": {"$near": 1}})):
            with pytest.raises((ValueError, TypeError)):
                store.batch([PutOp(("a",), "key", {"n": 2}), bad, PutOp(("a",), "more", {"n": 3})])
        assert {item.key: item.value["n"] for item in store.search(("a",))} == {"key": 1}

    def test_what_is_no_operation_is_refused(self, store: BaseStore) -> None:
        with pytest.raises((ValueError, TypeError)):
            store.batch([("a", "key")])  # type: ignore[list-item]

    # lifetimes

    @pytest.fixture
    def expiring(self, store: BaseStore) -> BaseStore:
        """The store with two items that live for an hour, and one for ever."""
        if not store.supports_ttl:
            pytest.skip("the store knows no lifetimes")
        store.put(("a",), "hour", {"text": "bread"}, ttl=60)
        store.put(("a",), "other", {"text": "olives"}, ttl=60)
        store.put(("a",), "ever", {"text": "rain"})
        return store

    def test_without_support_a_lifetime_is_refused(self, store: BaseStore) -> None:
        if store.supports_ttl:
            pytest.skip("the store knows lifetimes")
        with pytest.raises(NotImplementedError):
            store.put(("a",), "key", {"n": 1}, ttl=1)

    def test_an_expired_item_is_gone(self, expiring: BaseStore) -> None:
        self.let_pass(expiring, 59)
        assert keys(expiring, ("a",), refresh_ttl=False) == ["ever", "hour", "other"]
        self.let_pass(expiring, 2)
        assert keys(expiring, ("a",)) == ["ever"]
        assert keys(expiring, ("a",), query="bread") == ["ever"]
        assert expiring.get(("a",), "hour") is None

    def test_a_namespace_goes_with_its_last_item(self, expiring: BaseStore) -> None:
        expiring.put(("b",), "hour", {"n": 1}, ttl=60)
        self.let_pass(expiring, 61)
        assert expiring.list_namespaces() == [("a",)]

    def test_expired_items_are_swept_away(self, expiring: BaseStore) -> None:
        self.let_pass(expiring, 61)
        assert expiring.sweep_ttl() == 2  # type: ignore[attr-defined]
        assert expiring.sweep_ttl() == 0  # type: ignore[attr-defined]
        assert keys(expiring, ("a",)) == ["ever"]

    @pytest.mark.parametrize("how", ["get", "search", "query"])
    def test_reading_an_item_lets_it_live_on(self, expiring: BaseStore, how: str) -> None:
        self.let_pass(expiring, 40)
        read(expiring, how)
        self.let_pass(expiring, 40)
        expiring.sweep_ttl()  # type: ignore[attr-defined]
        assert "hour" in keys(expiring, ("a",))

    @pytest.mark.parametrize("how", ["get", "search", "query"])
    def test_reading_an_item_without_refreshing_does_not(self, expiring: BaseStore, how: str) -> None:
        self.let_pass(expiring, 40)
        read(expiring, how, refresh_ttl=False)
        self.let_pass(expiring, 40)
        expiring.sweep_ttl()  # type: ignore[attr-defined]
        assert keys(expiring, ("a",)) == ["ever"]

    def test_putting_an_item_again_begins_its_life_anew(self, expiring: BaseStore) -> None:
        self.let_pass(expiring, 40)
        expiring.put(("a",), "hour", {"n": 1}, ttl=60)
        expiring.put(("a",), "other", {"n": 1})
        self.let_pass(expiring, 40)
        expiring.sweep_ttl()  # type: ignore[attr-defined]
        assert keys(expiring, ("a",), refresh_ttl=False) == ["ever", "hour", "other"]
        self.let_pass(expiring, 40)
        expiring.sweep_ttl()  # type: ignore[attr-defined]
        assert keys(expiring, ("a",)) == ["ever", "other"]

    # several at once

    def test_threads_do_not_lose_each_others_items(self, store: BaseStore) -> None:
        def work(name: int) -> None:
            for number in range(_EACH):
                store.put((f"user{name % 2}", str(name)), str(number), {"text": f"bread {name} {number}"})
                assert got(store, (f"user{name % 2}", str(name)), str(number))["text"] == f"bread {name} {number}"
                assert store.search((f"user{name % 2}",), query="bread", limit=1)

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(work, range(_THREADS)))
        assert len(store.search((), limit=1000)) == _THREADS * _EACH

    def test_the_awaited_calls_do_what_the_others_do(self, store: BaseStore) -> None:
        async def work() -> None:
            await store.aput(("a", "b"), "key", {"text": "my cat"})
            await store.aput(("a",), "other", {"text": "bread"})
            item = await store.aget(("a", "b"), "key")
            assert item is not None
            assert item.value == {"text": "my cat"}
            assert [found.key for found in await store.asearch(("a",), query="my cat", limit=1)] == ["key"]
            assert await store.alist_namespaces() == [("a",), ("a", "b")]
            await store.adelete(("a", "b"), "key")
            assert await store.aget(("a", "b"), "key") is None

        asyncio.run(work())

    def test_one_store_serves_several_event_loops(self, store: BaseStore) -> None:
        async def work(name: int) -> None:
            await asyncio.gather(*(store.aput((str(name),), str(n), {"text": f"bread {n}"}) for n in range(_EACH)))
            assert len(await store.asearch((str(name),), query="bread", limit=100)) == _EACH

        asyncio.run(work(0))
        asyncio.run(work(1))
        with ThreadPoolExecutor(4) as pool:  # at once, each in its own loop
            list(pool.map(lambda name: asyncio.run(work(name)), range(2, 6)))
        assert len(store.search((), limit=1000)) == 6 * _EACH


def read(store: BaseStore, how: str, **options: Any) -> None:
    """Read the item ``hour``."""
    if how == "get":
        assert store.get(("a",), "hour", **options) is not None
    else:
        query = {"query": "bread"} if how == "query" else {}
        assert "hour" in {item.key for item in store.search(("a",), **query, **options)}  # type: ignore[arg-type]
