from __future__ import annotations

import errno
import gzip
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memagent import Memory, load_encoder
from memagent.encoders.cache import CachedEncoder
from memagent.errors import (
    DataError,
    DuplicateId,
    InvalidInput,
    InvalidUserId,
    MemagentError,
    StoreUnavailable,
    UnknownUser,
)
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder(32)
START = datetime(2025, 1, 1, tzinfo=UTC)
GRANULARITIES = ("session", "turn", "summary", "keywords")


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        yield memory


def fill(memory: Memory) -> None:
    talk = [
        {
            "role": "user",
            "content": "I adopted a beagle called Rex.\r\nHe is \u2028 afraid.",
            "name": "Ann",
            "id": "m1",
        },
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Lovely!"}, {"type": "image_url", "image_url": "https://e.com/a"}],
        },
    ]
    memory.add(
        talk, user_id="ann", session_id="s", timestamp=START, metadata={"topic": "pets", "n": [1, None]}, agent_id="vet"
    )
    memory.add("A note with \0 and 蜂蜜.", user_id="ann", session_id="s", timestamp=START + timedelta(days=1))
    memory.close_session("s", user_id="ann")
    changed = memory.add("I live in Porto.", user_id="ann", session_id="t", timestamp=START)["results"][0]["id"]
    memory.add({"role": "assistant", "content": "Good to know."}, user_id="ann", session_id="t", timestamp=START)
    memory.update(changed, "I live in Lisbon.", metadata={"sure": True})
    gone = memory.add("Forget this.", user_id="ann", session_id="t")["results"][0]["id"]
    memory.delete(gone)


def state(memory: Memory, user_id: str = "ann") -> dict[str, Any]:
    """All that can be seen of a user, but for the prefix of their ids and their name."""

    def own(unit: Any) -> dict[str, Any]:
        return {**unit, "id": unit["id"].rpartition("-")[2], "user_id": ""}

    listed = {g: memory.get_all(user_id=user_id, granularity=g, top_k=None)["results"] for g in GRANULARITIES}
    histories = {
        unit["id"].rpartition("-")[2]: [{**entry, "memory_id": ""} for entry in memory.history(unit["id"])]
        for units in listed.values()
        for unit in units
    }
    found = {
        g: memory.search("beagle Lisbon", user_id=user_id, granularity=g, top_k=99)["results"] for g in GRANULARITIES
    }
    return {
        "units": {g: [own(unit) for unit in units] for g, units in listed.items()},
        "histories": histories,
        "found": {g: [{**own(unit), "score": round(unit["score"], 5)} for unit in units] for g, units in found.items()},
        "stats": {**memory.stats(user_id=user_id), "user_id": ""},
    }


def lines_of(path: Path) -> list[dict[str, Any]]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return [json.loads(line) for line in data.decode().split("\n") if line]


# there and back


@pytest.mark.parametrize("name", ["ann.jsonl", "ann.jsonl.gz"])
def test_an_export_comes_back_as_it_was(memory: Memory, tmp_path: Path, name: str) -> None:
    fill(memory)
    before = state(memory)
    assert memory.export(tmp_path / name, user_id="ann") == {
        "path": str(tmp_path / name),
        "user_id": "ann",
        "units": 7,
        "sessions": 2,
        "messages": 5,
    }
    assert memory.import_(tmp_path / name, user_id="bob") == {
        "user_id": "bob",
        "units": 7,
        "sessions": 2,
        "messages": 5,
    }
    assert state(memory, "bob") == before
    memory.forget_user(user_id="ann")
    assert memory.import_(str(tmp_path / name))["user_id"] == "ann"
    assert state(memory) == before
    assert memory.verify() == {"ok": True, "users": 2, "problems": {}}


def test_an_imported_combination_has_no_words_of_its_own_as_a_written_one_has_none(tmp_path: Path) -> None:
    def terms(memory: Memory, user_id: str) -> list[tuple[str, bytes]]:
        with memory._core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            return [(str(row.granularity), row.terms) for row in transaction.delta(0).rows]

    kept = ("turn", "session", "summary", "keywords", "combination")
    with Memory(":memory:", encoder=ENCODER, background=False, granularities=kept) as memory:
        fill(memory)
        memory.export(tmp_path / "ann.jsonl", user_id="ann")
        memory.import_(tmp_path / "ann.jsonl", user_id="bob")
        assert ("combination", b"") in terms(memory, "ann")
        assert sorted(terms(memory, "bob")) == sorted(terms(memory, "ann"))


def test_an_import_can_be_gone_on_with(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    memory.export(tmp_path / "a", user_id="ann")
    memory.import_(tmp_path / "a", user_id="bob")
    for user_id in ("ann", "bob"):
        reply = memory.add({"role": "assistant", "content": "And?"}, user_id=user_id, session_id="t", timestamp=START)
        assert reply["results"][0]["event"] == "UPDATE"
        memory.add("Going on.", user_id=user_id, session_id="u", timestamp=START)
        assert memory.flush(user_id=user_id) == 2
        texts = {
            g: [u["memory"] for u in memory.get_all(user_id=user_id, granularity=g)["results"]] for g in GRANULARITIES
        }
        assert texts == {
            g: [u["memory"] for u in memory.get_all(user_id="ann", granularity=g)["results"]] for g in GRANULARITIES
        }
    assert memory.verify()["ok"]


def test_a_deletion_is_remembered_through_an_export(memory: Memory, tmp_path: Path) -> None:
    gone = memory.add("Forget this.", user_id="ann")["results"][0]["id"]
    memory.add("Keep this.", user_id="ann")
    memory.delete(gone)
    memory.export(tmp_path / "a", user_id="ann")
    assert "Forget" not in (tmp_path / "a").read_text()
    memory.forget_user(user_id="ann")
    memory.import_(tmp_path / "a")
    assert [entry["event"] for entry in memory.history(gone)] == ["ADD", "DELETE"]


def test_an_import_embeds_with_its_own_encoder(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    memory.export(tmp_path / "a", user_id="ann")
    for vectors in ("mean", "text"):
        with Memory(":memory:", encoder=HashingEncoder(48), background=False, session_vectors=vectors) as other:
            other.import_(tmp_path / "a")
            assert other.stats(user_id="ann")["encoder"] == "hashing/48"
            session = other.get_all(user_id="ann", granularity="session")["results"][0]
            best = other.search(session["memory"], user_id="ann", granularity="session", retriever="dense")["results"][
                0
            ]
            assert best["id"] == session["id"]
            if vectors == "text":
                plain = Memory(":memory:", encoder=HashingEncoder(48), background=False, session_vectors="text")
                plain.add_many([{"session_id": "s", "messages": [session["memory"]]}], user_id="ann")
                options: dict[str, Any] = {"user_id": "ann", "granularity": "session", "retriever": plain_dense()}
                scores = [m.search(session["memory"], **options)["results"][0]["score"] for m in (other, plain)]
                assert scores == pytest.approx([1, 1], abs=1e-5)
                plain.close()


def plain_dense() -> Any:
    from memagent.retrievers import make

    return make("dense", by="session")


def test_a_user_without_memories_can_be_exported(memory: Memory, tmp_path: Path) -> None:
    memory.delete(memory.add("Forget this.", user_id="ann")["results"][0]["id"])
    assert memory.export(tmp_path / "a", user_id="ann")["units"] == 0
    memory.import_(tmp_path / "a", user_id="bob")
    assert memory.users() == ["ann", "bob"]


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda t: bool(t.strip()))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
calls = st.tuples(
    st.sampled_from(["s", "t", "é"]),
    st.lists(
        st.builds(lambda r, c: {"role": r, "content": c}, st.sampled_from(["user", "assistant", "tool"]), words),
        min_size=1,
        max_size=3,
    ),
    st.dictionaries(words, json_values, max_size=2),
    st.integers(-(10**6), 10**6),
    st.sampled_from(["add", "close", "update", "delete"]),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(calls, min_size=1, max_size=6), st.booleans())
def test_any_history_comes_back_as_it_was(tmp_path: Path, sequence: list[Any], packed: bool) -> None:
    path = tmp_path / f"a.jsonl{'.gz' if packed else ''}"
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        for session, messages, metadata, seconds, what in sequence:
            moment = START + timedelta(seconds=seconds)
            added = memory.add(messages, user_id="ann", session_id=session, metadata=metadata, timestamp=moment)[
                "results"
            ]
            if what == "close":
                memory.close_session(session, user_id="ann")
            elif what == "update":
                memory.update(added[0]["id"], "something else", metadata=metadata)
            elif what == "delete":
                memory.delete(added[-1]["id"])
        memory.export(path, user_id="ann")
        memory.import_(path, user_id="bob")
        assert state(memory, "bob") == state(memory)
        assert memory.verify()["ok"]
        memory.export(tmp_path / "again.jsonl", user_id="bob")
        first, second = lines_of(path), lines_of(tmp_path / "again.jsonl")
        assert [line["type"] for line in first] == [line["type"] for line in second]


# the same twice


def test_what_is_stored_already_is_not_imported_again(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    memory.export(tmp_path / "a", user_id="ann")
    before = state(memory)
    with pytest.raises(DuplicateId, match="session 's'"):
        memory.import_(tmp_path / "a")
    assert state(memory) == before
    memory.add({"role": "user", "content": "x", "id": "m1"}, user_id="bob")
    with pytest.raises(DuplicateId):
        memory.import_(tmp_path / "a", user_id="bob")
    assert memory.get_all(user_id="bob")["total"] == 1


def test_an_import_is_added_to_what_is_there(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    memory.export(tmp_path / "a", user_id="ann")
    memory.add("I was here before.", user_id="bob", session_id="mine")
    memory.import_(tmp_path / "a", user_id="bob")
    listed = [unit["memory"] for unit in memory.get_all(user_id="bob")["results"]]
    assert listed == ["I was here before.", *(unit["memory"] for unit in memory.get_all(user_id="ann")["results"])]
    assert memory.verify()["ok"]


# damage


@pytest.fixture
def exported(memory: Memory, tmp_path: Path) -> Path:
    fill(memory)
    memory.export(tmp_path / "ann.jsonl", user_id="ann")
    return tmp_path / "ann.jsonl"


Change = Callable[[list[dict[str, Any]]], Any]


def edit(kind: str, **fields: Any) -> Change:
    def change(records: list[dict[str, Any]]) -> None:
        next(record for record in records if record["type"] == kind).update(fields)

    return change


def without(kind: str, field: str) -> Change:
    return lambda records: next(record for record in records if record["type"] == kind).pop(field)


def twice(kind: str) -> Change:
    def change(records: list[dict[str, Any]]) -> None:
        place = next(place for place, record in enumerate(records) if record["type"] == kind)
        records.insert(place, records[place])
        records[-1]["lines"] += 1

    return change


def drop(kind: str, number: int = 0) -> Change:
    def change(records: list[dict[str, Any]]) -> None:
        places = [place for place, record in enumerate(records) if record["type"] == kind]
        del records[places[number]]
        records[-1]["lines"] -= 1

    return change


def turn(records: list[dict[str, Any]]) -> dict[str, Any]:
    return next(record for record in records if record.get("granularity") == "turn")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (edit("header", format=99), 1),
        (edit("header", user_id=3), 1),
        (edit("header", user_id=""), 1),
        (edit("header", user_id="\ud800"), 1),
        (without("header", "format"), 1),
        (lambda records: records.pop(0), 1),
        (edit("session", id=3), 2),
        (edit("session", closed="no"), 2),
        (edit("session", derived=1), 2),
        (edit("session", agent_id=7), 2),
        (without("session", "closed"), 2),
        (edit("session", id="other"), 4),
        (twice("session"), 3),
        (edit("unit", id="no dash!"), 4),
        (edit("unit", granularity="turns"), 4),
        (edit("unit", granularity=None), 4),
        (edit("unit", session_id="unknown"), 4),
        (edit("unit", event_at="2025-01-01"), 4),
        (edit("unit", created_at=1735689600), 4),
        (edit("unit", updated_at=None), 4),
        (edit("unit", roles="user"), 4),
        (edit("unit", roles=[1]), 4),
        (edit("unit", source_ids={}), 4),
        (edit("unit", metadata=[]), 4),
        (edit("unit", metadata={"a": float("nan")}), 4),
        (edit("unit", metadata={"a": "\ud800"}), 4),
        (edit("unit", agent_id=[]), 4),
        (twice("unit"), 5),
        (lambda records: turn(records).update(text=None), 5),
        (lambda records: turn(records).update(text="\udfff"), 5),
        (lambda records: turn(records).update(granularity="session"), 5),
        (edit("message", unit="nowhere"), 11),
        (edit("message", role=""), 11),
        (edit("message", name=3), 11),
        (edit("message", bare=0), 11),
        (edit("message", content=None), 11),
        (edit("message", attachments=[["a"]]), 11),
        (edit("message", attachments=["ab"]), 11),
        (edit("message", attachments=[["a", 1]]), 11),
        (edit("message", id=""), 11),
        (twice("message"), 12),
        (edit("change", event="RENAME"), 16),
        (edit("change", old_text=3), 16),
        (edit("change", at="then"), 16),
        (without("change", "unit"), 16),
        (edit("change", type="chnage"), 16),
        (edit("change", type=None), 16),
        (lambda records: records.append({"type": "change"}), None),
        (lambda records: records.insert(3, 3), 4),
        (lambda records: records.insert(3, None), 4),
    ],
)
def test_an_edited_line_is_named_and_nothing_is_imported(
    memory: Memory, exported: Path, change: Change, line: int | None
) -> None:
    records = lines_of(exported)
    change(records)
    exported.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(DataError) as caught:
        memory.import_(exported, user_id="bob")
    assert f"ann.jsonl, line {line or len(records)}:" in str(caught.value)
    assert memory.users() == ["ann"]


@pytest.mark.parametrize("change", [drop("session"), drop("unit"), drop("unit", 1), drop("unit", 6)])
def test_lines_that_others_need_are_missed(memory: Memory, exported: Path, change: Change) -> None:
    records = lines_of(exported)
    change(records)
    exported.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(DataError, match=r"ann\.jsonl"):
        memory.import_(exported, user_id="bob")
    assert memory.users() == ["ann"]


def test_a_file_that_was_cut_off_anywhere_is_refused(memory: Memory, exported: Path) -> None:
    whole = exported.read_bytes()
    for end in range(0, len(whole) - 1, 97):
        exported.write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"ann\.jsonl"):
            memory.import_(exported, user_id="bob")
    exported.write_bytes(b"".join(whole.splitlines(keepends=True)[:5] + whole.splitlines(keepends=True)[6:]))
    with pytest.raises(DataError):
        memory.import_(exported, user_id="bob")
    assert memory.users() == ["ann"]


def test_a_damaged_compressed_file_is_refused(memory: Memory, exported: Path, tmp_path: Path) -> None:
    packed = tmp_path / "ann.jsonl.gz"
    memory.export(packed, user_id="ann")
    whole = packed.read_bytes()
    damaged = [whole[: len(whole) // 2], whole[:-4], b"", b"x" * 50, exported.read_bytes()]
    damaged += [
        whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :] for place in range(12, len(whole), 41)
    ]
    for data in damaged:
        packed.write_bytes(data)
        with pytest.raises(DataError, match=r"ann\.jsonl\.gz"):
            memory.import_(packed, user_id="bob")
    assert memory.users() == ["ann"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_any_changed_byte_is_noticed_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever is in the file: our own error, or an import that is sound."""
    path = tmp_path / "ann.jsonl"
    if not path.exists():
        with Memory(":memory:", encoder=ENCODER, background=False) as memory:
            fill(memory)
            memory.export(path, user_id="ann")
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:place] + data.draw(st.binary(min_size=1, max_size=3)) + whole[place + 1 :]
    (tmp_path / "changed.jsonl").write_bytes(changed)
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        try:
            memory.import_(tmp_path / "changed.jsonl", user_id="bob")
        except MemagentError:
            assert memory.users() == []
        else:
            assert memory.verify()["ok"]
            state(memory, "bob")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe", b"[]\n", b"3\n", b"{}\n", b"[" * 100_000, b'{"type": "end", "lines": 0}\n']
)
def test_a_file_of_another_kind_is_refused(memory: Memory, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DataError):
        memory.import_(tmp_path / "a", user_id="bob")


# paths


def test_paths_that_cannot_be_used_are_refused(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    with pytest.raises(DataError, match="no file"):
        memory.import_(tmp_path / "nothing")
    with pytest.raises(MemagentError):
        memory.import_(tmp_path)
    for verb in (memory.export, memory.backup):
        with pytest.raises(InvalidInput, match="directory"):
            verb(tmp_path, user_id="ann")
        with pytest.raises(MemagentError):
            verb(tmp_path / "missing" / "a", user_id="ann")
        with pytest.raises(UnknownUser):
            verb(tmp_path / "a", user_id="eve")
    with pytest.raises(InvalidUserId):
        memory.import_(tmp_path / "a", user_id="")
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_fails_leaves_the_old_file_alone(
    memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(memory)
    target = tmp_path / "a"
    target.write_text("the export of yesterday")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "a disk error made by a test")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        for verb in (memory.export, memory.backup):
            with pytest.raises(StoreUnavailable):
                verb(target, user_id="ann")
    assert target.read_text() == "the export of yesterday"
    assert list(tmp_path.iterdir()) == [target]


def test_what_leaves_the_store_is_readable_by_its_owner_only(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    before = os.umask(0)
    try:
        for verb, name in ((memory.export, "a"), (memory.export, "a.gz"), (memory.backup, "a.db")):
            (tmp_path / name).touch(0o644)
            verb(tmp_path / name, user_id="ann")
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


def test_exports_to_one_file_at_once_do_not_spoil_it(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    with Memory(tmp_path / "other", encoder=ENCODER, background=False) as other, ThreadPoolExecutor(4) as pool:
        other.add("Only this.", user_id="ann")
        sources = [memory, other] * 10
        list(pool.map(lambda source: source.export(tmp_path / "a", user_id="ann"), sources))
        assert lines_of(tmp_path / "a")[-1]["type"] == "end"
        list(pool.map(lambda source: source.backup(tmp_path / "b", user_id="ann"), sources))
    with closing(sqlite3.connect(tmp_path / "b")) as copy:
        assert copy.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"a", "b"}


@pytest.mark.parametrize("path", [None, 3, b"a", "", "a\0b", "~nobody-has-this-name/a", "\ud800", "x" * 5000])
def test_what_cannot_be_a_path_is_refused(memory: Memory, path: Any) -> None:
    fill(memory)
    calls: list[Callable[[], object]] = [
        lambda: memory.export(path, user_id="ann"),
        lambda: memory.backup(path, user_id="ann"),
        lambda: memory.import_(path, user_id="ann"),
        lambda: Memory(path, encoder=ENCODER),
        lambda: CachedEncoder(ENCODER, path),
    ]
    if path is not None:
        calls.append(lambda: load_encoder(cache_dir=path))
    for call in calls:
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.hint
    for model in (3, b"a"):
        with pytest.raises(InvalidInput):
            load_encoder(model)  # type: ignore[arg-type]  # that is the point


def test_the_same_history_gives_the_same_packed_bytes(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    memory.export(tmp_path / "a.gz", user_id="ann")
    memory.export(tmp_path / "b.gz", user_id="ann")
    one, other = lines_of(tmp_path / "a.gz"), lines_of(tmp_path / "b.gz")
    assert one[1:] == other[1:]
    assert (tmp_path / "a.gz").read_bytes()[:10] == (tmp_path / "b.gz").read_bytes()[:10]


# backup


def test_a_backup_is_a_complete_file_of_the_user(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
        fill(memory)
        before = state(memory)
        assert memory.backup(tmp_path / "ann.db", user_id="ann") == str(tmp_path / "ann.db")
        file = next((tmp_path / "store").rglob("*.db"))
        memory.add("After the backup.", user_id="ann")
        memory.close()
    file.with_name(file.name + "-wal").unlink(missing_ok=True)
    file.write_bytes((tmp_path / "ann.db").read_bytes())
    with Memory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
        assert state(memory) == before
        assert memory.verify()["ok"]
        memory.add("Going on.", user_id="ann")


def test_a_memory_in_ram_can_be_backed_up(memory: Memory, tmp_path: Path) -> None:
    fill(memory)
    memory.backup(tmp_path / "ann.db", user_id="ann")
    assert (tmp_path / "ann.db").stat().st_size > 10_000
