"""Any namespaces, keys and values: the store does what a dictionary of tuples would."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.base import InvalidNamespaceError, PutOp

from memagent.integrations import MemagentStore
from memagent.memory import document_heads
from memagent.testing import HashingEncoder
from memagent.testing.langgraph_store_items import TRICKY

ENCODER = HashingEncoder(16)

LABELS = sorted({label for namespace in TRICKY for label in namespace})
labels = st.sampled_from(LABELS) | st.text(
    st.characters(codec="utf-8", exclude_characters=".\0"), min_size=1, max_size=4
)
namespaces = st.lists(labels, min_size=1, max_size=3).map(tuple).filter(lambda ns: ns[0] != "langgraph")
names = st.sampled_from(["a", "A", "a.b", "", " ", "é", "e\u0301", "%"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
values = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=4), json_values, max_size=4)
writes = st.lists(st.tuples(namespaces, names, st.integers(0, 9) | st.none()), max_size=25)
any_texts = st.text(st.sampled_from("a.\0é\ud800\udfff") | st.characters(), max_size=3)


@pytest.fixture(scope="module")
def keeping() -> Iterator[MemagentStore]:
    with MemagentStore(":memory:", encoder=ENCODER, index=False) as store:
        yield store


@settings(max_examples=60)
@given(writes=writes, data=st.data())
def test_the_store_does_what_a_dictionary_would(writes: list[tuple[Any, str, int | None]], data: st.DataObject) -> None:
    expected: dict[tuple[tuple[str, ...], str], int] = {}
    with MemagentStore(":memory:", encoder=ENCODER, index=False) as store:
        while writes:
            size = data.draw(st.integers(1, len(writes)))
            batch, writes = writes[:size], writes[size:]
            store.batch([PutOp(ns, key, None if n is None else {"n": n}) for ns, key, n in batch])
            for namespace, key, number in batch:
                expected.pop((namespace, key), None)
                if number is not None:
                    expected[namespace, key] = number
        assert {(i.namespace, i.key): i.value["n"] for i in store.search((), limit=1000)} == expected
        assert store.list_namespaces(limit=1000) == sorted({namespace for namespace, _ in expected})
        prefix = data.draw(namespaces | st.sampled_from([namespace[:1] for namespace, _ in expected] or [("a",)]))
        below = {place: n for place, n in expected.items() if place[0][: len(prefix)] == prefix}
        assert {(i.namespace, i.key): i.value["n"] for i in store.search(prefix, limit=1000)} == below
        least = data.draw(st.integers(0, 9))
        passing = {place for place, n in below.items() if n >= least}
        found = store.search(prefix, filter={"n": {"$gte": least}}, limit=1000)
        assert {(item.namespace, item.key) for item in found} == passing
        inside = data.draw(namespaces)
        assert store.list_namespaces(prefix=inside, limit=1000) == sorted(
            {
                namespace
                for namespace, _ in expected
                if len(namespace) >= len(inside) and all(a in ("*", b) for a, b in zip(inside, namespace, strict=False))
            }
        )
        for (namespace, key), number in expected.items():
            item = store.get(namespace, key)
            assert item is not None
            assert item.value == {"n": number}


words = st.sampled_from(["bread", "olives", "rain", ""])
changes = st.tuples(
    st.sampled_from("abc"),
    st.none() | st.fixed_dictionaries({"one": words, "two": words}),
    st.sampled_from([None, False, ["one"], ["one", "two"]]),
)


@settings(max_examples=30)
@given(batches=st.lists(st.lists(changes, min_size=1, max_size=3), min_size=2, max_size=5))
def test_what_is_remembered_of_items_between_searches_stays_true(batches: list[list[Any]]) -> None:
    with MemagentStore(":memory:", encoder=ENCODER) as store:
        for batch in batches:
            store.batch([PutOp(("ann", key), key, value, index) for key, value, index in batch])
            found = seen(store)
            known = dict(document_heads._KNOWN)
            document_heads._KNOWN.clear()  # the next search reads everything
            assert seen(store) == found
            document_heads._KNOWN.update(known)


def seen(store: MemagentStore) -> list[Any]:
    found = [
        *store.search(("ann",), query="bread", limit=2),
        *store.search(("ann",), query="olives", filter={"one": "rain"}),
        *store.search(("ann",), limit=100),
    ]
    return [(item.key, item.value, item.score) for item in found] + store.list_namespaces(limit=100)


@settings(max_examples=80)
@given(value=values)
def test_any_json_comes_back_as_it_was(keeping: MemagentStore, value: dict[str, Any]) -> None:
    keeping.put(("ann",), "key", value)
    item = keeping.get(("ann",), "key")
    assert item is not None
    assert repr(item.value) == repr(value)


@settings(max_examples=60)
@given(namespace=st.lists(any_texts, max_size=3).map(tuple), key=any_texts)
def test_any_texts_are_kept_or_refused(keeping: MemagentStore, namespace: tuple[str, ...], key: str) -> None:
    try:
        keeping.batch([PutOp(namespace, key, {"n": 1})])
    except InvalidNamespaceError:
        assert (
            not namespace or any(not label or "." in label or "\0" in label for label in namespace) or _odd(namespace)
        )
    except ValueError:
        assert _odd((key,))
    else:
        assert [item.key for item in keeping.search(namespace, limit=1000) if item.namespace == namespace].count(
            key
        ) == 1
        keeping.delete(namespace, key)


def _odd(texts: tuple[str, ...]) -> bool:
    return any("\ud800" <= character <= "\udfff" for text in texts for character in text)


words = st.sampled_from(["bread", "olives", "cat", "rain", "harbour"])
sentences = st.lists(words, min_size=1, max_size=4).map(" ".join)
indexed = st.lists(
    st.tuples(st.integers(0, 5).map(str), st.lists(sentences, max_size=3), st.booleans()), min_size=1, max_size=15
)


@settings(max_examples=60)
@given(writes=indexed, query=sentences, limit=st.integers(1, 6), offset=st.integers(0, 3))
def test_a_search_ranks_items_by_their_best_text(
    writes: list[tuple[str, list[str], bool]], query: str, limit: int, offset: int
) -> None:
    expected: dict[str, list[str]] = {}
    with MemagentStore(":memory:", encoder=ENCODER) as store:
        for key, texts, is_indexed in writes:
            store.put(("ann",), key, {"t": texts}, index=["t[*]"] if is_indexed else False)
            expected[key] = texts if is_indexed else []
            if len(expected) % 3 == 0:
                store.search(("ann",), query=query)  # indexes are brought up to date in several steps
        found = store.search(("ann",), query=query, limit=limit, offset=offset)
        (asked,) = ENCODER.encode_queries([query])
        best = sorted(
            (
                max(float(vector @ asked) for vector in ENCODER.encode_documents(texts))
                for texts in expected.values()
                if texts
            ),
            reverse=True,
        )
        assert [item.score for item in found] == pytest.approx(best[offset : offset + limit], abs=1e-5)
        assert len({item.key for item in found}) == len(found)
        assert store.memory.verify()["ok"]  # type: ignore[index]
