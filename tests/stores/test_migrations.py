"""Files that an older version has written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

from memagent import Memory
from memagent.errors import StoreVersion
from memagent.records import to_micros, utc_now
from memagent.retrievers.association import Association, settings_text
from memagent.stores import sqlite_schema
from memagent.stores.sqlite import SQLiteStore
from memagent.stores.sqlite_user import owner_of
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder(32)
TABLES_OF_1 = {"meta", "encoders", "sessions", "units", "vectors", "messages", "changes", "removed"}


def image_of_version_1(user_id: str) -> bytes:
    """A new user's file as the first release wrote it: by the first migration alone."""
    connection = apsw.Connection(":memory:")
    connection.pragma("application_id", sqlite_schema.APPLICATION_ID)
    with connection:
        sqlite_schema.m001_tables(connection)
        connection.pragma("user_version", 1)
    values = (user_id, to_micros(utc_now()))
    connection.execute("insert into meta values ('user_id', ?), ('created_at', ?)", values)
    image = bytearray(connection.serialize("main"))
    connection.close()
    image[18:20] = sqlite_schema.WRITE_AHEAD
    return bytes(image)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store whose only user was begun by version 1 and has eight sessions with their summaries and keywords."""
    file = tmp_path / "memory" / "users" / owner_of("ann")[:2] / f"{owner_of('ann')}.db"
    file.parent.mkdir(parents=True)
    file.write_bytes(image_of_version_1("ann"))
    with Memory(tmp_path / "now", encoder=ENCODER, background=False) as memory:
        for number in range(8):
            memory.add(f"Note {number} about bees and honey.", user_id="ann", session_id=f"s{number}")
        memory.close_session("s7", user_id="ann")
        memory.flush(user_id="ann")
    copy_rows(next((tmp_path / "now").rglob("*.db")), file)
    return tmp_path / "memory"


def copy_rows(source: Path, target: Path) -> None:
    """Fill the tables that version 1 knows."""
    connection = apsw.Connection(str(target))
    connection.execute("attach ? as new", (str(source),))
    tables = {row[0] for row in connection.execute("select name from main.sqlite_schema where type = 'table'")}
    assert tables - {"sqlite_sequence"} == TABLES_OF_1
    with connection:
        for table in sorted(TABLES_OF_1 - {"meta"}):
            connection.execute(f"insert into main.{table} select * from new.{table}")
        connection.execute(
            "update main.meta set value = (select value from new.meta where name = 'revision') where name = 'revision'"
        )
    connection.close()


def test_a_file_of_version_1_is_migrated_and_its_sessions_are_linked(root: Path) -> None:
    with Memory(root, encoder=ENCODER, background=False) as memory:
        before = memory.get_all(user_id="ann", top_k=None)["results"]
        assert len(before) == 8
        assert memory.verify() == {"ok": True, "users": 1, "problems": {}}
        with memory._core.banks.lease("ann") as bank, bank.view() as view:
            assert view.edges() is None
        assert memory.flush(user_id="ann") == 0
        with memory._core.banks.lease("ann") as bank, bank.view() as view:
            edges = view.edges()
        assert edges is not None
        assert len(edges.linked) == 8
        assert len(edges.pairs) > 0
        memory.add("One more about bees.", user_id="ann", session_id="new")
        memory.close_session("new", user_id="ann")
        memory.delete(before[0]["id"])
        assert memory.verify() == {"ok": True, "users": 1, "problems": {}}
    with SQLiteStore(root).open("ann").read() as reader:
        assert reader.association() == settings_text(Association())
        assert len(reader.unlinked()) == 0
        assert len(reader.sessions()) == 8


def test_a_migrated_file_has_the_tables_of_a_new_one(root: Path) -> None:
    SQLiteStore(root).open("ann").close()
    SQLiteStore(root).open("new", create=True).close()
    found: list[Any] = []
    for user_id in ("ann", "new"):
        connection = apsw.Connection(str(next(root.rglob(f"{owner_of(user_id)}.db"))))
        found.append(sorted(connection.execute("select name, sql from sqlite_schema")))
        assert connection.pragma("user_version") == len(sqlite_schema.MIGRATIONS)
        connection.close()
    assert found[0] == found[1]


def written_by_version_1(file: Path, sql: str) -> None:
    """A commit of a handle that was open before the migration: it counts commits and knows no links."""
    connection = apsw.Connection(str(file))
    with connection:
        connection.execute(sql)
        connection.execute("update meta set value = value + 1 where name = 'revision'")
    connection.close()


def test_links_are_not_trusted_after_a_commit_that_did_not_keep_them(root: Path) -> None:
    file = next(root.rglob("*.db"))
    with Memory(root, encoder=ENCODER, background=False) as memory:
        memory.flush(user_id="ann")
        with memory._core.banks.lease("ann") as bank, bank.view() as view:
            first = view.edges()
        assert first is not None
        assert len(first.linked) == 8
        for call in (lambda: memory.flush(user_id="ann"), lambda: memory.add("More.", user_id="ann", session_id="x")):
            written_by_version_1(file, "update units set updated_at = updated_at")
            with memory._core.banks.lease("ann") as bank, bank.view() as view:
                edges = view.edges()
            assert edges is not None
            assert (len(edges.linked), len(edges.pairs)) == (0, 0)
            with SQLiteStore(root).open("ann").read() as reader:
                assert len(reader.links().nodes) == 0
                assert len(reader.unlinked()) == 8
            call()
            memory.flush(user_id="ann")
            with memory._core.banks.lease("ann") as bank, bank.view() as view:
                edges = view.edges()
            assert edges is not None
            assert len(edges.linked) == 8
            assert memory.verify(user_id="ann")["ok"]


def test_an_open_handle_stops_when_a_newer_version_has_migrated_the_file(root: Path) -> None:
    user = SQLiteStore(root).open("ann")
    with user.read() as reader:
        revision = reader.revision()
    connection = apsw.Connection(str(next(root.rglob("*.db"))))
    newest = len(sqlite_schema.MIGRATIONS)
    connection.pragma("user_version", newest + 1)
    for begin in (user.read, user.write):
        with pytest.raises(StoreVersion, match=f"version {newest + 1}"), begin():
            pass
    connection.pragma("user_version", newest)
    with user.write() as writer:
        assert writer.revision() == revision + 1
    connection.close()
    user.close()
