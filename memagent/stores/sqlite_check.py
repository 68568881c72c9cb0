"""Checksums of rows, and what ``verify`` finds wrong in a user's file."""

from __future__ import annotations

import struct
from zlib import crc32

import apsw
import numpy as np


def checksum(*values: str | bytes | float | None) -> int:
    """What ``verify`` recomputes to find silent damage in a row: a CRC-32 of its columns."""
    return crc32(b"\x1f".join(map(_bytes, values)))


def _bytes(value: str | bytes | float | None) -> bytes:
    if value is None:
        return b"\0"
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return b"%d" % value if isinstance(value, int) else struct.pack("<d", value)


def check_rows(connection: apsw.Connection) -> list[str]:
    """Problems in an open file: SQLite's own check, checksums of every row, and references between tables."""
    problems = [f"SQLite: {row[0]}" for row in connection.execute("pragma integrity_check(20)") if row[0] != "ok"]
    if problems:
        return problems
    for label, sql in _CONTENT.items():
        try:
            for number, value, *columns in connection.execute(sql):
                if any(isinstance(column, str) for column in columns) or checksum(*columns) != value:
                    problems.append(f"{label} {number}: its content does not match its checksum")
        except (UnicodeDecodeError, TypeError) as error:  # bytes have become a text that is none
            problems.append(f"{label}: {error}")
    for label, sql in _ORPHANS:
        problems += [f"{label} {row[0]}" for row in connection.execute(sql)]
    return problems or _bad_targets(connection)


def _bad_targets(connection: apsw.Connection) -> list[str]:
    """Links to what is not in the graph, and thus perhaps to a session that is gone."""
    nodes = [row[0] for row in connection.execute("select node from links")]
    problems = []
    for node, targets in connection.execute("select node, targets from links"):
        if not isinstance(targets, bytes) or len(targets) % 8:
            problems.append(f"links of node {node}: unreadable")
            continue
        missing = np.setdiff1d(np.frombuffer(targets, "<i8"), nodes)
        problems += [f"link of node {node} to the missing node {target}" for target in missing.tolist()]
    return problems


def _text(column: str) -> str:
    """Reads a column of texts as bytes, for damaged ones may not be UTF-8.

    What is stored as something else is read as a text, which no sound column is: its bytes may be the same.
    """
    return f"case typeof({column}) when 'text' then cast({column} as blob) when 'null' then null else 'odd' end"


# The columns are in the order in which they were written.
_CONTENT = {
    "unit": f"""
        select key, checksum, {_text("id")}, session, {_text("granularity")}, event_at, created_at, updated_at,
               {_text("agent_id")}, {_text("roles")}, terms, {_text("sources")}, {_text("metadata")},
               {_text("text")}
        from units
        """,
    "vector of unit": "select unit, checksum, data from vectors",
    "session": f"""
        select number, checksum, {_text("id")}, unit, closed, derived, {_text("agent_id")}, turns, vector_sum
        from sessions
        """,
    "message": f"""
        select number, checksum, {_text("id")}, unit, {_text("role")}, {_text("name")}, bare, event_at,
               created_at, {_text("attachments")}, {_text("content")}
        from messages
        """,
    "links of node": "select node, checksum, node, floor, targets from links",
    "job of unit": f"""
        select unit, checksum, unit, session, {_text("kind")}, {_text("state")}, asked_at, seen, attempts, due_at,
               {_text("holder")}, held_until, ignored, {_text("reason")}
        from jobs
        """,
    "fact": "select unit, checksum, unit, valid_from, valid_to, superseded_by from facts",
    "change": f"select seq, checksum, {_text('unit')}, {_text('event')}, at, {_text('old_text')} from changes",
}

_ORPHANS = (
    ("vector without unit:", "select unit from vectors where unit not in (select key from units)"),
    (
        "unit without vector:",
        """
        select key from units
        where key not in (select unit from vectors) and not (granularity = 'document' and terms = x'')
        """,
    ),
    ("message without unit:", "select number from messages where unit not in (select key from units)"),
    ("unit without session:", "select key from units where session not in (select number from sessions)"),
    (
        "session without unit:",
        "select number from sessions where (unit != 0 or turns != 0) and unit not in (select key from units)",
    ),
    (
        "session with a wrong number of turns:",
        """
        select number from sessions s
        where turns != (select count(*) from units u where u.session = s.number and u.granularity = 'turn')
        """,
    ),
    ("job without unit:", "select unit from jobs where unit not in (select key from units)"),
    (
        "fact without unit:",
        "select unit from facts f where not exists (select 1 from units where key = f.unit and granularity = 'fact')",
    ),
    ("unit without fact:", "select key from units where granularity = 'fact' and key not in (select unit from facts)"),
    (
        "fact superseded by what is no fact:",
        "select unit from facts where superseded_by is not null and superseded_by not in (select unit from facts)",
    ),
    ("node of a missing session:", "select node from links where node / 4 not in (select number from sessions)"),
    (
        "node without unit:",
        """
        select node from links
        where not exists (
            select 1 from units u
            where u.session = node / 4
            and u.granularity = case node % 4 when 0 then 'session' when 1 then 'turn' when 2 then 'summary'
                                else 'keywords' end
        )
        """,
    ),
)
