"""What a LangGraph store must do with single items and with namespaces: part of the contract."""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.store.base import InvalidNamespaceError, PutOp, SearchOp

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore, Item

TRICKY = (
    ("a",),
    ("a", "b"),
    ("a", "b", "c"),
    ("a", "bc"),
    ("ab",),
    ("ab", "c"),
    ("A",),
    ("b", "a"),
    ("a*",),
    ("*", "b"),
    ("a%",),
    ("a_", "b"),
    ("[a]",),
    ("a?",),
    ("a/b",),
    ("a\\", "b"),
    ("a,b",),
    ("a:b",),
    ("é",),
    ("e\u0301",),
    ("ß",),
    ("ss",),
    (" a",),
    ("a b",),
    ("\U0001f600", "a"),
    ("null",),
    ("0",),
)
"""Namespaces that a careless comparison takes for one another, or for parts of one another."""

VALUES: tuple[dict[str, Any], ...] = (
    {},
    {"text": ""},
    {"text": "quote \" and \\ and 'single'", "line": "one\ntwo\r\n\ttab"},
    {"nothing": None, "flag": True, "zero": 0, "one": 1, "half": 0.5, "tiny": 5e-324, "huge": 1.7e308},
    {"list": [], "deep": {"er": [{"a": [1, [2, [3]]]}]}, "": "an empty name"},
    {"日本": "語", "emoji": "\U0001f600", "combining": "e\u0301", "$eq": 1, "a.b": 2, "NUL": "a\0b"},
)


class StoreItemsContract:
    """Tests of put, get, delete and list_namespaces."""

    def a_moment(self, store: BaseStore) -> None:
        """Let enough time pass that the store can tell what was written before from what is written after."""
        time.sleep(0.002)

    def overwritten(self, store: BaseStore) -> tuple[Item, Item]:
        """An item before and after it was put again, a moment later."""
        store.put(("ann",), "key", {"n": 1})
        self.a_moment(store)
        before = store.get(("ann",), "key")
        store.put(("ann",), "key", {"n": 2})
        after = store.get(("ann",), "key")
        assert before is not None
        assert after is not None
        return before, after

    # items

    @pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
    def test_a_value_comes_back_as_it_was_put(self, store: BaseStore, value: dict[str, Any]) -> None:
        store.put(("ann", "things"), "key", value)
        item = store.get(("ann", "things"), "key")
        assert item is not None
        assert (item.namespace, item.key, item.value) == (("ann", "things"), "key", value)
        assert repr(item.value) == repr(value)  # no 1 for True, and the fields in their order

    def test_whole_numbers_of_any_size_come_back(self, store: BaseStore) -> None:
        store.put(("ann",), "key", {"n": 2**70})
        assert got(store, ("ann",), "key") == {"n": 2**70}

    def test_there_is_nothing_where_nothing_was_put(self, store: BaseStore) -> None:
        store.put(("ann", "a"), "key", {"n": 1})
        assert store.get(("ann", "a"), "other") is None
        assert store.get(("ann",), "key") is None
        assert store.get(("ann", "a", "b"), "key") is None
        assert store.get(("bob",), "key") is None

    def test_put_replaces_the_whole_value(self, store: BaseStore) -> None:
        store.put(("ann",), "key", {"a": 1, "b": 2})
        store.put(("ann",), "key", {"b": 3})
        assert got(store, ("ann",), "key") == {"b": 3}

    def test_the_store_keeps_a_value_of_its_own(self, store: BaseStore) -> None:
        value = {"list": [1]}
        store.put(("ann",), "key", value)
        value["list"].append(2)
        assert got(store, ("ann",), "key") == {"list": [1]}
        got(store, ("ann",), "key")["list"].append(3)
        assert got(store, ("ann",), "key") == {"list": [1]}

    def test_times_have_a_zone(self, store: BaseStore) -> None:
        store.put(("ann",), "key", {"n": 1})
        item = store.get(("ann",), "key")
        assert item is not None
        assert item.created_at.tzinfo is not None
        assert item.updated_at.tzinfo is not None

    def test_a_new_item_was_created_and_updated_at_the_same_time(self, store: BaseStore) -> None:
        store.put(("ann",), "key", {"n": 1})
        item = store.get(("ann",), "key")
        assert item is not None
        assert item.created_at == item.updated_at

    def test_overwriting_keeps_when_an_item_was_created(self, store: BaseStore) -> None:
        before, after = self.overwritten(store)
        assert after.created_at == before.created_at

    def test_overwriting_moves_when_an_item_was_updated(self, store: BaseStore) -> None:
        before, after = self.overwritten(store)
        assert after.updated_at > before.updated_at

    def test_an_item_put_after_it_was_deleted_is_a_new_one(self, store: BaseStore) -> None:
        store.put(("ann",), "key", {"n": 1})
        self.a_moment(store)
        first = store.get(("ann",), "key")
        store.delete(("ann",), "key")
        store.put(("ann",), "key", {"n": 2})
        second = store.get(("ann",), "key")
        assert first is not None
        assert second is not None
        assert second.created_at > first.created_at

    def test_delete_removes_one_item(self, store: BaseStore) -> None:
        store.put(("ann",), "one", {"n": 1})
        store.put(("ann",), "two", {"n": 2})
        store.delete(("ann",), "one")
        assert store.get(("ann",), "one") is None
        assert keys(store, ("ann",)) == ["two"]

    def test_deleting_what_is_not_there_does_nothing(self, store: BaseStore) -> None:
        store.put(("ann",), "one", {"n": 1})
        store.delete(("ann",), "two")
        store.delete(("bob",), "one")
        assert keys(store, ()) == ["one"]

    def test_keys_are_compared_exactly(self, store: BaseStore) -> None:
        names = ["a", "A", " a", "a.b", "a/b", "a*", "é", "e\u0301", "%", "", "x" * 1000]
        for number, name in enumerate(names):
            store.put(("ann",), name, {"n": number})
        assert [got(store, ("ann",), name)["n"] for name in names] == list(range(len(names)))
        assert keys(store, ("ann",)) == sorted(names)

    @pytest.mark.parametrize(
        "value", [{"a": {1, 2}}, {"a": object()}, {"a": [b"bytes"]}], ids=["set", "object", "bytes"]
    )
    def test_what_json_cannot_hold_is_refused(self, store: BaseStore, value: dict[str, Any]) -> None:
        with pytest.raises((ValueError, TypeError)):
            store.put(("ann",), "key", value)
        assert store.get(("ann",), "key") is None

    @pytest.mark.parametrize("number", [float("nan"), float("inf")])
    def test_a_number_that_is_none_is_refused(self, store: BaseStore, number: float) -> None:
        with pytest.raises((ValueError, TypeError)):
            store.put(("ann",), "key", {"n": number})
        assert store.get(("ann",), "key") is None

    def test_names_of_fields_that_are_not_texts_are_refused(self, store: BaseStore) -> None:
        with pytest.raises((ValueError, TypeError)):
            store.put(("ann",), "key", {"a": {1: 2}})
        assert store.get(("ann",), "key") is None

    # namespaces

    @pytest.mark.parametrize(
        "namespace", [(), ("",), ("a", ""), ("a.b",), ("a", "."), (1,), ("a", None), ("langgraph", "x"), ("a\0",)]
    )
    def test_nothing_is_put_into_what_is_no_namespace(self, store: BaseStore, namespace: Any) -> None:
        with pytest.raises(InvalidNamespaceError):
            store.put(namespace, "key", {"n": 1})
        assert store.search(()) == []

    @pytest.mark.parametrize("namespace", [("",), ("a.b",), (1,)])
    def test_operations_given_to_batch_are_checked_too(self, store: BaseStore, namespace: Any) -> None:
        for op in (PutOp(namespace, "key", {"n": 1}), SearchOp(namespace)):
            with pytest.raises(InvalidNamespaceError):
                store.batch([op])
        assert store.search(()) == []

    def test_a_text_is_no_namespace(self, store: BaseStore) -> None:
        with pytest.raises((ValueError, TypeError)):
            store.put("ann", "key", {"n": 1})  # type: ignore[arg-type]
        assert store.search(()) == []

    def test_namespaces_are_compared_element_by_element(self, store: BaseStore) -> None:
        for namespace in TRICKY:
            store.put(namespace, "key", {"at": list(namespace)})
        for namespace in TRICKY:
            assert got(store, namespace, "key") == {"at": list(namespace)}
            found = {item.namespace for item in store.search(namespace, limit=100)}
            assert found == {other for other in TRICKY if other[: len(namespace)] == namespace}
        assert {item.namespace for item in store.search((), limit=100)} == set(TRICKY)

    def test_namespaces_are_listed_once_and_in_order(self, store: BaseStore) -> None:
        for namespace in (("b",), ("a", "c"), ("a", "b"), ("a",)):
            for key in ("one", "two"):
                store.put(namespace, key, {"n": 1})
        assert store.list_namespaces() == [("a",), ("a", "b"), ("a", "c"), ("b",)]

    def test_namespaces_are_listed_by_their_beginning_and_end(self, store: BaseStore) -> None:
        for namespace in (("a", "x", "v1"), ("a", "y", "v1"), ("a", "y", "v2"), ("ab", "x", "v1"), ("a",)):
            store.put(namespace, "key", {"n": 1})
        assert store.list_namespaces(prefix=("a", "y")) == [("a", "y", "v1"), ("a", "y", "v2")]
        assert store.list_namespaces(suffix=("v1",)) == [("a", "x", "v1"), ("a", "y", "v1"), ("ab", "x", "v1")]
        assert store.list_namespaces(prefix=("a",), suffix=("v2",)) == [("a", "y", "v2")]
        assert store.list_namespaces(prefix=("a",), suffix=("a", "y", "v2")) == [("a", "y", "v2")]
        assert store.list_namespaces(prefix=("y",)) == []

    def test_a_star_stands_for_one_element(self, store: BaseStore) -> None:
        for namespace in (("a", "x", "v1"), ("b", "x", "v1"), ("a", "y", "v1"), ("a", "x"), ("a", "z", "x", "v1")):
            store.put(namespace, "key", {"n": 1})
        assert store.list_namespaces(prefix=("*", "x")) == [("a", "x"), ("a", "x", "v1"), ("b", "x", "v1")]
        assert store.list_namespaces(prefix=("a", "*", "v1")) == [("a", "x", "v1"), ("a", "y", "v1")]
        assert store.list_namespaces(suffix=("y", "*")) == [("a", "y", "v1")]

    def test_namespaces_are_cut_at_a_depth(self, store: BaseStore) -> None:
        for namespace in (("a", "b", "c"), ("a", "b", "d", "e"), ("a", "b", "d", "i"), ("a", "b", "f"), ("a", "c")):
            store.put(namespace, "key", {"n": 1})
        cut = [("a", "b", "c"), ("a", "b", "d"), ("a", "b", "f")]
        assert store.list_namespaces(prefix=("a", "b"), max_depth=3) == cut
        assert store.list_namespaces(max_depth=1) == [("a",)]

    def test_namespaces_come_in_pages(self, store: BaseStore) -> None:
        for number in range(5):
            store.put((f"n{number}",), "key", {"n": 1})
        pages = [store.list_namespaces(limit=2, offset=offset) for offset in (0, 2, 4, 6)]
        assert pages == [[("n0",), ("n1",)], [("n2",), ("n3",)], [("n4",)], []]

    def test_a_namespace_is_there_as_long_as_it_has_items(self, store: BaseStore) -> None:
        store.put(("a",), "key", {"n": 1})
        store.put(("b",), "key", {"n": 1})
        store.delete(("a",), "key")
        assert store.list_namespaces() == [("b",)]

    def test_reading_makes_no_namespace(self, store: BaseStore) -> None:
        assert store.get(("a",), "key") is None
        assert store.search(("b",)) == []
        assert store.list_namespaces() == []


def got(store: BaseStore, namespace: tuple[str, ...], key: str) -> dict[str, Any]:
    """The value of an item that must be there."""
    item = store.get(namespace, key)
    assert item is not None
    return item.value


def keys(store: BaseStore, namespace: tuple[str, ...], **options: Any) -> list[str]:
    """The keys of the items that a search finds, sorted."""
    return sorted(item.key for item in store.search(namespace, **{"limit": 100, **options}))
