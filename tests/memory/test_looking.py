from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memagent import Memory
from memagent.errors import InvalidInput, StoreCorrupt, UnknownMemory, UnknownUser
from memagent.records import Granularity
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder(32)
START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        yield memory


def test_get_gives_one_memory_of_any_granularity(memory: Memory) -> None:
    memory.add("I adopted a beagle called Rex.", user_id="ann", session_id="s")
    memory.close_session("s", user_id="ann")
    for granularity in ("turn", "session", "summary", "keywords"):
        (listed,) = memory.get_all(user_id="ann", granularity=granularity)["results"]
        assert memory.get(listed["id"]) == memory.get(listed["id"], user_id="ann") == listed
        assert "score" not in listed


@pytest.mark.parametrize("verb", ["get", "history", "delete", "update"])
def test_an_id_that_names_no_memory_is_unknown(memory: Memory, verb: str) -> None:
    added = memory.add("a", user_id="ann")["results"][0]["id"]
    owner, _, ulid = added.rpartition("-")

    def call(memory_id: Any, **options: Any) -> Any:
        return getattr(memory, verb)(memory_id, *(["x"] if verb == "update" else []), **options)

    wrong = [
        "",
        "x",
        "-",
        "x-y",
        f"{owner}-",
        f"-{ulid}",
        ulid,
        f"{owner}-{ulid}x",
        added + "\ud800",
        f"{owner}-é",
        "../../x-y",
    ]
    for memory_id in [*wrong, f"{'0' * 64}-{ulid}", f"{'../' * 20}-{ulid}"]:
        with pytest.raises(UnknownMemory) as caught:
            call(memory_id)
        str(caught.value).encode()
    for no_text in (None, 3, b"x"):
        with pytest.raises(InvalidInput):
            call(no_text)
    memory.add("b", user_id="bob")
    for other in ("bob", "nobody"):
        with pytest.raises(UnknownMemory):
            call(added, user_id=other)
    with pytest.raises(InvalidInput):
        call(added, user_id="")
    assert memory.get(added)["memory"] == "a"


def test_get_all_lists_the_first_and_counts_all(memory: Memory) -> None:
    memory.add([f"note {number}" for number in range(150)], user_id="ann")
    reply = memory.get_all(user_id="ann")
    assert set(reply) == {"results", "total"}
    assert [item["memory"] for item in reply["results"]] == [f"note {number}" for number in range(100)]
    assert reply["total"] == 150
    assert len(memory.get_all(user_id="ann", top_k=None)["results"]) == 150
    assert len(memory.get_all(user_id="ann", top_k=3)["results"]) == 3
    for wrong in (0, -1, 1.5, "3"):
        with pytest.raises(InvalidInput):
            memory.get_all(user_id="ann", top_k=wrong)  # type: ignore[arg-type]


def test_get_all_can_look_back(memory: Memory) -> None:
    for day in range(4):
        memory.add(f"day {day}", user_id="ann", timestamp=START + timedelta(days=day))
    reply = memory.get_all(user_id="ann", as_of=START + timedelta(days=1))
    assert ([item["memory"] for item in reply["results"]], reply["total"]) == (["day 0", "day 1"], 2)


def test_history_tells_everything_that_happened_oldest_first(memory: Memory) -> None:
    added = memory.add("I live in Porto.", user_id="ann")["results"][0]["id"]
    memory.update(added, "I live in Lisbon.")
    memory.update(added, metadata={"sure": True})
    entries = memory.history(added, user_id="ann")
    assert [set(entry) for entry in entries] == [
        {"memory_id", "event", "old_memory", "new_memory", "at", "is_deleted"}
    ] * 3
    assert [(entry["event"], entry["old_memory"], entry["new_memory"]) for entry in entries] == [
        ("ADD", None, "I live in Porto."),
        ("UPDATE", "I live in Porto.", "I live in Lisbon."),
        ("UPDATE", "I live in Lisbon.", "I live in Lisbon."),
    ]
    times = [datetime.fromisoformat(entry["at"]) for entry in entries]
    assert times == sorted(times)
    assert {entry["memory_id"] for entry in entries} == {added}


def test_the_history_of_a_deleted_memory_has_no_texts(memory: Memory) -> None:
    added = memory.add("I live in Porto.", user_id="ann")["results"][0]["id"]
    memory.update(added, "I live in Lisbon.")
    memory.delete(added)
    entries = memory.history(added)
    assert [(entry["event"], entry["is_deleted"]) for entry in entries] == [
        ("ADD", False),
        ("UPDATE", False),
        ("DELETE", True),
    ]
    assert all(entry["old_memory"] is entry["new_memory"] is None for entry in entries)
    with pytest.raises(UnknownMemory):
        memory.get(added)


def test_stats_count_what_is_there(memory: Memory) -> None:
    assert memory.stats() == {"users": 0, "open_users": 0}
    memory.add([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], user_id="ann", session_id="s")
    memory.add("c", user_id="ann", session_id="s")
    assert memory.stats(user_id="ann") == {
        "user_id": "ann",
        "units": 3,
        "session_units": 1,
        "turn_units": 2,
        "summary_units": 0,
        "keywords_units": 0,
        "combination_units": 0,
        "fact_units": 0,
        "document_units": 0,
        "sessions": 1,
        "messages": 3,
        "encoder": "hashing/32",
    }
    memory.add("d", user_id="bob")
    assert memory.stats() == {"users": 2, "open_users": 2}
    with pytest.raises(UnknownUser):
        memory.stats(user_id="eve")


def test_users_are_sorted(memory: Memory) -> None:
    for name in ("zoe", "ann", "Éva", "../x", "nul\0inside"):
        memory.add("a", user_id=name)
    assert memory.users() == sorted(["zoe", "ann", "Éva", "../x", "nul\0inside"])


def test_looking_writes_nothing(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
        with pytest.raises(UnknownUser):
            memory.search("a", user_id="ann")
        assert memory.users() == []
        assert memory.verify() == {"ok": True, "users": 0, "problems": {}}
    assert list(tmp_path.iterdir()) == []
    with Memory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
        added = memory.add("a", user_id="ann")["results"][0]["id"]
    file = next(tmp_path.rglob("*.db"))
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    with Memory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
        memory.search("a", user_id="ann")
        memory.context("a", user_id="ann")
        memory.get(added)
        memory.get_all(user_id="ann", filters={"a": "*"})
        memory.history(added)
        memory.stats(user_id="ann")
        memory.verify()
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


# verify


def test_verify_reports_a_changed_row_and_a_foreign_file(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        memory.add("I keep bees.", user_id="ann")
        memory.add("I keep hens.", user_id="bob")
        (tmp_path / "users" / "00").mkdir(exist_ok=True)
        (tmp_path / "users" / "00" / f"00{'1' * 62}.db").write_bytes(b"not a database at all" * 500)
        assert memory.verify(user_id="ann") == {"ok": True, "users": 1, "problems": {}}
    damage(tmp_path, "ann", "update units set text = 'I keep cats.' where text = 'I keep bees.'")
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        report = memory.verify()
        assert (report["ok"], report["users"]) == (False, 3)
        assert set(report["problems"]) == {"ann", f"file 00{'1' * 62}"}
        assert "checksum" in report["problems"]["ann"][0]
        assert memory.verify(user_id="bob")["ok"]
        assert memory.verify(user_id="ann")["problems"] == {"ann": report["problems"]["ann"]}
        with pytest.raises(UnknownUser):
            memory.verify(user_id="eve")


def test_verify_compares_the_open_indexes_with_the_file(memory: Memory) -> None:
    memory.add("I keep bees.", user_id="ann")
    memory.search("bees", user_id="ann")
    with memory._core.banks.lease("ann") as bank:
        bank.shelves[Granularity.TURN].columns().event_at[0] = 5
        bank.shelves[Granularity.SESSION].index.matrix[0] *= -1
    assert memory.verify(user_id="ann")["problems"] == {
        "ann": [
            "the open vectors of session units differ from the file",
            "the open index of turn units differs from the file",
        ]
    }


def test_a_damaged_vector_is_an_error_and_not_a_result(tmp_path: Path) -> None:
    for damaged in ("zeroblob(128)", "x'00'", "null"):
        with Memory(tmp_path / damaged, encoder=ENCODER, background=False) as memory:
            memory.add("I keep bees.", user_id="ann")
        how = "delete from vectors" if damaged == "null" else f"update vectors set data = {damaged}"
        damage(tmp_path / damaged, "ann", how)
        with Memory(tmp_path / damaged, encoder=ENCODER, background=False) as memory:
            with pytest.raises(StoreCorrupt):
                memory.search("bees", user_id="ann")
            assert not memory.verify(user_id="ann")["ok"]


def damage(root: Path, user_id: str, statement: str) -> None:
    from memagent.stores.sqlite_user import owner_of

    connection = sqlite3.connect(next(root.rglob(f"{owner_of(user_id)}.db")))
    with connection:
        connection.execute(statement)
    connection.close()
