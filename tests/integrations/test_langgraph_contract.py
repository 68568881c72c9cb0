"""The contract of LangGraph stores on ours and on two of LangGraph's own, and where those two differ."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Self

import langgraph.store.memory
import numpy as np
import pytest
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import SqliteStore

from memagent.integrations import MemagentStore
from memagent.memory import AsyncMemory, document_reading, document_writing
from memagent.records import utc_now
from memagent.testing import HashingEncoder
from memagent.testing.langgraph_store_contract import LangGraphStoreContract, embedding

ENCODER = HashingEncoder()
INDEX: dict[str, Any] = {"dims": ENCODER.dim, "embed": embedding(ENCODER), "fields": ["text"]}


class Later:
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


class Ticking(datetime):
    """A clock that no two readings of are equal."""

    latest: ClassVar = datetime.min.replace(tzinfo=UTC)

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        """Now, or a microsecond after the reading before."""
        Ticking.latest = max(datetime.now(UTC), Ticking.latest + timedelta(microseconds=1))
        return cls.fromtimestamp(0, tz) + (Ticking.latest - datetime.fromtimestamp(0, UTC))


class Ours(LangGraphStoreContract):
    @pytest.fixture(autouse=True)
    def later(self, monkeypatch: pytest.MonkeyPatch) -> Later:
        self.clock = Later()
        for module in (document_reading, document_writing):
            monkeypatch.setattr(module, "utc_now", self.clock)
        return self.clock

    def let_pass(self, store: BaseStore, minutes: float) -> None:
        self.clock.ahead += timedelta(minutes=minutes)


class TestMemagentStore(Ours):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[BaseStore]:
        with MemagentStore(tmp_path, encoder=ENCODER, index={"fields": ["text"]}) as store:
            yield store
            assert store.memory.verify() == {"ok": True, "users": len(store.memory.users()), "problems": {}}  # type: ignore[arg-type]


class TestMemagentStoreOverAnAsyncMemory(Ours):
    @pytest.fixture
    def store(self) -> Iterator[BaseStore]:
        memory = AsyncMemory(":memory:", encoder=ENCODER)
        with MemagentStore(memory, index={"fields": ["text"]}) as store:
            yield store
        asyncio.run(memory.close())


class TestInMemoryStore(LangGraphStoreContract):
    differences: ClassVar = {
        "test_the_store_keeps_a_value_of_its_own": "lists and dicts inside a value are shared with the caller",
        "test_a_new_item_was_created_and_updated_at_the_same_time": "the clock is read twice",
        "test_overwriting_keeps_when_an_item_was_created": "`created_at` is that of the last put",
        "test_what_json_cannot_hold_is_refused": "any object is kept",
        "test_a_number_that_is_none_is_refused": "NaN and infinity are kept",
        "test_names_of_fields_that_are_not_texts_are_refused": "names of any type are kept",
        "test_operations_given_to_batch_are_checked_too": "what is given to `batch` is not checked",
        "test_a_text_is_no_namespace": '`"ann"` is taken for a namespace, other than `("ann",)`',
        "test_a_namespace_is_there_as_long_as_it_has_items": "a namespace stays when its last item goes",
        "test_reading_makes_no_namespace": "a `get` makes the namespace",
        "test_a_comparison_with_a_missing_field_does_not_hold": "`$gt` and the like raise TypeError",
        "test_texts_are_compared_by_their_order": "`$gt` and the like take numbers only, and raise ValueError",
        "test_a_number_and_a_text_have_no_order": "`$gt` and the like raise ValueError",
        "test_a_flag_is_not_a_number": "True is 1",
        "test_an_unknown_operator_is_refused_where_there_is_nothing_to_filter": "it is noticed at the first item",
        "test_without_a_query_the_last_written_comes_first": "the first written comes first",
        "test_an_item_that_is_not_indexed_answers_no_query": "it comes last, without a score",
        "test_an_item_is_not_found_by_what_it_said_before": "vectors of former texts stay",
        "test_an_item_put_again_without_an_index_is_not_found_any_more": "its vector stays",
        "test_nothing_is_done_if_an_operation_cannot_be": "values are not checked, so nothing stops the batch",
    }

    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> BaseStore:
        monkeypatch.setattr(langgraph.store.memory, "datetime", Ticking)  # or two readings may happen to be equal
        return InMemoryStore(index=INDEX)  # type: ignore[arg-type]


class Connection(sqlite3.Connection):
    """A connection for SqliteStore where Python was built without loadable extensions: its one function in NumPy."""

    def enable_load_extension(self, enable: bool, /) -> None:
        """There is nothing to load."""

    def load_extension(self, name: str, /, **options: Any) -> None:
        self.create_function("vec_distance_cosine", 2, cosine_distance, deterministic=True)


def cosine_distance(one: bytes, other: bytes) -> float:
    a, b = np.frombuffer(one, "<f4"), np.frombuffer(other, "<f4")
    return float(1.0 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


class TestSqliteStore(LangGraphStoreContract):
    differences: ClassVar = {
        "test_whole_numbers_of_any_size_come_back": "at most 64 bits",
        "test_times_have_a_zone": "times are naive, in UTC, of whole seconds",
        "test_overwriting_keeps_when_an_item_was_created": "`created_at` is that of the last put",
        "test_a_number_that_is_none_is_refused": "they become null",
        "test_a_text_is_no_namespace": '`"ann"` is taken for `("a", "n", "n")`',
        "test_a_number_and_a_text_have_no_order": "a text that begins with no number is 0",
        "test_a_missing_field_is_not_equal_to_anything_else": "`$ne` does not hold for a missing field",
        "test_a_flag_is_not_a_number": "True is 1",
        "test_a_field_of_a_field_can_be_asked_for": "raises ValueError: `a.b` reaches a field of a field",
        "test_fields_may_have_any_name": "raises ValueError: ASCII letters, digits, `_`, `.` and `-` only",
        "test_a_period_in_a_name_is_a_period": "it reaches a field of a field",
        "test_a_limit_counts_items_not_their_texts": "the texts nearest, twice the limit, are all that is looked at",
        "test_pages_of_a_query_hold_every_item_once": "nothing comes from beyond twice the limit",
        "test_an_item_is_not_found_by_what_it_said_before": "vectors of former texts stay",
        "test_an_item_put_again_without_an_index_is_not_found_any_more": "its vector stays",
        "test_a_deleted_item_leaves_nothing_to_be_found_by": "vectors stay, and are those of the next item of that key",
        "test_what_is_no_operation_is_refused": "its result is None",
        "test_an_expired_item_is_gone": "it is there until `sweep_ttl`",
        "test_a_namespace_goes_with_its_last_item": "it is there until `sweep_ttl`",
        "test_the_awaited_calls_do_what_the_others_do": "NotImplementedError: AsyncSqliteStore is another class",
        "test_one_store_serves_several_event_loops": "NotImplementedError; AsyncSqliteStore belongs to one loop",
    }

    @pytest.fixture
    def store(self) -> Iterator[BaseStore]:
        factory = sqlite3.Connection if hasattr(sqlite3.Connection, "enable_load_extension") else Connection
        connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None, factory=factory)
        # SqliteStore reads text_fields where the others read fields.
        index: Any = {**INDEX, "text_fields": ["text"]}
        store = SqliteStore(connection, index=index, ttl={"refresh_on_read": True})
        store.setup()
        yield store
        connection.close()

    def a_moment(self, store: BaseStore) -> None:
        assert isinstance(store, SqliteStore)
        earlier = "datetime(created_at, '-2 seconds'), updated_at = datetime(updated_at, '-2 seconds')"
        store.conn.execute(f"update store set created_at = {earlier}")

    def let_pass(self, store: BaseStore, minutes: float) -> None:
        assert isinstance(store, SqliteStore)
        move = f"-{int(minutes * 60)} seconds"
        store.conn.execute("update store set expires_at = datetime(expires_at, ?)", (move,))


COLUMNS: dict[str, type[LangGraphStoreContract]] = {"InMemoryStore": TestInMemoryStore, "SqliteStore": TestSqliteStore}
PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "langgraph.md"


def told(kind: type[LangGraphStoreContract], name: str) -> str:
    """What a store does where a test says what it should."""
    if kind is TestInMemoryStore and "expiring" in signature(getattr(kind, name)).parameters:
        return "knows no lifetimes: `ttl` raises NotImplementedError"
    return kind.differences.get(name, "the same")


def table() -> list[str]:
    """The choices on which the stores differ, in the order of the contract, as rows of a Markdown table."""
    rows = ["| MemagentStore | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for name in (name for kind in reversed(LangGraphStoreContract.__mro__) for name in vars(kind)):
        if any(name in kind.differences for kind in COLUMNS.values()):
            choice = name.removeprefix("test_").replace("_", " ")
            others = (told(kind, name) for kind in COLUMNS.values())
            rows.append(f"| {choice} | " + " | ".join(others) + " |")
    return rows


def test_the_documentation_says_where_the_stores_differ() -> None:
    assert "\n".join(table()) in PAGE.read_text(encoding="utf-8"), "\n".join(["the table should be:", *table()])


def test_every_difference_is_one_of_a_test() -> None:
    for kind in COLUMNS.values():
        assert {name for name in kind.differences if not hasattr(kind, name)} == set()
