"""Reading an export: every line is checked before anything is written."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from memagent.errors import DataError, InvalidInput
from memagent.memory import documents
from memagent.memory.inferred_lines import JobLine, Superseded, read_job, read_superseded, read_valid_from
from memagent.memory.messages import as_metadata
from memagent.records import Attachment, Granularity, Message, as_utc, to_micros
from memagent.stores.port import SUPERSEDE, Change, UnitDraft
from memagent.stores.sqlite_errors import translate_os

FORMAT = 1
INFERRED_FORMAT = 2
"""Of an export that tells of what a language model writes, or of documents: earlier versions cannot read it."""
_HINT = "is the file a memagent export, and undamaged?"


class SessionLine(NamedTuple):
    """One session of an export."""

    id: str
    closed: bool
    derived: bool
    agent_id: str | None


class Fields:
    """One line of an export; its fields are read with their types. Raises DataError, naming line and field."""

    def __init__(self, record: Mapping[str, Any], where: str) -> None:
        self._record = record
        self.where = where

    def fault(self, problem: str) -> DataError:
        """The error for this line."""
        return DataError(f"{self.where}: {problem}", hint=_HINT)

    def value(self, name: str) -> Any:
        """A field of any type."""
        if name not in self._record:
            raise self.fault(f"the field {name!r} is missing")
        return self._record[name]

    def text(self, name: str) -> str:
        """A text."""
        return self._text(self.value(name), name)

    def name(self, name: str) -> str:
        """A text that is not empty."""
        if text := self.text(name):
            return text
        raise self._refusal(name, text, "a text that is not empty")

    def text_or_none(self, name: str) -> str | None:
        """A text or null."""
        return None if self.value(name) is None else self.text(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(self._text(item, name) for item in self._list(name))

    def pairs(self, name: str) -> list[tuple[str, str]]:
        """A list of pairs of texts."""
        pairs = self._list(name)
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise self._refusal(name, pairs, "a list of pairs")
        return [(self._text(a, name), self._text(b, name)) for a, b in pairs]

    def flag(self, name: str) -> bool:
        """A JSON true or false."""
        value = self.value(name)
        if not isinstance(value, bool):
            raise self._refusal(name, value, "true or false")
        return value

    def count(self, name: str) -> int:
        """A whole number of at least 0."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
            raise self._refusal(name, value, "a whole number of at least 0")
        return value

    def moment(self, name: str) -> datetime:
        """A time with its zone."""
        try:
            return as_utc(self.text(name), f"the field {name!r}")
        except InvalidInput as error:
            raise self.fault(error.message) from None

    def record(self, name: str) -> dict[str, Any]:
        """An object of any size."""
        value = self.value(name)
        if not isinstance(value, dict):
            raise self._refusal(name, value, "an object")
        self._text(json.dumps(value, ensure_ascii=False), name)
        return value

    def metadata(self, name: str) -> dict[str, Any]:
        """An object that can be stored as metadata."""
        value = self.record(name)
        try:
            return as_metadata(value)
        except InvalidInput as error:
            raise self.fault(f"the field {name!r}: {error.message}") from None

    def _list(self, name: str) -> list[Any]:
        value = self.value(name)
        if not isinstance(value, list):
            raise self._refusal(name, value, "a list")
        return value

    def _text(self, value: object, name: str) -> str:
        if not isinstance(value, str):
            raise self._refusal(name, value, "a text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self.fault(f"the field {name!r} holds a lone surrogate") from None
        return value

    def _refusal(self, name: str, value: object, wanted: str) -> DataError:
        return self.fault(f"the field {name!r} is {value!r:.100}, not {wanted}")


class Contents:
    """What an export holds, in its order.

    The drafts of units and the changes have the ids that the file has; drafts do not know the number of their session.
    """

    def __init__(self, source: Path) -> None:
        self.source = source
        self.user_id = ""
        self.sessions: dict[str, SessionLine] = {}
        self.units: dict[str, UnitDraft] = {}
        self.session_of: dict[str, str] = {}
        self.turns: dict[str, list[str]] = {}
        """The ids of each session's turns."""
        self.own_units: dict[str, str] = {}
        """The id of each session's own unit."""
        self.messages: list[tuple[str, Message, int]] = []
        """The turn that holds each message, the message, and when it was stored (microseconds)."""
        self.changes: list[Change] = []
        self.superseded: dict[str, Superseded] = {}
        """Facts that others have superseded, by their ids."""
        self.jobs: dict[str, JobLine] = {}
        """What a language model is to write, by the ids of the units it is about."""
        self._message_ids: set[str] = set()
        self._ulids: set[str] = set()

    def take(self, fields: Fields) -> None:
        """Check a line and take it in."""
        kind = fields.value("type")
        takers: dict[str, Callable[[Fields], None]] = {
            "session": self._session,
            "unit": self._unit,
            "message": self._message,
            "change": self._change,
            "job": self._job,
        }
        if kind not in takers:
            raise fields.fault(f"the type {kind!r:.100} is not one of {', '.join(takers)}")
        takers[kind](fields)

    def take_header(self, fields: Fields) -> None:
        """Check the first line and take it in."""
        if fields.value("type") != "header":
            raise fields.fault("the first line is not a header")
        if fields.value("format") not in (FORMAT, INFERRED_FORMAT) or isinstance(fields.value("format"), bool):
            raise fields.fault(
                f"the format is {fields.value('format')!r:.100}, not {FORMAT} or {INFERRED_FORMAT}; a newer memagent "
                "may know it"
            )
        self.user_id = fields.name("user_id")

    def _session(self, fields: Fields) -> None:
        line = SessionLine(
            fields.name("id"), fields.flag("closed"), fields.flag("derived"), fields.text_or_none("agent_id")
        )
        if line.id in self.sessions:
            raise fields.fault(f"the session {line.id!r:.100} comes twice")
        self.sessions[line.id] = line

    def _unit(self, fields: Fields) -> None:
        identifier, session = fields.name("id"), fields.name("session_id")
        ulid = identifier.rpartition("-")[2]
        if ulid in self._ulids or not ulid.isalnum() or not ulid.isascii():
            raise fields.fault(f"the id {identifier!r:.100} comes twice, or is not one of a memory")
        if session not in self.sessions:
            raise fields.fault(f"the session {session!r:.100} is unknown")
        granularity = fields.name("granularity")
        if granularity not in list(Granularity):
            raise fields.fault(f"the granularity {granularity!r:.100} is unknown")
        is_document = granularity == Granularity.DOCUMENT
        metadata = fields.record("metadata") if is_document else fields.metadata("metadata")
        self._check_document(fields, is_document, session, ulid, metadata)
        draft = UnitDraft(
            id=identifier,
            session=0,
            granularity=Granularity(granularity),
            text=None if granularity == Granularity.SESSION else fields.text("text"),
            event_at=to_micros(fields.moment("event_at")),
            at=to_micros(fields.moment("created_at")),
            updated_at=to_micros(fields.moment("updated_at")),
            sources=fields.texts("source_ids"),
            roles=fields.texts("roles"),
            agent_id=fields.text_or_none("agent_id"),
            metadata=metadata,
            valid_from=read_valid_from(fields) if granularity == Granularity.FACT else None,
        )
        if granularity == Granularity.FACT and (superseded := read_superseded(fields)):
            self.superseded[identifier] = superseded
        if draft.granularity is Granularity.TURN:
            self.turns.setdefault(session, []).append(identifier)
        elif draft.granularity is Granularity.SESSION and self.own_units.setdefault(session, identifier) != identifier:
            raise fields.fault(f"the session {session!r:.100} has a second unit of its own")
        self._ulids.add(ulid)
        self.units[identifier] = draft
        self.session_of[identifier] = session

    @staticmethod
    def _check_document(
        fields: Fields, is_document: bool, session: str, name: str, metadata: Mapping[str, Any]
    ) -> None:
        """Raise DataError for a document that cannot be one, and for what stands among documents and is none."""
        if is_document != (session == documents.SESSION):
            raise fields.fault(f"documents, and nothing else, belong to the session {documents.SESSION!r}")
        if is_document and not documents.is_sound(name, fields.text("text"), metadata):
            raise fields.fault("the document's id, text and metadata contradict each other")

    def _message(self, fields: Fields) -> None:
        unit, identifier = fields.name("unit"), fields.name("id")
        if unit not in self.units or self.units[unit].granularity is not Granularity.TURN:
            raise fields.fault(f"there is no turn {unit!r:.100}")
        if identifier in self._message_ids:
            raise fields.fault(f"the message {identifier!r:.100} comes twice")
        message = Message(
            id=identifier,
            role=fields.name("role"),
            name=fields.text_or_none("name"),
            bare=fields.flag("bare"),
            content=fields.text("content"),
            event_at=fields.moment("event_at"),
            attachments=tuple(Attachment(kind=k, reference=r) for k, r in fields.pairs("attachments")),
        )
        self._message_ids.add(identifier)
        self.messages.append((unit, message, to_micros(fields.moment("created_at"))))

    def _change(self, fields: Fields) -> None:
        event = fields.text("event")
        if event not in ("ADD", "UPDATE", "DELETE", SUPERSEDE):
            raise fields.fault(f"the event {event!r:.100} is unknown")
        at = to_micros(fields.moment("at"))
        self.changes.append(Change(fields.name("unit"), event, fields.text_or_none("old_text"), None, at))

    def _job(self, fields: Fields) -> None:
        line = read_job(fields)
        about = Granularity.TURN if line.kind == "facts" else Granularity.SESSION
        if line.unit in self.jobs or line.unit not in self.units or self.units[line.unit].granularity is not about:
            raise fields.fault(f"there is no {about} {line.unit!r:.100}, or it has two jobs")
        self.jobs[line.unit] = line

    def check(self) -> None:
        """Raise DataError for what contradicts itself.

        A session without turns or without its own unit, a unit without history, a fact superseded by what is no fact.
        """
        for session in self.sessions:
            if session != documents.SESSION and not (session in self.turns and session in self.own_units):
                raise DataError(f"{self.source}: the session {session!r:.100} has no turns or no unit", hint=_HINT)
        for fact, (by, _) in self.superseded.items():
            if by == fact or by not in self.units or self.units[by].granularity is not Granularity.FACT:
                raise DataError(f"{self.source}: {by!r:.100}, which superseded {fact!r:.100}, is no fact", hint=_HINT)
        if unknown := self.units.keys() - {change.unit_id for change in self.changes}:
            raise DataError(f"{self.source}: nothing says when {min(unknown)!r:.100} was added", hint=_HINT)


def read_export(source: Path) -> Contents:
    """The contents of an export file; raises DataError, naming the line, for what cannot be an export."""
    contents = Contents(source)
    complete = False
    for count, fields in enumerate(_lines(source)):
        if complete:
            raise fields.fault("there is a line after the end")
        if count == 0:
            contents.take_header(fields)
        elif fields.value("type") == "end":
            if fields.value("lines") != count:
                raise fields.fault(f"{fields.value('lines')!r:.100} lines were written, {count} are there")
            complete = True
        else:
            contents.take(fields)
    if not complete:
        raise DataError(f"{source} is cut off: its last line is missing", hint="export again")
    contents.check()
    return contents


def _lines(source: Path) -> Iterator[Fields]:
    opener: Callable[..., Any] = gzip.open if source.name.endswith(".gz") else Path.open
    number = 0
    try:
        with opener(source, "rb") as file:
            for number, line in enumerate(file, start=1):
                yield _fields(line, f"{source}, line {number}")
    except FileNotFoundError:
        raise DataError(f"there is no file {source}", hint="check the path") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{source}, line {number + 1}: the compressed data are damaged: {error}", hint=_HINT) from None
    except OSError as error:
        raise translate_os(error, str(source)) from error


def _fields(line: bytes, where: str) -> Fields:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: {error}", hint=_HINT) from None
    if not isinstance(record, dict):
        raise DataError(f"{where}: not an object", hint=_HINT)
    return Fields(record, where)
