"""Files in and out: add --file, export, import, backup, and forgetting."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import apsw
import pytest
from command_line import CommandLine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memagent.cli.jsonl import messages_or_sessions
from memagent.errors import DataError

MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "Which tea is best?", "timestamp": "2025-03-01T10:00:00+01:00"},
    {"role": "assistant", "content": None},
    {"role": "assistant", "content": "Ginger."},
    {"role": "user", "content": [{"type": "text", "text": "And coffee?"}]},
]
SESSIONS: list[dict[str, Any]] = [
    {"session_id": "a", "messages": [{"role": "user", "content": "I keep bees."}], "metadata": {"topic": "bees"}},
    {"session_id": "b", "messages": ["I sail."], "timestamp": "2025-03-01T10:00:00+01:00"},
]


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path / "store")


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_a_file_of_messages_becomes_one_session(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_text("\ufeff" + lines(*MESSAGES) + "\n", "utf-8")
    results = cli.json("add", "--file", str(file), "--user", "ann", "--session", "s", "--metadata", "from=chat")[
        "results"
    ]
    assert [result["memory"] for result in results] == [
        "[user]: Which tea is best?\n[assistant]: Ginger.",
        "[user]: And coffee?",
    ]
    item = cli.json("get", results[0]["id"])
    assert (item["session_id"], item["metadata"]) == ("s", {"from": "chat"})
    assert item["event_at"] == "2025-03-01T09:00:00+00:00" or item["event_at"] > "2025-03-01"


def test_a_file_of_sessions_is_stored_with_their_labels(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "sessions.jsonl.gz"
    file.write_bytes(gzip.compress(lines(*SESSIONS).encode()))
    done = cli(
        *("add", "--file", str(file), "--user", "ann", "--metadata", "from=file", "--metadata", "topic=none"),
        *("--timestamp", "2024-01-01T00:00:00Z"),
    )
    assert done.exit_code == 0, done.output
    assert "2 turns stored for 'ann' in 2 sessions" in done.stderr
    bees, sailing = cli.json("list", "--user", "ann")["results"]
    assert (bees["session_id"], bees["metadata"]) == ("a", {"from": "file", "topic": "bees"})
    assert bees["event_at"] == "2024-01-01T00:00:00+00:00"
    assert (sailing["metadata"]["topic"], sailing["event_at"]) == ("none", "2025-03-01T09:00:00+00:00")
    assert cli.json("list", "--user", "ann", "--granularity", "summary")["total"] == 2


def test_standard_input_is_a_file_too(cli: CommandLine) -> None:
    assert len(cli.json("add", "--file", "-", "--user", "ann", typed=lines(*SESSIONS))["results"]) == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no lines"),
        ("\n \n", "has no lines"),
        ("[1]\n", "line 1 is not an object"),
        ('{"role": "user", "content": "a"}\n{"role": \n', "line 2: "),
        (lines({"role": "user", "content": "a"}, {"content": "b"}), "line 2: message 0 has no role"),
        (lines({"role": "user", "content": "a", "user_id": "bob"}), "field user_id"),
        (lines({"role": "user", "content": "a", "session_id": "s"}), "field session_id"),
        (lines({"role": "user", "content": "a"}, {"messages": ["b"]}), "line 2: messages and sessions are mixed"),
        (lines({"messages": ["a"]}, {"messages": ["b"], "timestamp": "2025-01-01"}), "line 2: "),
        (lines({"messages": ["a"], "user_id": "bob"}), "field user_id"),
        (lines({"messages": []}), "line 1: there is nothing to remember"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_stored(cli: CommandLine, tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(text)
    said = cli.refused("add", "--file", str(file), "--user", "ann")
    assert says in said
    assert "bad.jsonl" in said
    assert not cli.store.exists()


def test_a_file_that_cannot_be_read_is_named(cli: CommandLine, tmp_path: Path) -> None:
    assert "there is no file" in cli.refused("add", "--file", str(tmp_path / "gone.jsonl"), "--user", "ann")
    assert "cannot be read" in cli.refused("add", "--file", str(tmp_path), "--user", "ann")
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(gzip.compress(lines(*MESSAGES).encode())[:-12])
    assert "broken.jsonl.gz is damaged" in cli.refused("add", "--file", str(broken), "--user", "ann")
    broken.write_bytes(b"plain")
    assert "broken.jsonl.gz is damaged" in cli.refused("add", "--file", str(broken), "--user", "ann")


def test_options_that_a_file_has_no_place_for_are_refused(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "sessions.jsonl"
    file.write_text(lines(*SESSIONS))
    assert "--session does not go with" in cli.refused("add", "--file", str(file), "--user", "ann", "--session", "s")
    assert "--role is for a text" in cli.refused("add", "--file", str(file), "--user", "ann", "--role", "user")
    assert "either a text or --file" in cli.refused("add", "text", "--file", str(file), "--user", "ann")
    assert "either a text or --file" in cli.refused("add", "--user", "ann")


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(lambda v: lines(v).encode())
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_no_content_of_a_file_raises_anything_but_data_errors(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "any.jsonl"
    file.write_bytes(content)
    with contextlib.suppress(DataError):
        assert messages_or_sessions(file, {}).keys() <= {"messages", "sessions"}


def test_an_export_is_imported_into_another_store_and_another_user(cli: CommandLine, tmp_path: Path) -> None:
    cli.add("I keep bees.")
    file = tmp_path / "ann.jsonl.gz"
    done = cli("export", str(file), "--user", "ann")
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"written to {file}" in done.stderr
    other = CommandLine(tmp_path / "other")
    assert other.json("import", str(file))["user_id"] == "ann"
    assert "stored already" in other.refused("import", str(file))
    assert "stored for 'bob'" in other("import", str(file), "--user", "bob").stderr
    assert other.json("users") == {"users": ["ann", "bob"]}
    assert other.json("search", "insects", "--user", "bob")["results"][0]["memory"] == "I keep bees."
    assert cli.json("export", str(file), "--user", "ann")["path"] == str(file)


def test_an_import_of_something_else_is_refused(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "chat.jsonl"
    file.write_text(lines(*MESSAGES))
    assert "chat.jsonl" in cli.refused("import", str(file))
    assert "there is no file" in cli.refused("import", str(tmp_path / "gone"))


def test_a_backup_is_a_complete_file(cli: CommandLine, tmp_path: Path) -> None:
    cli.add("I keep bees.")
    assert cli.json("backup", str(tmp_path / "ann.db"), "--user", "ann") == {
        "user_id": "ann",
        "path": str(tmp_path / "ann.db"),
    }
    copy = apsw.Connection(str(tmp_path / "ann.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert copy.pragma("integrity_check") == "ok"
    copy.close()
    assert cli("backup", str(tmp_path / "again.db"), "--user", "ann").exit_code == 0
    assert "is a directory" in cli.refused("backup", str(tmp_path), "--user", "ann")


def test_a_user_is_forgotten_only_after_a_yes(cli: CommandLine) -> None:
    cli.add("I keep bees.")
    cli.add("I sail.", user="bob")
    declined = cli("forget", "--user", "ann", typed="n\n")
    assert (declined.exit_code, declined.stdout) == (3, "")
    assert "Erase everything of 'ann' (1 session, 1 message), for good?" in declined.stderr
    assert "pass --yes" in cli.refused("forget", "--user", "ann", typed="")
    assert cli.json("users") == {"users": ["ann", "bob"]}
    assert cli("forget", "--user", "ann", typed="y\n").exit_code == 0
    assert cli.json("users") == {"users": ["bob"]}
    assert cli.json("forget", "--user", "bob", "--yes")["messages"] == 1
    assert b"bees" not in b"".join(path.read_bytes() for path in cli.store.rglob("*") if path.is_file())


def test_a_user_whose_file_is_damaged_can_be_forgotten(cli: CommandLine) -> None:
    cli.add("I keep bees.")
    (file,) = cli.store.rglob("*.db")
    file.write_bytes(b"not a database")
    asked = cli("forget", "--user", "ann", typed="n\n")
    assert "a damaged file" in asked.stderr
    assert cli("forget", "--user", "ann", "--yes").exit_code == 0
    assert not list(cli.store.rglob("*.db"))
