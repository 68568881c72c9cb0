"""What a LangGraph store must find: filters, pages, and searches by content. Part of the contract."""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from memagent.testing.langgraph_store_items import StoreItemsContract, keys

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore

PEOPLE: dict[str, dict[str, Any]] = {
    "ann": {"age": 30, "city": "Lisbon", "member": True, "joined": "2024-03-01", "home": {"floor": 2, "lift": False}},
    "bob": {"age": 41.5, "city": "Porto", "member": False, "joined": "2025-01-15", "tags": ["x", "y"]},
    "cem": {"age": 1, "city": "lisbon", "member": None, "joined": "2023-12-31", "a b": 1, "c.d": 2},
    "dee": {"city": "Faro"},
}

FILTERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "none": ({}, ["ann", "bob", "cem", "dee"]),
    "equal": ({"city": "Lisbon"}, ["ann"]),
    "several": ({"city": "Lisbon", "age": 31}, []),
    "number": ({"age": 30.0}, ["ann"]),
    "list": ({"tags": ["x", "y"]}, ["bob"]),
    "$eq": ({"age": {"$eq": 41.5}}, ["bob"]),
    "$ne": ({"city": {"$ne": "Faro"}}, ["ann", "bob", "cem"]),
}
"""Filters by name, and the keys of PEOPLE that pass."""

COMPARISONS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "$gt": ({"age": {"$gt": 30}}, ["bob"]),
    "$lt": ({"age": {"$lt": 2}}, ["cem"]),
    "range": ({"age": {"$gte": 1, "$lte": 30}}, ["ann", "cem"]),
}


class StoreSearchingContract(StoreItemsContract):
    """Tests of search; the store must find items by their field ``text``."""

    @pytest.fixture
    def people(self, store: BaseStore) -> BaseStore:
        """The store with PEOPLE in it."""
        for key, value in PEOPLE.items():
            store.put(("people",), key, value)
        return store

    # filters

    @pytest.mark.parametrize(("condition", "expected"), FILTERS.values(), ids=FILTERS)
    def test_filters_choose_items(self, people: BaseStore, condition: dict[str, Any], expected: list[str]) -> None:
        assert keys(people, ("people",), filter=condition) == expected

    @pytest.mark.parametrize(("condition", "expected"), COMPARISONS.values(), ids=COMPARISONS)
    def test_comparisons_choose_items(self, people: BaseStore, condition: dict[str, Any], expected: list[str]) -> None:
        people.delete(("people",), "dee")  # she has no age
        assert keys(people, ("people",), filter=condition) == expected

    def test_a_comparison_with_a_missing_field_does_not_hold(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"age": {"$gt": 0}}) == ["ann", "bob", "cem"]

    def test_texts_are_compared_by_their_order(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"joined": {"$gte": "2024-01-01"}}) == ["ann", "bob"]

    def test_a_number_and_a_text_have_no_order(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"city": {"$gt": 0}}) == []
        assert keys(people, ("people",), filter={"age": {"$lt": "z"}}) == []

    def test_a_missing_field_is_none(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"member": None}) == ["cem", "dee"]

    def test_a_missing_field_is_not_equal_to_anything_else(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"age": {"$ne": 30}}) == ["bob", "cem", "dee"]

    def test_a_flag_is_not_a_number(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"member": True}) == ["ann"]
        assert keys(people, ("people",), filter={"member": 1}) == []
        assert keys(people, ("people",), filter={"age": True}) == []

    def test_a_field_of_a_field_can_be_asked_for(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"home": {"floor": 2}}) == ["ann"]
        assert keys(people, ("people",), filter={"home": {"floor": {"$lt": 2}}}) == []

    def test_fields_may_have_any_name(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"a b": 1}) == ["cem"]

    def test_a_period_in_a_name_is_a_period(self, people: BaseStore) -> None:
        assert keys(people, ("people",), filter={"c.d": 2}) == ["cem"]
        assert keys(people, ("people",), filter={"home.floor": 2}) == []

    def test_an_unknown_operator_is_refused(self, people: BaseStore) -> None:
        with pytest.raises(ValueError, match="near"):
            people.search(("people",), filter={"age": {"$near": 30}})

    def test_an_unknown_operator_is_refused_where_there_is_nothing_to_filter(self, store: BaseStore) -> None:
        with pytest.raises(ValueError, match="near"):
            store.search(("people",), filter={"age": {"$near": 30}})

    # pages

    def test_without_a_query_the_last_written_comes_first(self, store: BaseStore) -> None:
        for name in "abc":
            store.put(("n",), name, {"n": 1})
            self.a_moment(store)
        store.put(("n",), "a", {"n": 2})
        assert [item.key for item in store.search(("n",))] == ["a", "c", "b"]
        assert [item.score for item in store.search(("n",))] == [None, None, None]

    @pytest.mark.parametrize("options", [{}, {"filter": {"even": True}}], ids=["all", "filtered"])
    def test_pages_hold_every_item_once(self, store: BaseStore, options: dict[str, Any]) -> None:
        for number in range(9):
            store.put(("n", str(number % 2)), str(number), {"even": number % 2 == 0})
        found = [i.key for offset in range(0, 12, 4) for i in store.search(("n",), limit=4, offset=offset, **options)]
        assert sorted(found) == [str(n) for n in range(9) if not options or n % 2 == 0]

    def test_ten_items_come_if_nothing_is_said(self, store: BaseStore) -> None:
        for number in range(12):
            store.put(("n",), str(number), {"n": number})
        assert len(store.search(("n",))) == 10
        assert store.search(("n",), limit=0) == []

    # by content

    def test_the_item_that_says_what_is_asked_comes_first(self, store: BaseStore) -> None:
        store.put(("n",), "pets", {"text": "my cat and my dog"})
        store.put(("n",), "food", {"text": "bread with olives"})
        store.put(("m",), "else", {"text": "olives and bread"})
        found = store.search(("n",), query="bread with olives")
        assert [item.key for item in found] == ["food", "pets"]
        scores = [item.score for item in found]
        assert all(isinstance(score, float) for score in scores)
        assert scores[0] == pytest.approx(1.0, abs=1e-3)
        assert scores == sorted(scores, reverse=True)  # type: ignore[type-var]

    def test_a_filter_leaves_as_many_as_were_asked_for(self, store: BaseStore) -> None:
        for number in range(30):
            store.put(("n",), str(number), {"text": "bread with olives", "rare": False})
        for number in range(3):
            store.put(("n",), f"r{number}", {"text": f"other words {number}", "rare": True})
        assert keys(store, ("n",), query="bread with olives", filter={"rare": True}, limit=3) == ["r0", "r1", "r2"]

    def test_without_words_a_query_lists(self, store: BaseStore) -> None:
        store.put(("n",), "a", {"text": "bread"})
        store.put(("n",), "b", {"text": "olives"}, index=False)
        assert keys(store, ("n",), query="") == ["a", "b"]

    def test_an_item_is_found_by_the_paths_it_was_put_with(self, store: BaseStore) -> None:
        value = {"text": "bread", "notes": [{"say": "my cat"}, {"say": "a red bicycle"}], "other": "harbour"}
        store.put(("n",), "key", value, index=["notes[*].say"])
        assert best(store, "a red bicycle") == pytest.approx(1.0, abs=1e-3)
        assert best(store, "my cat") == pytest.approx(1.0, abs=1e-3)
        assert best(store, "bread") < 0.9
        assert best(store, "harbour") < 0.9

    def test_an_item_of_several_texts_comes_once_where_its_best_text_is(self, store: BaseStore) -> None:
        store.put(("n",), "many", {"t": ["bread with olives", "my cat", "rain"]}, index=["t[*]"])
        store.put(("n",), "one", {"text": "my cat sleeps"})
        found = store.search(("n",), query="my cat")
        assert [item.key for item in found] == ["many", "one"]
        assert found[0].score == pytest.approx(1.0, abs=1e-3)

    def test_a_limit_counts_items_not_their_texts(self, store: BaseStore) -> None:
        store.put(("n",), "many", {"t": [f"my cat {word}" for word in "abcdefgh"]}, index=["t[*]"])
        for number in range(3):
            store.put(("n",), str(number), {"text": f"rain number {number}"})
        assert len(store.search(("n",), query="my cat", limit=2)) == 2

    def test_pages_of_a_query_hold_every_item_once(self, store: BaseStore) -> None:
        for number in range(9):
            store.put(("n",), str(number), {"text": f"bread number {number}"})
        found = [
            i.key for offset in range(0, 12, 2) for i in store.search(("n",), query="bread", limit=2, offset=offset)
        ]
        assert sorted(found) == [str(number) for number in range(9)]

    def test_an_item_that_is_not_indexed_answers_no_query(self, store: BaseStore) -> None:
        store.put(("n",), "shown", {"text": "bread"})
        store.put(("n",), "not shown", {"text": "bread"}, index=False)
        assert keys(store, ("n",), query="bread") == ["shown"]
        assert keys(store, ("n",)) == ["not shown", "shown"]

    def test_an_item_is_not_found_by_what_it_said_before(self, store: BaseStore) -> None:
        store.put(("n",), "key", {"t": ["my cat", "bread with olives"]}, index=["t[*]"])
        store.put(("n",), "key", {"t": ["rain"]}, index=["t[*]"])
        assert best(store, "bread with olives") < 0.9
        assert best(store, "rain") == pytest.approx(1.0, abs=1e-3)

    def test_an_item_put_again_without_an_index_is_not_found_any_more(self, store: BaseStore) -> None:
        store.put(("n",), "other", {"text": "rain"})
        store.put(("n",), "key", {"text": "bread with olives"})
        store.put(("n",), "key", {"text": "bread with olives"}, index=False)
        assert best(store, "bread with olives") < 0.9

    def test_a_deleted_item_leaves_nothing_to_be_found_by(self, store: BaseStore) -> None:
        store.put(("n",), "other", {"text": "rain"})
        store.put(("n",), "key", {"text": "bread with olives"})
        store.delete(("n",), "key")
        store.put(("n",), "key", {"secret": "nothing of it"}, index=False)
        assert best(store, "bread with olives") < 0.9


def best(store: BaseStore, query: str) -> float:
    """The best score of a search in ``("n",)``; -1.0 if nothing is found with a score."""
    return max((item.score for item in store.search(("n",), query=query) if item.score is not None), default=-1.0)
