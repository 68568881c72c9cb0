"""Reading what mem0 exports; every record is checked before anything is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memagent.errors import DataError, InvalidInput
from memagent.files import as_path
from memagent.memory.messages import as_label, as_messages, as_metadata
from memagent.records import Message, Session, as_utc, utc_now
from memagent.stores.sqlite import checked_user_id
from memagent.stores.sqlite_errors import translate_os

_HINT = "is the file what mem0's get_all() replies, as JSON?"
_KEPT = ("role", "actor_id", "attributed_to", "expiration_date", "categories")
"""Fields of a record that are kept as metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mem0Record:
    """One memory of mem0's."""

    id: str
    text: str
    user_id: str
    said_at: datetime
    run_id: str | None
    agent_id: str | None
    metadata: Mapping[str, Any]

    @property
    def message_id(self) -> str:
        """The id of the message that it becomes."""
        return f"mem0/{self.id}"

    def as_session(self) -> Session:
        """The memory as a note in its session."""
        note = Message(role="user", content=self.text, event_at=self.said_at, bare=True, id=self.message_id)
        session = self.run_id or f"mem0-{self.said_at.date().isoformat()}"
        return Session(messages=(note,), id=session, agent_id=self.agent_id, metadata=self.metadata)


def read_mem0(path: str | Path, *, user_id: str | None, assume_utc: bool) -> list[Mem0Record]:
    """The records of an export: a list, or an object with ``results`` or ``memories``. Raises DataError."""
    if user_id is not None:
        checked_user_id(user_id)
    source = as_path(path, "the file of the import")
    found = _loaded(source)
    listed = found.get("results", found.get("memories")) if isinstance(found, dict) else found
    if not isinstance(listed, list):
        raise DataError(f"{source}: there is no list of memories", hint=_HINT)
    if isinstance(found, dict) and found.get("next"):
        raise DataError(f"{source} is one page of several", hint="export all pages, and import each")
    records = [
        _record(entry, f"{source}, record {place}", user_id, assume_utc=assume_utc)
        for place, entry in enumerate(listed, start=1)
    ]
    seen: set[tuple[str, str]] = set()
    for place, record in enumerate(records, start=1):
        if (record.user_id, record.id) in seen:
            raise DataError(f"{source}, record {place}: the id {record.id!r:.100} comes twice", hint=_HINT)
        seen.add((record.user_id, record.id))
    return records


def _loaded(source: Path) -> Any:
    try:
        return json.loads(source.read_bytes())
    except FileNotFoundError:
        raise DataError(f"there is no file {source}", hint="check the path") from None
    except OSError as error:
        raise translate_os(error, str(source)) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: {error}", hint=_HINT) from None


def _record(entry: object, where: str, default_user: str | None, *, assume_utc: bool) -> Mem0Record:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: not an object", hint=_HINT)
    user = entry.get("user_id") or default_user
    if user is None:
        raise DataError(f"{where} names no user", hint="say whose it is: user_id=, or --user on the command line")
    try:
        record = Mem0Record(
            id=_text(entry, "id", where),
            text=_text(entry, "memory", where),
            user_id=checked_user_id(user),
            said_at=_moment(entry, where, assume_utc=assume_utc),
            run_id=as_label(entry.get("run_id") or None, "run_id"),
            agent_id=as_label(entry.get("agent_id") or None, "agent_id"),
            metadata=_metadata(entry),
        )
        as_messages(record.as_session().messages, at=record.said_at)  # sizes, and what UTF-8 cannot hold
    except DataError:
        raise
    except InvalidInput as error:
        raise DataError(f"{where}: {error.message}", hint=error.hint or _HINT) from None
    return record


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the field {name!r} is {value!r:.100}, not a text", hint=_HINT)
    return value


def _moment(entry: Mapping[str, Any], where: str, *, assume_utc: bool) -> datetime:
    value = entry.get("created_at")
    if value is None:
        return utc_now()
    if assume_utc and isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise DataError(f"{where}: created_at is {value!r:.100}, not a time", hint=_HINT) from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else as_utc(moment)
    try:
        return as_utc(value, "created_at")
    except InvalidInput as error:
        raise DataError(
            f"{where}: {error.message}", hint="if it has no zone, say that it is UTC: assume_utc=True, or --assume-utc"
        ) from None


def _metadata(entry: Mapping[str, Any]) -> dict[str, Any]:
    given = entry.get("metadata") or {}
    if not isinstance(given, Mapping):
        raise InvalidInput(f"the field 'metadata' is {given!r:.100}, not an object")
    kept = {name: entry[name] for name in _KEPT if entry.get(name) is not None}
    return as_metadata({**given, **kept, "mem0_id": entry["id"]})
