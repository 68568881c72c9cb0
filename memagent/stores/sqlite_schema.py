"""The tables of a user's file and how older files become newer ones.

``units``, ``messages``, ``changes``, ``facts`` and ``jobs`` are the truth; ``vectors``, ``units.terms`` and ``links``
are derived from it and could be computed again. Text columns come last in their rows, so that reading the columns
before them does not touch the overflow pages of long texts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

from memagent.errors import StoreCorrupt, StoreVersion
from memagent.stores.sqlite_errors import DAMAGED

APPLICATION_ID = 0x6D656D61  # "mema", in the file's header: tells our files from other SQLite databases

WRITE_AHEAD = b"\x02\x02"
"""Bytes 18 and 19 of a file (write and read version) that stands in write-ahead mode."""

Migration = Callable[[apsw.Connection], Any]


def m001_tables(connection: apsw.Connection) -> None:
    """The first schema."""
    connection.execute(
        """
        create table meta (name text primary key, value) without rowid;
        create table encoders (id integer primary key, fingerprint text not null unique, dim integer not null);
        create table sessions (
            number integer primary key autoincrement,
            id text not null unique,
            unit integer not null default 0,
            closed integer not null default 0,
            derived integer not null default 0,
            agent_id text,
            turns integer not null default 0,
            checksum integer not null,
            vector_sum blob
        );
        create index sessions_state on sessions(closed, derived);
        create table units (
            key integer primary key autoincrement,
            id text not null unique,
            session integer not null references sessions(number),
            granularity text not null,
            event_at integer not null,
            created_at integer not null,
            updated_at integer not null,
            revision integer not null,
            checksum integer not null,
            agent_id text,
            roles text not null,
            terms blob not null,
            sources text not null,
            metadata text not null,
            text text
        );
        create index units_revision on units(revision);
        create index units_session on units(session, granularity);
        create table vectors (
            unit integer primary key, encoder integer not null, checksum integer not null, data blob not null
        );
        create table messages (
            number integer primary key autoincrement,
            id text not null unique,
            unit integer not null,
            role text not null,
            name text,
            bare integer not null,
            event_at integer not null,
            created_at integer not null,
            checksum integer not null,
            attachments text not null,
            content text not null
        );
        create index messages_unit on messages(unit);
        create table changes (
            seq integer primary key autoincrement,
            unit text not null,
            event text not null,
            at integer not null,
            checksum integer not null,
            old_text text
        );
        create index changes_unit on changes(unit);
        create table removed (key integer primary key, revision integer not null);
        create index removed_revision on removed(revision);
        insert into meta values ('revision', 0), ('scrub', 0);
        """
    )


def m002_association(connection: apsw.Connection) -> None:
    """The association graph, one row a node; ``node`` is its session's number * 4 + its kind."""
    connection.execute(
        """
        create table links (
            node integer primary key,
            floor real,
            checksum integer not null,
            targets blob not null
        );
        insert into meta values ('links', 0), ('association', null);
        insert into meta select 'links_seen', value from meta where name = 'revision';
        """
    )


def m003_inference(connection: apsw.Connection) -> None:
    """What a language model is to write (``jobs``), and what its facts have beside other units."""
    connection.execute(
        """
        create table jobs (
            unit integer primary key,
            session integer not null,
            kind text not null,
            state text not null,
            asked_at integer not null,
            seen integer not null,
            attempts integer not null,
            due_at integer not null,
            holder text not null,
            held_until integer not null,
            ignored integer not null,
            checksum integer not null,
            said_at integer,
            reason text not null
        );
        create index jobs_in_order on jobs(state, kind, said_at, unit);
        create table facts (
            unit integer primary key,
            valid_from integer,
            valid_to integer,
            superseded_by integer,
            checksum integer not null
        );
        create index facts_superseded on facts(superseded_by);
        """
    )


LINKS_SEEN = "((select value from meta where name = 'revision') is (select value from meta where name = 'links_seen'))"
"""SQL: whether the last commit was made by one that keeps the links true. A handle that a memagent of version 1 opened
before the file was migrated goes on writing, and knows nothing of them."""


MIGRATIONS: tuple[Migration, ...] = (m001_tables, m002_association, m003_inference)
"""Migration ``i`` brings a file from version i to i + 1; a released one is never edited."""


def version_of(connection: apsw.Connection) -> int:
    """The schema version of an open file; raises StoreCorrupt if the file is not one of ours."""
    if connection.pragma("application_id") != APPLICATION_ID:
        raise StoreCorrupt(f"{connection.filename} is not a memagent database", hint=DAMAGED)
    version = int(connection.pragma("user_version"))
    if version < 0:
        raise StoreCorrupt(f"{connection.filename} has the schema version {version}", hint=DAMAGED)
    return version


def is_current(connection: apsw.Connection) -> bool:
    """Whether no migration is due; raises StoreVersion for a file from the future."""
    version = version_of(connection)
    refuse_newer(connection)
    return version == len(MIGRATIONS)


def refuse_newer(connection: apsw.Connection) -> None:
    """Raise StoreVersion for a file from the future; it may have become one while it was open."""
    version = int(connection.pragma("user_version"))
    if version > len(MIGRATIONS):
        raise StoreVersion(
            f"{connection.filename} has schema version {version}, this memagent knows {len(MIGRATIONS)}",
            hint="upgrade memagent",
        )


def migrate(connection: apsw.Connection) -> None:
    """Bring an open file to the current version, one transaction a step."""
    while not is_current(connection):
        version = version_of(connection)
        with connection:
            MIGRATIONS[version](connection)
            connection.pragma("user_version", version + 1)


def blank(user_id: str, created_at: int) -> bytes:
    """The bytes of a new user's file, ready to be written in one piece."""
    connection = apsw.Connection(":memory:")
    try:
        connection.pragma("application_id", APPLICATION_ID)
        migrate(connection)
        connection.execute("insert into meta values ('user_id', ?), ('created_at', ?)", (user_id, created_at))
        image = bytearray(connection.serialize("main"))
    finally:
        connection.close()
    # File format, bytes 18 and 19 (write and read version): 2 means write-ahead logging. An in-memory database
    # cannot be put into that mode, and doing it after the first opening would cost two more syncs.
    image[18:20] = WRITE_AHEAD
    return bytes(image)
