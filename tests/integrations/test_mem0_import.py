"""Memories that come from mem0, and items that come from a LangGraph store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import SqliteStore
from typer.testing import CliRunner

import memagent.encoders
from memagent import AsyncMemory, Memory
from memagent.cli import app
from memagent.errors import DataError, InvalidInput, MemagentError
from memagent.integrations import (
    MemagentStore,
    acopy_langgraph_store,
    aimport_mem0,
    copy_langgraph_store,
    import_mem0,
)
from memagent.testing import HashingEncoder


def record(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A memory as mem0 2.2's get_all() shows it."""
    made = {
        "id": f"0b1f6a52-0000-4000-8000-{number:012}",
        "memory": f"Likes tea number {number}",
        "hash": "0" * 32,
        "metadata": {"category": "drinks"},
        "created_at": f"2025-03-{number:02}T10:00:00.123456+00:00",
        "updated_at": f"2025-03-{number:02}T10:00:00.123456+00:00",
        "user_id": "ann",
    }
    return {name: value for name, value in (made | fields).items() if value is not None}


def written(folder: Path, content: Any) -> Path:
    file = folder / "mem0.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        yield memory


def test_an_export_of_mem0_is_stored_as_notes_said_when_mem0_made_them(memory: Memory, tmp_path: Path) -> None:
    records = [
        record(2, role="assistant", actor_id="bot", agent_id="guide", run_id="r1"),
        record(1),
        record(3, user_id="bob"),
    ]
    done = import_mem0(memory, written(tmp_path, {"results": records}))
    assert done == {"stored": 3, "known": 0, "users": 2}
    first, second = memory.get_all(user_id="ann")["results"]
    assert (first["memory"], first["event_at"]) == ("Likes tea number 1", "2025-03-01T10:00:00.123456+00:00")
    assert first["session_id"] == "mem0-2025-03-01"
    assert first["metadata"] == {"category": "drinks", "mem0_id": records[1]["id"]}
    assert (second["session_id"], second["agent_id"]) == ("r1", "guide")
    assert second["metadata"]["role"] == "assistant"
    assert second["metadata"]["actor_id"] == "bot"
    assert memory.search("tea number 3", user_id="bob", top_k=1)["results"][0]["memory"] == "Likes tea number 3"


@pytest.mark.parametrize("wrap", [lambda r: r, lambda r: {"results": r}, lambda r: {"memories": r}])
def test_lists_and_replies_are_both_exports(wrap: Any, memory: Memory, tmp_path: Path) -> None:
    assert import_mem0(memory, written(tmp_path, wrap([record()])))["stored"] == 1


def test_an_import_can_be_repeated_and_goes_on_where_it_was_cut_off(memory: Memory, tmp_path: Path) -> None:
    import_mem0(memory, written(tmp_path, [record(1)]))
    done = import_mem0(memory, written(tmp_path, [record(1), record(2)]))
    assert done == {"stored": 1, "known": 1, "users": 1}
    assert memory.get_all(user_id="ann")["total"] == 2


def test_an_import_tells_how_far_it_is(memory: Memory, tmp_path: Path) -> None:
    many = [record(1, id=f"m{number}", memory=f"Fact {number}") for number in range(230)]
    told: list[tuple[int, int]] = []
    import_mem0(memory, written(tmp_path, many), progress=lambda done, total: told.append((done, total)))
    assert told == [(100, 230), (200, 230), (230, 230)]


def test_memories_that_name_no_user_get_the_one_that_is_given(memory: Memory, tmp_path: Path) -> None:
    file = written(tmp_path, [record(1, user_id=None, agent_id="a"), record(2)])
    with pytest.raises(DataError, match="record 1 names no user"):
        import_mem0(memory, file)
    import_mem0(memory, file, user_id="carl")
    assert memory.users() == ["ann", "carl"]


def test_times_without_a_zone_are_utc_only_if_one_says_so(memory: Memory, tmp_path: Path) -> None:
    file = written(tmp_path, [record(1, created_at="2025-03-01T10:00:00"), record(2)])
    with pytest.raises(DataError, match=r"record 1: .*no time zone .*assume_utc"):
        import_mem0(memory, file)
    import_mem0(memory, file, assume_utc=True)
    assert memory.get_all(user_id="ann")["results"][0]["event_at"] == "2025-03-01T10:00:00+00:00"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "mem0.json"),
        ({"results": 3}, "no list of memories"),
        ({"next": "page-2", "results": []}, "one page of several"),
        ([3], "record 1: not an object"),
        ([record(memory="")], "'memory'"),
        ([record(memory=3)], "'memory'"),
        ([record(id=3)], "'id'"),
        ([record(user_id=3)], "record 1: a user id is a text"),
        ([record(metadata=[1])], "'metadata'"),
        ([record(created_at="yesterday")], "not an ISO 8601 time"),
        ([record(created_at=3)], "created_at is a int"),
        ([record(memory="\ud800")], "lone surrogate"),
        ([record(memory="x" * (1 << 21))], "more than the limit"),
        ([record(), record()], "comes twice"),
    ],
)
def test_a_file_that_is_no_export_is_refused_before_anything_is_stored(
    content: Any, words: str, memory: Memory, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=words):
        import_mem0(memory, written(tmp_path, content))
    assert memory.users() == []


def test_a_file_that_is_not_there_is_refused(memory: Memory, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        import_mem0(memory, tmp_path / "none.json")
    with pytest.raises(MemagentError):
        import_mem0(memory, tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["id", "memory", "user_id", "agent_id", "run_id", "metadata", "created_at", "role"])


@settings(max_examples=60)
@given(st.dictionaries(FIELDS, JSON, max_size=4))
def test_whatever_a_record_holds_it_is_stored_or_refused(fields: dict[str, Any]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder, Memory(":memory:", encoder=HashingEncoder()) as memory:
        try:
            done = import_mem0(memory, written(Path(folder), [record() | fields]))
        except DataError:
            assert memory.users() == []
        else:
            assert done["stored"] == 1


def test_an_export_is_awaited(tmp_path: Path) -> None:
    async def work() -> int:
        async with AsyncMemory(":memory:", encoder=HashingEncoder()) as memory:
            await aimport_mem0(memory, written(tmp_path, [record()]))
            return (await memory.get_all(user_id="ann"))["total"]

    assert asyncio.run(work()) == 1


# LangGraph stores


def filled(store: Any) -> Any:
    for number in range(230):
        store.put(("ann", "facts"), f"k{number}", {"text": f"Fact {number}", "n": number})
    store.put(("ann", "facts", "deep"), "k", {"text": "deep"})
    store.put(("anna", "facts"), "k", {"text": "another user"})
    return store


def test_the_items_of_a_langgraph_store_are_copied() -> None:
    source = filled(InMemoryStore())
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        target = MemagentStore(memory)
        assert copy_langgraph_store(source, target) == {"items": 232, "namespaces": 3}
        item = target.get(("ann", "facts"), "k7")
        assert item is not None
        assert item.value == {"text": "Fact 7", "n": 7}
        assert copy_langgraph_store(source, target)["items"] == 232
        assert len(target.search(("ann", "facts"), limit=1000)) == 231


def test_a_part_of_a_store_is_copied_and_no_namesake() -> None:
    source, target = filled(InMemoryStore()), InMemoryStore()
    assert copy_langgraph_store(source, target, namespace=("ann",)) == {"items": 231, "namespaces": 2}
    assert target.search(("anna",)) == []
    assert copy_langgraph_store(source, target, namespace=("ann", "none")) == {"items": 0, "namespaces": 0}
    with pytest.raises(InvalidInput, match="pass a tuple"):
        copy_langgraph_store(source, target, namespace="ann")


def test_a_store_is_copied_in_an_event_loop() -> None:
    target = InMemoryStore()
    assert asyncio.run(acopy_langgraph_store(filled(InMemoryStore()), target))["items"] == 232


# the command line


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setattr(memagent.encoders, "load_encoder", lambda *_, **__: HashingEncoder())
    monkeypatch.setenv("MEMAGENT_STORE", str(tmp_path / "store"))
    return lambda *arguments: CliRunner().invoke(app, ["import-from", *map(str, arguments)], catch_exceptions=False)


def test_a_mem0_export_is_imported_on_the_command_line(invoke: Any, tmp_path: Path) -> None:
    file = written(tmp_path, {"results": [record(1), record(2, created_at="2025-03-02T10:00:00")]})
    refused = invoke("mem0", file)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--assume-utc" in refused.stderr
    assert "2 memories stored for 1 user" in invoke("mem0", file, "--assume-utc").stderr
    assert json.loads(invoke("mem0", file, "--assume-utc", "--json").stdout) == {"stored": 0, "known": 2, "users": 1}
    with Memory(tmp_path / "store", encoder=HashingEncoder()) as memory:
        assert memory.get_all(user_id="ann")["total"] == 2


def test_a_langgraph_sqlite_store_is_copied_on_the_command_line(invoke: Any, tmp_path: Path) -> None:
    file = tmp_path / "langgraph.db"
    with SqliteStore.from_conn_string(str(file)) as source:
        source.setup()
        source.put(("memories", "ann"), "home", {"text": "Lisbon"})
    before = file.read_bytes()
    assert "1 item of 1 namespace copied" in invoke("langgraph", file, "--user-at", "1").stderr
    assert file.read_bytes() == before
    with Memory(tmp_path / "store", encoder=HashingEncoder()) as memory:
        item = MemagentStore(memory, user_at=1).get(("memories", "ann"), "home")
        assert item is not None
        assert item.value == {"text": "Lisbon"}
        assert memory.users() == ["ann"]


def test_what_is_no_langgraph_store_is_refused(invoke: Any, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, but long enough to be looked at " * 30)
    (tmp_path / "empty.db").touch()
    for name, words in (
        ("none.db", "there is no file"),
        ("text.db", "is no LangGraph store"),
        ("empty.db", "is no LangGraph store"),
    ):
        done = invoke("langgraph", tmp_path / name)
        assert (done.exit_code, done.stdout) == (2, "")
        assert words in " ".join(done.stderr.split())
    assert not (tmp_path / "none.db").exists()
