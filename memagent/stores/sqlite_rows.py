"""Reading and writing one user's tables: all SQL of the store, but for the schema."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import apsw
import numpy as np

from memagent.errors import DuplicateId, StoreCorrupt
from memagent.records import Attachment, Granularity, MemoryUnit, Message, from_micros, to_micros
from memagent.stores.port import Attributes, Change, Delta, IndexRow, SessionState, StoredMessage, UnitDraft
from memagent.stores.sqlite_errors import DAMAGED

if TYPE_CHECKING:
    from memagent.records import Vector

_UNIT_COLUMNS = (
    "u.key, u.id, s.id, u.granularity, u.event_at, u.created_at, u.updated_at, u.agent_id, u.roles, u.sources, "
    "u.metadata, u.text, u.session"
)
_SESSION_COLUMNS = "number, id, unit, closed, derived, agent_id, turns, vector_sum"
_BATCH = 500  # keys per statement: far below SQLite's limit on bound values


def _batches(keys: Sequence[int]) -> Iterator[tuple[int, ...]]:
    for start in range(0, len(keys), _BATCH):
        yield tuple(int(key) for key in keys[start : start + _BATCH])


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def dump(value: object) -> str:
    """JSON as it is stored: compact, Unicode kept, keys in order, no NaN."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def checksum(*values: str | bytes | int | None) -> int:
    """What ``verify`` recomputes to find silent damage in a row: a CRC-32 of its columns."""
    return crc32(b"\x1f".join(map(_bytes, values)))


def _bytes(value: str | bytes | int | None) -> bytes:
    if value is None:
        return b"\0"
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b"%d" % value


_UNREADABLE = (ValueError, TypeError, KeyError, OverflowError)
"""What decoding a damaged row can raise."""


_TEXT = (str, type(None))
_BYTES = (bytes, type(None))
_UNIT = (int, str, str, str, int, int, int, _TEXT, str, str, str, _TEXT, int)
_ATTRIBUTES = (int, str, int, int, str, _TEXT, str)
_SESSION = (int, str, int, int, int, _TEXT, int, _BYTES)
_MESSAGE = (int, str, str, _TEXT, int, int, int, str, str)
_CHANGE = (str, str, int, _TEXT)


def _typed(row: Sequence[Any], types: Sequence[Any]) -> Sequence[Any]:
    """A row whose columns have the types they were stored with; damage can change them."""
    for value, wanted in zip(row, types, strict=True):
        if not isinstance(value, wanted):
            raise TypeError(f"a column is {type(value).__name__}")
    return row


def _damaged(error: Exception) -> StoreCorrupt:
    return StoreCorrupt(f"a stored row cannot be read: {type(error).__name__}: {error}", hint=DAMAGED)


class Rows:
    """The reading half of a transaction on an open connection."""

    def __init__(self, connection: apsw.Connection, user_id: str) -> None:
        self._connection = connection
        self._user_id = user_id

    def _all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except UnicodeDecodeError as error:
            raise _damaged(error) from error

    def _value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        try:
            return self._connection.execute(sql, tuple(values)).get
        except UnicodeDecodeError as error:
            raise _damaged(error) from error

    # what the indexes read

    def revision(self) -> int:
        """The number of the last commit."""
        value = self._value("select value from meta where name = 'revision'")
        if not isinstance(value, int):
            raise StoreCorrupt("the number of the last commit is missing", hint=DAMAGED)
        return value

    def delta(self, since: int) -> Delta:
        """What changed after revision ``since``."""
        # "+key": else SQLite reads whole tables in the order of their keys rather than sort the few rows that its
        # indexes on revisions find. Whole-table reads go faster without these.
        removed = (
            []
            if since == 0
            else [row[0] for row in self._all("select key from removed where revision > ? order by +key", (since,))]
        )
        condition = "order by u.key" if since == 0 else "where u.revision > ? order by +u.key"
        rows = self._all(
            "select u.key, u.granularity, u.session, u.event_at, u.terms, v.data from units u "
            f"left join vectors v on v.unit = u.key {condition}",
            (since,) if since else (),
        )
        named = {str(granularity): granularity for granularity in Granularity}
        try:
            changed = [
                IndexRow(key, named[name], session, at, terms, data) for key, name, session, at, terms, data in rows
            ]
        except _UNREADABLE as error:
            raise _damaged(error) from error
        for row in changed:
            if not (type(row.session) is type(row.event_at) is int and type(row.terms) is bytes) or not isinstance(
                row.vector, _BYTES
            ):
                raise _damaged(TypeError(f"unit {row.key} has a column of another type"))
        return Delta(self.revision(), removed, changed)

    # units

    def units(self, keys: Sequence[int], *, whole: bool = True) -> list[MemoryUnit]:
        """The units with these keys, in this order."""
        found: dict[int, MemoryUnit] = {}
        for batch in _batches(keys):
            for row in self._all(
                f"select {_UNIT_COLUMNS} from units u join sessions s on s.number = u.session "
                f"where u.key in ({_marks(batch)})",
                batch,
            ):
                try:
                    found[row[0]] = self._unit(row, whole=whole)
                except _UNREADABLE as error:
                    raise _damaged(error) from error
        return [found[int(key)] for key in keys if int(key) in found]

    def find(self, unit_id: str) -> MemoryUnit | None:
        """The unit with this id."""
        key = self._value("select key from units where id = ?", (unit_id,))
        return None if key is None else next(iter(self.units([key])), None)

    def _unit(self, row: Sequence[Any], *, whole: bool) -> MemoryUnit:
        key, unit_id, session_id, granularity, event_at, created, updated, agent, roles, sources, meta, text, number = (
            _typed(row, _UNIT)
        )
        source_ids = tuple(json.loads(sources))
        if whole and text is None:
            text = self._session_text(number)
        if whole and granularity != str(Granularity.TURN):
            source_ids = self._message_ids(number)
        return MemoryUnit(
            key=key,
            id=unit_id,
            user_id=self._user_id,
            session_id=session_id,
            granularity=Granularity(granularity),
            text=text or "",
            event_at=from_micros(event_at),
            created_at=from_micros(created),
            updated_at=from_micros(updated),
            source_ids=source_ids,
            roles=tuple(json.loads(roles)),
            agent_id=agent,
            metadata=json.loads(meta) if meta != "{}" else {},
        )

    def _session_text(self, session: int) -> str:
        """What a session's unit says: the texts of its turns, one below the other."""
        texts = self._all(
            "select text from units where session = ? and granularity = ? order by key",
            (session, str(Granularity.TURN)),
        )
        return "\n".join(row[0] for row in texts)

    def _message_ids(self, session: int) -> tuple[str, ...]:
        """What a derived unit comes from: all messages of its session."""
        return tuple(
            row[0]
            for row in self._all(
                "select m.id from units u join messages m on m.unit = u.key "
                "where u.session = ? and u.granularity = ? order by m.number",
                (session, str(Granularity.TURN)),
            )
        )

    def attributes(self, keys: Sequence[int] | None = None) -> dict[int, Attributes]:
        """What filters need of these units (None: of all)."""
        sql = (
            "select u.key, s.id, u.event_at, u.created_at, u.roles, u.agent_id, u.metadata "
            "from units u join sessions s on s.number = u.session"
        )
        rows: Iterable[Any]
        if keys is None:
            rows = self._all(sql)
        else:
            rows = [r for batch in _batches(keys) for r in self._all(f"{sql} where u.key in ({_marks(batch)})", batch)]
        try:
            return {
                key: Attributes(session, event_at, created, tuple(json.loads(roles)), agent, json.loads(metadata))
                for key, session, event_at, created, roles, agent, metadata in (_typed(r, _ATTRIBUTES) for r in rows)
            }
        except _UNREADABLE as error:
            raise _damaged(error) from error

    def vectors(self, keys: Sequence[int]) -> dict[int, bytes]:
        """The stored vectors of these units."""
        return {
            unit: data
            for batch in _batches(keys)
            for unit, data in self._all(f"select unit, data from vectors where unit in ({_marks(batch)})", batch)
        }

    def keys_of(self, session: int, granularity: Granularity) -> list[int]:
        """The keys of a session's units of one granularity."""
        return [
            row[0]
            for row in self._all(
                "select key from units where session = ? and granularity = ? order by key", (session, str(granularity))
            )
        ]

    def last_key(self, session: int, granularity: Granularity) -> int | None:
        """The newest of a session's units of one granularity."""
        key = self._value(
            "select max(key) from units where session = ? and granularity = ?", (session, str(granularity))
        )
        return None if key is None else int(key)

    # sessions and messages

    def session(self, session_id: str) -> SessionState | None:
        """The session with this id."""
        rows = self._all(f"select {_SESSION_COLUMNS} from sessions where id = ?", (session_id,))
        return self._session(rows[0]) if rows else None

    def sessions(self, *, closed: bool | None = None, derived: bool | None = None) -> list[SessionState]:
        """All sessions in the order they were begun, or those in a state."""
        wanted = {"closed": closed, "derived": derived}
        conditions = [f"{name} = {int(value)}" for name, value in wanted.items() if value is not None]
        where = f"where {' and '.join(conditions)}" if conditions else ""
        return [
            self._session(row) for row in self._all(f"select {_SESSION_COLUMNS} from sessions {where} order by number")
        ]

    @staticmethod
    def _session(row: Sequence[Any]) -> SessionState:
        try:
            number, session_id, unit, closed, derived, agent_id, turns, vector_sum = _typed(row, _SESSION)
            total = None if vector_sum is None else np.frombuffer(vector_sum, dtype="<f8")
        except _UNREADABLE as error:
            raise _damaged(error) from error
        return SessionState(
            number=number,
            id=session_id,
            unit=unit,
            closed=bool(closed),
            derived=bool(derived),
            agent_id=agent_id,
            turns=turns,
            vector_sum=total,
        )

    def messages(self, units: Sequence[int] | None = None) -> Iterator[StoredMessage]:
        """The messages of these turns (None: of all), in the order they were added."""
        sql = "select unit, id, role, name, bare, event_at, created_at, attachments, content from messages"
        rows: list[Any]
        if units is None:
            rows = self._all(f"{sql} order by number")
        else:
            rows = [
                row
                for b in _batches(units)
                for row in self._all(f"{sql} where unit in ({_marks(b)}) order by number", b)
            ]
        return map(self._message, rows)

    @staticmethod
    def _message(row: Sequence[Any]) -> StoredMessage:
        try:
            unit, message_id, role, name, bare, event_at, created_at, attachments, content = _typed(row, _MESSAGE)
            from_micros(created_at)
            message = Message(
                id=message_id,
                role=role,
                name=name,
                bare=bool(bare),
                content=content,
                event_at=from_micros(event_at),
                attachments=tuple(Attachment(kind=k, reference=r) for k, r in json.loads(attachments)),
            )
        except _UNREADABLE as error:
            raise _damaged(error) from error
        return StoredMessage(unit, message, created_at)

    def known_message_ids(self, ids: Sequence[str]) -> set[str]:
        """Which of these message ids exist."""
        known: set[str] = set()
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            known.update(row[0] for row in self._all(f"select id from messages where id in ({_marks(batch)})", batch))
        return known

    def history(self, unit_id: str | None = None) -> list[Change]:
        """The changes of one unit (None: of all), oldest first.

        Only replaced texts are stored: what a change made is what the next one replaced, or the present text.
        """
        condition = "" if unit_id is None else "where unit = ?"
        rows = self._all(
            f"select unit, event, at, old_text from changes {condition} order by seq",
            () if unit_id is None else (unit_id,),
        )
        try:
            for row in rows:
                from_micros(_typed(row, _CHANGE)[2])
        except _UNREADABLE as error:
            raise _damaged(error) from error
        following: dict[str, str | None] = {}
        changes: list[Change] = []
        for unit, event, at, old_text in reversed(rows):
            if unit not in following:
                present = self.find(unit)
                following[unit] = None if present is None else present.text
            changes.append(Change(unit, event, old_text, None if event == "DELETE" else following[unit], at))
            following[unit] = old_text
        return changes[::-1]

    def counts(self) -> dict[str, int]:
        """How many units of each granularity, sessions and messages there are."""
        counts = {str(granularity): 0 for granularity in Granularity}
        counts.update(self._all("select granularity, count(*) from units group by granularity"))
        return {
            "units": sum(counts.values()),
            **{f"{name}_units": number for name, number in counts.items()},
            "sessions": self._value("select count(*) from sessions"),
            "messages": self._value("select count(*) from messages"),
        }


class WritingRows(Rows):
    """The writing half; everything it does belongs to one SQLite transaction, begun and ended by its caller."""

    def __init__(self, connection: apsw.Connection, user_id: str) -> None:
        super().__init__(connection, user_id)
        self._revision = self.revision() + 1
        self.is_first = self._revision == 1
        self.deleted = False
        """Whether something was deleted that must not be left in the file."""
        connection.execute("update meta set value = ? where name = 'revision'", (self._revision,))

    # sessions and messages

    def insert_session(self, session_id: str, *, agent_id: str | None) -> int:
        """Begin a session."""
        value = checksum(session_id, 0, 0, 0, agent_id, 0, None)
        self._connection.execute(
            "insert into sessions (id, agent_id, checksum) values (?, ?, ?)", (session_id, agent_id, value)
        )
        return self._connection.last_insert_rowid()

    def save_session(self, state: SessionState) -> None:
        """Write a session's state back."""
        total = None if state.vector_sum is None else np.asarray(state.vector_sum, dtype="<f8").tobytes()
        self._connection.execute(
            "update sessions set unit = ?, closed = ?, derived = ?, agent_id = ?, turns = ?, vector_sum = ?, "
            "checksum = ? where number = ?",
            (
                state.unit,
                state.closed,
                state.derived,
                state.agent_id,
                state.turns,
                total,
                checksum(state.id, state.unit, state.closed, state.derived, state.agent_id, state.turns, total),
                state.number,
            ),
        )

    def delete_session(self, number: int) -> None:
        """Remove a session that has no units left."""
        self._connection.execute("delete from sessions where number = ?", (number,))

    def insert_messages(self, messages: Sequence[StoredMessage]) -> None:
        """Store messages; raises DuplicateId if one's id exists."""
        try:
            self._connection.executemany(
                "insert into messages (id, unit, role, name, bare, event_at, created_at, attachments, content, "
                "checksum) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*row, checksum(*row)) for row in map(self._message_values, messages)],
            )
        except apsw.ConstraintError:
            raise DuplicateId(
                "a message with the same id is stored already", hint="give each message an id once"
            ) from None

    @staticmethod
    def _message_values(stored: StoredMessage) -> tuple[Any, ...]:
        unit, m, created_at = stored
        attachments = dump([(a.kind, a.reference) for a in m.attachments]) if m.attachments else "[]"
        return (m.id, unit, m.role, m.name, m.bare, to_micros(m.event_at), created_at, attachments, m.content)

    # units

    def insert_units(self, drafts: Sequence[UnitDraft], *, event: str = "ADD") -> list[int]:
        """Store units and enter them in the change log."""
        last = self._value("select seq from sqlite_sequence where name = 'units'") or 0
        keys = list(range(last + 1, last + 1 + len(drafts)))
        self._connection.executemany(
            "insert into units (key, id, session, granularity, event_at, created_at, updated_at, agent_id, roles, "
            "terms, sources, metadata, text, checksum, revision) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (key, *row, checksum(*row), self._revision)
                for key, row in zip(keys, map(self._values, drafts), strict=True)
            ],
        )
        self._put_vectors({k: d.vector for k, d in zip(keys, drafts, strict=True) if d.vector is not None})
        if event:
            self._log([(draft.id, event, draft.at, None) for draft in drafts])
        return keys

    @staticmethod
    def _values(draft: UnitDraft) -> tuple[Any, ...]:
        return (
            draft.id,
            draft.session,
            str(draft.granularity),
            draft.event_at,
            draft.at,
            draft.at if draft.updated_at is None else draft.updated_at,
            draft.agent_id,
            dump(list(draft.roles)),
            draft.terms,
            dump(list(draft.sources)),
            dump(dict(draft.metadata)),
            draft.text,
        )

    def _log(self, changes: Iterable[tuple[str, str, int, str | None]]) -> None:
        """Enter unit id, event, time and replaced text in the change log."""
        self._connection.executemany(
            "insert into changes (unit, event, at, old_text, checksum) values (?, ?, ?, ?, ?)",
            [(*change, checksum(*change)) for change in changes],
        )

    def replace_unit(self, key: int, draft: UnitDraft, *, old_text: str | None = None, log: bool = True) -> None:
        """Give a unit new content under its key and id."""
        # The columns that stay as they are enter the checksum too.
        ((session, granularity, created_at),) = self._all(
            "select session, granularity, created_at from units where key = ?", (key,)
        )
        content = (
            draft.at,
            draft.agent_id,
            dump(list(draft.roles)),
            draft.terms,
            dump(list(draft.sources)),
            dump(dict(draft.metadata)),
            draft.text,
        )
        value = checksum(draft.id, session, granularity, draft.event_at, created_at, *content)
        self._connection.execute(
            "update units set updated_at = ?, agent_id = ?, roles = ?, terms = ?, sources = ?, metadata = ?, text = ?, "
            "event_at = ?, revision = ?, checksum = ? where key = ?",
            (*content, draft.event_at, self._revision, value, key),
        )
        if draft.vector is not None:
            self._put_vectors({key: draft.vector})
        if log:
            self._log([(draft.id, "UPDATE", draft.at, old_text)])

    def delete_units(self, keys: Sequence[int], *, at: int = 0, log: bool = True) -> None:
        """Remove units, their messages, vectors and texts in the change log."""
        for batch in _batches(keys):
            marks = _marks(batch)
            ids = [row[0] for row in self._all(f"select id from units where key in ({marks})", batch)]
            if log:
                self._blank_history(ids)
                self._log([(unit_id, "DELETE", at, None) for unit_id in ids])
            else:
                self._connection.execute(f"delete from changes where unit in ({_marks(ids)})", tuple(ids))
            self._connection.execute(f"delete from messages where unit in ({marks})", batch)
            self._connection.execute(f"delete from vectors where unit in ({marks})", batch)
            self._connection.execute(f"delete from units where key in ({marks})", batch)
            self._connection.executemany(
                "insert into removed (key, revision) values (?, ?)", [(key, self._revision) for key in batch]
            )
        if log and keys:
            self.deleted = True
            self._connection.execute("update meta set value = 1 where name = 'scrub'")

    def _blank_history(self, ids: Sequence[str]) -> None:
        """Take the texts of these units out of the change log."""
        rows = self._all(
            f"select unit, event, at, seq from changes where unit in ({_marks(ids)}) and old_text is not null",
            tuple(ids),
        )
        self._connection.executemany(
            "update changes set old_text = null, checksum = ? where seq = ?",
            [(checksum(unit, event, at, None), seq) for unit, event, at, seq in rows],
        )

    def append_history(self, changes: Sequence[Change]) -> None:
        """Enter past changes (from an import)."""
        self._log([(c.unit_id, c.event, c.at, c.old_text) for c in changes])

    # vectors

    def set_encoder(self, fingerprint: str, dim: int) -> None:
        """Say which encoder the vectors come from."""
        self._connection.execute("delete from encoders")
        self._connection.execute("insert into encoders (id, fingerprint, dim) values (1, ?, ?)", (fingerprint, dim))

    def set_vectors(self, vectors: Mapping[int, bytes]) -> None:
        """Replace vectors; the indexes of all open handles follow."""
        self._put_vectors({key: np.frombuffer(data, dtype="<f4") for key, data in vectors.items()})
        self._connection.executemany(
            "update units set revision = ? where key = ?", [(self._revision, key) for key in vectors]
        )

    def _put_vectors(self, vectors: Mapping[int, Vector]) -> None:
        rows = [
            (key, data, checksum(data)) for key, v in vectors.items() for data in [np.asarray(v, dtype="<f4").tobytes()]
        ]
        self._connection.executemany(
            "insert into vectors (unit, encoder, checksum, data) values (?1, 1, ?3, ?2) "
            "on conflict (unit) do update set checksum = ?3, data = ?2",
            rows,
        )


def check_rows(connection: apsw.Connection) -> list[str]:
    """Problems in an open file: SQLite's own check, checksums of every row, and references between tables."""
    problems = [f"SQLite: {row[0]}" for row in connection.execute("pragma integrity_check(20)") if row[0] != "ok"]
    if problems:
        return problems
    for label, sql in _CONTENT.items():
        try:
            for number, value, *columns in connection.execute(sql):
                if checksum(*columns) != value:
                    problems.append(f"{label} {number}: its content does not match its checksum")
        except (UnicodeDecodeError, TypeError) as error:  # a number has become a text, or a fraction
            problems.append(f"{label}: {error}")
    for label, sql in _ORPHANS:
        problems += [f"{label} {row[0]}" for row in connection.execute(sql)]
    return problems


# Texts are read as bytes: damaged ones may not be UTF-8. The columns are in the order in which they were written.
_CONTENT = {
    "unit": """
        select key, checksum, cast(id as blob), session, cast(granularity as blob), event_at, created_at, updated_at,
               cast(agent_id as blob), cast(roles as blob), terms, cast(sources as blob), cast(metadata as blob),
               cast(text as blob)
        from units
        """,
    "vector of unit": "select unit, checksum, data from vectors",
    "session": """
        select number, checksum, cast(id as blob), unit, closed, derived, cast(agent_id as blob), turns, vector_sum
        from sessions
        """,
    "message": """
        select number, checksum, cast(id as blob), unit, cast(role as blob), cast(name as blob), bare, event_at,
               created_at, cast(attachments as blob), cast(content as blob)
        from messages
        """,
    "change": "select seq, checksum, cast(unit as blob), cast(event as blob), at, cast(old_text as blob) from changes",
}

_ORPHANS = (
    ("vector without unit:", "select unit from vectors where unit not in (select key from units)"),
    ("unit without vector:", "select key from units where key not in (select unit from vectors)"),
    ("message without unit:", "select number from messages where unit not in (select key from units)"),
    ("unit without session:", "select key from units where session not in (select number from sessions)"),
    ("session without unit:", "select number from sessions where unit not in (select key from units)"),
    (
        "session with a wrong number of turns:",
        """
        select number from sessions s
        where turns != (select count(*) from units u where u.session = s.number and u.granularity = 'turn')
        """,
    ),
)
