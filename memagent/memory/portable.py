"""Export, import and backup of one user's memory.

An export is JSON Lines (gzip-compressed if its name ends in ``.gz``): a ``header``, then every ``session``, ``unit``,
``message`` and ``change``, and an ``end`` with the number of lines, so that a file that was cut off is noticed. It
holds no vectors: an import embeds with its own encoder. It is one state of the user, whatever is written meanwhile.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any, TypedDict

from memagent.errors import DataError, DuplicateId, InvalidInput
from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.memory.ingest import Encoded, lexical_terms, mean_vector, sum_of
from memagent.memory.writing import claim_encoder
from memagent.records import Attachment, Granularity, Message, as_utc, from_micros, to_micros, utc_now
from memagent.stores.port import Change, ReadTransaction, SessionState, StoredMessage, UnitDraft, WriteTransaction
from memagent.stores.sqlite import checked_user_id
from memagent.stores.sqlite_errors import translated

FORMAT = 1


class Exported(TypedDict):
    """What was written, and where."""

    path: str
    user_id: str
    units: int
    sessions: int
    messages: int


class Imported(TypedDict):
    """What was read, and for whom."""

    user_id: str
    units: int
    sessions: int
    messages: int


def export(core: Core, path: str | Path, *, user_id: str) -> Flow[Exported]:
    """Write all of a user's memory to a file, which appears only when it is complete."""
    checked_user_id(user_id)
    target = Path(path).expanduser()

    def work() -> Exported:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction, translated(str(target)):
            counts = transaction.counts()
            _write_lines(target, _records(transaction, user_id))
        return Exported(
            path=str(target),
            user_id=user_id,
            units=counts["units"],
            sessions=counts["sessions"],
            messages=counts["messages"],
        )

    written: Exported = yield work
    return written


def _write_lines(target: Path, records: Iterable[Mapping[str, Any]]) -> None:
    partial_path = target.with_name(target.name + ".partial")
    count = 0
    with partial_path.open("wb") as raw:
        packed: IO[bytes] = gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) if target.name.endswith(".gz") else raw  # type: ignore[assignment]
        for record in records:
            packed.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
            count += 1
        packed.write(json.dumps({"type": "end", "lines": count}).encode() + b"\n")
        if packed is not raw:
            packed.close()
        raw.flush()
        os.fsync(raw.fileno())
    partial_path.replace(target)


def _records(transaction: ReadTransaction, user_id: str) -> Iterator[dict[str, Any]]:
    yield {"type": "header", "format": FORMAT, "user_id": user_id, "exported_at": utc_now().isoformat()}
    for state in transaction.sessions():
        yield {
            "type": "session",
            "id": state.id,
            "closed": state.closed,
            "derived": state.derived,
            "agent_id": state.agent_id,
        }
    ids: dict[int, str] = {}
    for key in sorted(transaction.attributes()):
        (unit,) = transaction.units([key])
        ids[key] = unit.id
        own_text = unit.granularity is not Granularity.SESSION
        yield {
            "type": "unit",
            "id": unit.id,
            "session_id": unit.session_id,
            "granularity": str(unit.granularity),
            "event_at": unit.event_at.isoformat(),
            "created_at": unit.created_at.isoformat(),
            "updated_at": unit.updated_at.isoformat(),
            "agent_id": unit.agent_id,
            "roles": list(unit.roles),
            "source_ids": list(unit.source_ids) if unit.granularity is Granularity.TURN else [],
            "metadata": dict(unit.metadata),
            "text": unit.text if own_text else None,
        }
    for stored in transaction.messages():
        m = stored.message
        yield {
            "type": "message",
            "id": m.id,
            "unit": ids[stored.unit],
            "role": m.role,
            "name": m.name,
            "bare": m.bare,
            "event_at": m.event_at.isoformat(),
            "created_at": from_micros(stored.created_at).isoformat(),
            "attachments": [[a.kind, a.reference] for a in m.attachments],
            "content": m.content,
        }
    for change in transaction.history():
        yield {
            "type": "change",
            "unit": change.unit_id,
            "event": change.event,
            "old_text": change.old_text,
            "at": from_micros(change.at).isoformat(),
        }


def backup(core: Core, path: str | Path, *, user_id: str) -> Flow[str]:
    """Copy a user's file, vectors included, while it is in use. It must not be copied with ``cp``."""
    checked_user_id(user_id)
    target = Path(path).expanduser()
    if target.is_dir():
        raise InvalidInput(f"{target} is a directory", hint="name the file to write")

    def work() -> str:
        with core.banks.lease(user_id) as bank:
            bank.store.backup(target)
        return str(target)

    written: str = yield work
    return written


def import_(core: Core, path: str | Path, *, user_id: str | None) -> Flow[Imported]:
    """Read an export into a user's memory, in one transaction; into the same user's by default.

    For another user the ids get that user's prefix. Raises DuplicateId if something of it is stored already.
    """
    if user_id is not None:
        checked_user_id(user_id)
    source = Path(path).expanduser()
    lines: list[tuple[int, dict[str, Any]]] = yield partial(_read_lines, source)
    reader = _Reader(source, lines)
    owner = checked_user_id(user_id if user_id is not None else reader.user_id)
    texts = list(dict.fromkeys(unit.text for unit in reader.units.values() if unit.text is not None))
    vectors = yield from core.encode(texts)
    terms: list[bytes] = yield lambda: [lexical_terms(text) for text in texts]
    encoded = {t: Encoded(v, b) for t, v, b in zip(texts, vectors, terms, strict=True)}

    def write() -> None:
        with core.banks.lease(owner, create=True) as bank, bank.store.write() as transaction:
            claim_encoder(core, bank, transaction)
            reader.write(transaction, bank.store.owner, encoded)

    yield write
    return Imported(
        user_id=owner, units=len(reader.units), sessions=len(reader.sessions), messages=len(reader.messages)
    )


def _read_lines(source: Path) -> list[tuple[int, dict[str, Any]]]:
    opener: Callable[..., Any] = gzip.open if source.name.endswith(".gz") else Path.open
    records: list[tuple[int, dict[str, Any]]] = []
    try:
        with opener(source, "rb") as file:
            for number, line in enumerate(file, start=1):
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise DataError(f"{source}, line {number}: not an object", hint="is this a memagent export?")
                records.append((number, record))
    except FileNotFoundError:
        raise DataError(f"there is no file {source}", hint="check the path") from None
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{source}, line {len(records) + 1}: {error}", hint="is this a memagent export?") from None
    if not records or records[-1][1] != {"type": "end", "lines": len(records) - 1}:
        raise DataError(f"{source} is cut off: its last line is missing", hint="export again")
    return records[:-1]


class _Reader:
    """The records of an export, checked, and how they are written."""

    def __init__(self, source: Path, lines: list[tuple[int, dict[str, Any]]]) -> None:
        self._source = source
        self.user_id = ""
        self.sessions: list[tuple[str, bool, bool, str | None]] = []
        self.units: dict[str, UnitDraft] = {}
        self._session_of: dict[str, str] = {}
        self._turn_texts: dict[str, list[str]] = {}
        self._session_units: dict[str, list[str]] = {}
        self.messages: list[tuple[str, Message, int]] = []
        self.changes: list[Change] = []
        takers = {
            "header": self._header,
            "session": self._session,
            "unit": self._unit,
            "message": self._message,
            "change": self._change,
        }
        for number, record in lines:
            kind = record.get("type")
            try:
                takers[str(kind)](record)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    f"{source}, line {number} ({kind}): {type(error).__name__}: {error}", hint="is the file damaged?"
                ) from None
        if not self.user_id:
            raise DataError(f"{source} has no header", hint="is this a memagent export?")

    def _header(self, record: Mapping[str, Any]) -> None:
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']} is not {FORMAT}: upgrade memagent")
        self.user_id = _text(record["user_id"])

    def _session(self, record: Mapping[str, Any]) -> None:
        self.sessions.append((_text(record["id"]), bool(record["closed"]), bool(record["derived"]), record["agent_id"]))

    def _unit(self, record: Mapping[str, Any]) -> None:
        identifier = _text(record["id"])
        granularity = Granularity.of(record["granularity"])
        session = self._session_of[identifier] = _text(record["session_id"])
        if granularity is Granularity.TURN:
            self._turn_texts.setdefault(session, []).append(_text(record["text"]))
        elif granularity is Granularity.SESSION:
            self._session_units.setdefault(session, []).append(identifier)
        self.units[identifier] = UnitDraft(
            id=identifier,
            session=0,
            granularity=granularity,
            text=None if granularity is Granularity.SESSION else _text(record["text"]),
            event_at=to_micros(as_utc(record["event_at"])),
            at=to_micros(as_utc(record["created_at"])),
            updated_at=to_micros(as_utc(record["updated_at"])),
            sources=tuple(map(_text, record["source_ids"])),
            roles=tuple(map(_text, record["roles"])),
            agent_id=record["agent_id"],
            metadata=dict(record["metadata"]),
        )

    def _message(self, record: Mapping[str, Any]) -> None:
        message = Message(
            id=_text(record["id"]),
            role=_text(record["role"]),
            name=record["name"],
            bare=bool(record["bare"]),
            content=_text(record["content"]),
            event_at=as_utc(record["event_at"]),
            attachments=tuple(Attachment(kind=_text(k), reference=_text(r)) for k, r in record["attachments"]),
        )
        self.messages.append((_text(record["unit"]), message, to_micros(as_utc(record["created_at"]))))

    def _change(self, record: Mapping[str, Any]) -> None:
        at = to_micros(as_utc(record["at"]))
        self.changes.append(Change(_text(record["unit"]), _text(record["event"]), record["old_text"], None, at))

    # writing

    def write(self, transaction: WriteTransaction, owner: str, encoded: Mapping[str, Encoded]) -> None:
        """Write everything for the user whose ids begin with ``owner``."""
        taken = [session[0] for session in self.sessions if transaction.session(session[0])]
        if taken:
            raise DuplicateId(
                f"the session {taken[0]!r} is stored already", hint="import into another user, or delete it"
            )
        renamed = {
            unit_id: f"{owner}-{unit_id.rpartition('-')[2]}"
            for unit_id in dict.fromkeys([*self.units, *(change.unit_id for change in self.changes)])
        }
        numbers = {s[0]: transaction.insert_session(s[0], agent_id=s[3]) for s in self.sessions}
        drafts = [self._ready(unit, renamed[unit.id], numbers, encoded) for unit in self.units.values()]
        if any(transaction.find(draft.id) for draft in drafts):
            raise DuplicateId("a memory of this export is stored already", hint="delete it first")
        keys = dict(zip(self.units, transaction.insert_units(drafts, event=""), strict=True))
        transaction.insert_messages([StoredMessage(keys[unit], message, at) for unit, message, at in self.messages])
        transaction.append_history([replace_unit(change, renamed[change.unit_id]) for change in self.changes])
        for session_id, closed, derived, agent_id in self.sessions:
            self._finish(transaction, session_id, numbers[session_id], keys, encoded, (closed, derived, agent_id))

    def _ready(
        self, unit: UnitDraft, identifier: str, numbers: Mapping[str, int], encoded: Mapping[str, Encoded]
    ) -> UnitDraft:
        session = self._session_of[unit.id]
        if session not in numbers:
            raise DataError(
                f"{self._source}: unit {unit.id} names the unknown session {session!r}", hint="export again"
            )
        if unit.text is None:
            return replace(unit, id=identifier, session=numbers[session], vector=self._mean(session, encoded))
        made = encoded[unit.text]
        return replace(unit, id=identifier, session=numbers[session], terms=made.terms, vector=made.vector)

    def _mean(self, session_id: str, encoded: Mapping[str, Encoded]) -> Any:
        return mean_vector(sum_of([encoded[text].vector for text in self._turn_texts.get(session_id, [])], None))

    def _finish(
        self,
        transaction: WriteTransaction,
        session_id: str,
        number: int,
        keys: Mapping[str, int],
        encoded: Mapping[str, Encoded],
        state: tuple[bool, bool, str | None],
    ) -> None:
        own = self._session_units.get(session_id, [])
        texts = self._turn_texts.get(session_id, [])
        if len(own) != 1 or not texts:
            raise DataError(f"{self._source}: session {session_id!r} has no unit or no turns", hint="export again")
        closed, derived, agent_id = state
        transaction.save_session(
            SessionState(
                number=number,
                id=session_id,
                unit=keys[own[0]],
                closed=closed,
                derived=derived,
                agent_id=agent_id,
                turns=len(texts),
                vector_sum=sum_of([encoded[text].vector for text in texts], None),
            )
        )


def replace_unit(change: Change, unit_id: str) -> Change:
    """A change under another memory id."""
    return change._replace(unit_id=unit_id)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {type(value).__name__}")
    return value
