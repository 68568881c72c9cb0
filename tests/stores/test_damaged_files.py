from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from memagent import Memory
from memagent.bank.view import View
from memagent.errors import MemagentError, StoreCorrupt, StoreVersion
from memagent.prompts.facts import Fact, Facts
from memagent.prompts.prompt import Prompt
from memagent.stores import sqlite_schema
from memagent.stores.sqlite import SQLiteStore
from memagent.stores.sqlite_check import check_rows
from memagent.stores.sqlite_user import owner_of
from memagent.testing import HashingEncoder, ScriptedModel

FLIPS = 240
FIXED = "2025-03-01T12:00:00+00:00"


def opened(root: Path) -> Memory:
    return Memory(root, encoder=HashingEncoder(32), background=False)


def file_of(root: Path, user_id: str = "ann") -> Path:
    (path,) = root.rglob(f"{owner_of(user_id)}.db")
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user with some of everything, closed cleanly."""
    root = tmp_path_factory.mktemp("sound") / "memory"
    with opened(root) as memory:
        for number in range(12):
            memory.add(
                [
                    {"role": "user", "content": f"note {number} about tea and Vera " * (1 + number % 5)},
                    {"role": "assistant", "content": "I see. " * 20, "name": "helper"},
                ],
                user_id="ann",
                session_id=f"s{number % 4}",
                agent_id="agent",
                timestamp=FIXED,
                metadata={"topic": number, "tags": ["a", "é"]},
            )
        memory.close_session("s1", user_id="ann")
        key = memory.get_all(user_id="ann")["results"][0]["id"]
        memory.update(key, "note 0, updated")
        memory.delete(memory.get_all(user_id="ann")["results"][-1]["id"])
        memory.add("a note of somebody else", user_id="bob")
    with Memory(root, encoder=HashingEncoder(32), background=False, model=ScriptedModel(_inferred)) as memory:
        for number in range(6):
            memory.add(f"fact {number}", user_id="ann", session_id="s1", timestamp=FIXED, infer=True, wait=True)
    return root


def _inferred(prompt: Prompt[Any]) -> Facts:
    """A fact that takes the place of the one before."""
    known = ["k1"] if "k1" in prompt.user else []
    return Facts(facts=[Fact(text=prompt.user[-40:], messages=[1], event_date="2020-01-01", replaces=known)])


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "memory"))


def exported(memory: Memory, path: Path) -> list[dict[str, Any]]:
    memory.export(path, user_id="ann")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "exported_at"} for line in lines]


def looked(memory: Memory, path: Path) -> list[dict[str, Any]] | None:
    """All of the content; None if an error says that the file is damaged."""
    calls: tuple[Callable[[], Any], ...] = (
        lambda: memory.get_all(user_id="ann", top_k=None)["results"],
        lambda: memory.search("tea", user_id="ann", retriever="bm25"),
        lambda: memory.search("tea", user_id="ann", retriever="dense", filters={"topic": {"gte": 0}}),
        lambda: memory.stats(user_id="ann"),
    )
    for number, call in enumerate(calls):
        try:
            reply = call()
        except MemagentError:
            return None
        assert number or reply, "a damaged file must not look empty"
    try:
        return exported(memory, path)
    except MemagentError:
        return None


def check_damage(root: Path, before: list[dict[str, Any]]) -> str:
    """Damage is reported, by an error or by verify, unless everything is readable and unchanged."""
    with opened(root) as memory:
        content = looked(memory, root / "export.jsonl")
        report = memory.verify()
        by_name = memory.verify(user_id="ann")
        assert report["ok"] == by_name["ok"]
        assert list(report["problems"]) in ([], ["ann"], [f"file {owner_of('ann')}"])
        if report["ok"]:
            assert content == before, "the content has changed and nothing says so"
        memory.forget_user(user_id="ann")
        assert memory.users() == ["bob"]
        assert {path.stem for path in root.rglob("*.db*")} == {owner_of("bob")}
    return "unnoticed" if report["ok"] else "error" if content is None else "verify"


@pytest.fixture(scope="module")
def before(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    with opened(sound) as memory:
        assert memory.verify() == {"ok": True, "users": 2, "problems": {}}
        return exported(memory, tmp_path_factory.mktemp("export") / "export.jsonl")


@pytest.mark.parametrize("seed", range(4))
def test_flipped_bytes_are_never_taken_for_content(
    sound: Path, tmp_path: Path, before: list[dict[str, Any]], seed: int
) -> None:
    rng = random.Random(seed)
    image = file_of(sound).read_bytes()
    outcomes: dict[str, int] = {}
    for number in range(FLIPS // 4):
        root = Path(shutil.copytree(sound, tmp_path / str(number)))
        damaged = bytearray(image)
        for _ in range(rng.choice([1, 1, 1, 8])):
            place = rng.randrange(len(damaged)) if rng.random() < 0.8 else rng.randrange(200)
            damaged[place] ^= 1 << rng.randrange(8)
        file_of(root).write_bytes(damaged)
        outcome = check_damage(root, before)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        shutil.rmtree(root)
    assert outcomes["error"] + outcomes["verify"] > FLIPS // 16, outcomes


def test_bytes_that_are_stored_as_another_type_than_they_were_are_damage(root: Path) -> None:
    # One flipped bit makes a text of a row bytes, and bytes a text, and changes no byte of the content.
    connection = apsw.Connection(str(file_of(root)))
    unnoticed, tried = [], 0
    for table in ("units", "vectors", "sessions", "messages", "links", "jobs", "facts", "changes"):
        for row in connection.execute(f"pragma table_info({table})").fetchall():
            column, kind = str(row[1]), str(row[2])
            other = {"TEXT": "blob", "BLOB": "text"}.get(kind)
            if other is None:
                continue
            connection.execute(f"savepoint one; update {table} set {column} = cast({column} as {other})")
            if connection.changes():
                tried += 1
                unnoticed += [] if check_rows(connection) else [f"{table}.{column}"]
            connection.execute("rollback to one; release one")
    assert check_rows(connection) == []
    connection.close()
    assert unnoticed == []
    assert tried > 15


@pytest.mark.parametrize(
    "damage",
    [
        "update encoders set fingerprint = cast(fingerprint as blob)",
        "update jobs set asked_at = 1 << 62",
        "update facts set valid_from = 1 << 62",
        "update facts set superseded_by = 'x' where superseded_by is not null",
        "update facts set superseded_by = x'00' where superseded_by is not null",
    ],
)
def test_what_cannot_be_read_in_a_row_is_damage_and_no_other_error(root: Path, damage: str) -> None:
    connection = apsw.Connection(str(file_of(root)))
    connection.execute(damage)
    assert connection.changes()
    connection.close()
    with opened(root) as memory, pytest.raises(StoreCorrupt):
        looked_at_facts(memory, root / "export.jsonl")


def looked_at_facts(memory: Memory, path: Path) -> None:
    memory.search("fact", user_id="ann", granularity="fact", superseded=True)
    memory.export(path, user_id="ann")


def test_a_row_that_is_another_than_the_indexes_hold_is_damage(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As when a flipped bit gives a row the key of another one.
    with opened(root) as memory:
        monkeypatch.setattr(View, "_shows", lambda *_: False)
        with pytest.raises(StoreCorrupt):
            memory.search("tea", user_id="ann", retriever="bm25")


def _truncated(share: float) -> Callable[[bytes], bytes]:
    return lambda image: image[: int(len(image) * share)]


def _other_database(_: bytes) -> bytes:
    connection = apsw.Connection(":memory:")
    connection.execute("create table notes (text); insert into notes values ('mine')")
    return connection.serialize("main")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": _truncated(0),
    "cut to a tenth": _truncated(0.1),
    "cut in half": _truncated(0.5),
    "cut before its last page": lambda image: image[:-4096],
    "cut within a page": lambda image: image[:-1000],
    "a text": lambda _: b"Dear diary,\n" * 1000,
    "one byte": lambda _: b"\n",
    "zeros": lambda image: bytes(len(image)),
    "zeros after the first page": lambda image: image[:4096] + bytes(len(image) - 4096),
    "zeros in the header": lambda image: bytes(100) + image[100:],
    "another database": _other_database,
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_corrupt_and_can_still_be_forgotten(
    root: Path, before: list[dict[str, Any]], name: str
) -> None:
    path = file_of(root)
    path.write_bytes(DAMAGES[name](path.read_bytes()))
    with opened(root) as memory, pytest.raises(StoreCorrupt):
        memory.export(root / "export.jsonl", user_id="ann")
    assert check_damage(root, before) == "error"


@pytest.mark.parametrize("name", ["emptied", "cut in half", "a text", "another database"])
def test_nothing_is_added_to_a_damaged_file(root: Path, name: str) -> None:
    path = file_of(root)
    path.write_bytes(DAMAGES[name](path.read_bytes()))
    damaged = path.read_bytes()
    with opened(root) as memory, pytest.raises(StoreCorrupt):
        memory.add("more", user_id="ann")
    assert path.read_bytes() == damaged


def test_the_file_of_another_user_is_not_taken_for_ones_own(root: Path) -> None:
    shutil.copy(file_of(root, "bob"), file_of(root))
    with opened(root) as memory:
        with pytest.raises(StoreCorrupt, match="another user"):
            memory.search("tea", user_id="ann")
        assert not memory.verify()["ok"]
        memory.forget_user(user_id="ann")
        assert [unit["memory"] for unit in memory.get_all(user_id="bob")["results"]] == ["a note of somebody else"]


def test_a_log_without_its_file_is_not_taken_for_a_new_user(root: Path) -> None:
    path = file_of(root)
    path.rename(path.with_suffix(".db-wal"))
    with opened(root) as memory:
        with pytest.raises(StoreCorrupt, match="is missing"):
            memory.add("a new beginning", user_id="ann")
        memory.forget_user(user_id="ann")
        memory.add("a new beginning", user_id="ann")
        assert memory.verify()["ok"]


def test_a_damaged_file_does_not_disturb_other_users(root: Path) -> None:
    file_of(root).write_bytes(b"")
    with opened(root) as memory:
        assert memory.search("note", user_id="bob")["results"]
        memory.add("more", user_id="bob")
        assert memory.stats()["users"] == 2
        with pytest.raises(StoreCorrupt):
            memory.users()


# versions


def set_version(root: Path, version: int) -> None:
    connection = apsw.Connection(str(file_of(root)))
    connection.pragma("user_version", version)
    connection.close()


def test_a_file_from_the_future_is_refused(root: Path) -> None:
    set_version(root, 99)
    with opened(root) as memory:
        for call in (lambda: memory.search("tea", user_id="ann"), lambda: memory.add("more", user_id="ann")):
            with pytest.raises(StoreVersion, match="version 99"):
                call()
        assert "version 99" in str(memory.verify()["problems"])
        memory.forget_user(user_id="ann")


@pytest.mark.parametrize("version", [0, -3])
def test_a_version_that_never_was_is_damage(root: Path, version: int) -> None:
    set_version(root, version)
    with opened(root) as memory, pytest.raises(StoreCorrupt):
        memory.search("tea", user_id="ann")


def _new_column(connection: apsw.Connection) -> None:
    connection.execute("alter table units add column importance real not null default 0.5")


def test_an_older_file_is_migrated_when_it_is_opened(
    root: Path, before: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, _new_column))
    with opened(root) as memory:
        assert exported(memory, root / "export.jsonl") == before
        memory.add("more", user_id="ann")
        memory.add("a user with the new schema", user_id="new")
        assert memory.verify() == {"ok": True, "users": 3, "problems": {}}
    for user_id in ("ann", "new"):
        connection = apsw.Connection(str(file_of(root, user_id)))
        assert connection.pragma("user_version") == len(sqlite_schema.MIGRATIONS)
        assert connection.execute("select distinct importance from units").get == 0.5
        connection.close()


def test_a_migration_that_fails_changes_nothing(
    root: Path, before: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: apsw.Connection) -> None:
        _new_column(connection)
        connection.execute("delete from units")
        connection.execute("insert into no_such_table values (1)")

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, _new_column, broken))
        with opened(root) as memory, pytest.raises(StoreCorrupt):
            memory.search("tea", user_id="ann")
    monkeypatch.setattr(sqlite_schema, "MIGRATIONS", (*sqlite_schema.MIGRATIONS, _new_column))
    with opened(root) as memory:
        assert exported(memory, root / "export.jsonl") == before


def test_a_new_user_is_durable_under_a_name_that_tells_nothing(tmp_path: Path) -> None:
    user = SQLiteStore(tmp_path / "memory").open("../ann", create=True)
    names = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert all(owner_of("../ann") in name and "ann" not in name for name in names)
    assert user.path is not None
    assert user.path.stat().st_mode & 0o077 == 0
    assert user.path.parent.stat().st_mode & 0o077 == 0
    user.close()
