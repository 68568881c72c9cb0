"""Reading one user's tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from memagent.errors import StoreCorrupt
from memagent.records import Attachment, Granularity, MemoryUnit, Message, from_micros
from memagent.stores.links import Links, stored_links
from memagent.stores.port import Attributes, Change, Delta, IndexRow, SessionState, StoredMessage
from memagent.stores.sqlite_errors import DAMAGED
from memagent.stores.sqlite_inference import FactRow, InferenceRows
from memagent.stores.sqlite_reader import BYTES, TEXT, UNREADABLE, batches, damaged, marks, typed
from memagent.stores.sqlite_schema import LINKS_SEEN

_UNIT_COLUMNS = (
    "u.key, u.id, s.id, u.granularity, u.event_at, u.created_at, u.updated_at, u.agent_id, u.roles, u.sources, "
    "u.metadata, u.text, u.session"
)
_SESSION_COLUMNS = "number, id, unit, closed, derived, agent_id, turns, vector_sum"
_OWN_SOURCES = (str(Granularity.TURN), str(Granularity.FACT))
_UNIT = (int, str, str, str, int, int, int, TEXT, str, str, str, TEXT, int)
_ATTRIBUTES = (int, str, int, int, str, TEXT, str)
_SESSION = (int, str, int, int, int, TEXT, int, BYTES)
_MESSAGE = (int, str, str, TEXT, int, int, int, str, str)
_CHANGE = (str, str, int, TEXT)


class Rows(InferenceRows):
    """The reading half of a transaction on an open connection."""

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
        superseded = self._superseded(since)
        try:
            changed = [
                IndexRow(key, named[name], session, at, terms, data, superseded.get(key))
                for key, name, session, at, terms, data in rows
            ]
        except UNREADABLE as error:
            raise damaged(error) from error
        for row in changed:
            is_sound = type(row.session) is type(row.event_at) is int and type(row.terms) is bytes
            if not (is_sound and isinstance(row.vector, BYTES)):
                raise damaged(TypeError(f"unit {row.key} has a column of another type"))
        return Delta(self.revision(), removed, changed)

    # units

    def units(self, keys: Sequence[int], *, whole: bool = True) -> list[MemoryUnit]:
        """The units with these keys, in this order."""
        found: dict[int, MemoryUnit] = {}
        for batch in batches(keys):
            for row in self._all(
                f"select {_UNIT_COLUMNS} from units u join sessions s on s.number = u.session "
                f"where u.key in ({marks(batch)})",
                batch,
            ):
                try:
                    found[row[0]] = self._unit(row, whole=whole)
                except UNREADABLE as error:
                    raise damaged(error) from error
        facts = [key for key, unit in found.items() if unit.granularity is Granularity.FACT]
        for key, row in self._fact_rows(facts).items():
            found[key] = _as_fact(found[key], row)
        return [found[int(key)] for key in keys if int(key) in found]

    def find(self, unit_id: str) -> MemoryUnit | None:
        """The unit with this id."""
        key = self._value("select key from units where id = ?", (unit_id,))
        return None if key is None else next(iter(self.units([key])), None)

    def _unit(self, row: Sequence[Any], *, whole: bool) -> MemoryUnit:
        key, unit_id, session_id, granularity, event_at, created, updated, agent, roles, sources, meta, text, number = (
            typed(row, _UNIT)
        )
        source_ids = tuple(json.loads(sources))
        if whole and text is None:
            text = self._session_text(number)
        if whole and granularity not in _OWN_SOURCES:
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
            rows = [r for batch in batches(keys) for r in self._all(f"{sql} where u.key in ({marks(batch)})", batch)]
        try:
            return {
                key: Attributes(session, event_at, created, tuple(json.loads(roles)), agent, json.loads(metadata))
                for key, session, event_at, created, roles, agent, metadata in (typed(r, _ATTRIBUTES) for r in rows)
            }
        except UNREADABLE as error:
            raise damaged(error) from error

    def vectors(self, keys: Sequence[int]) -> dict[int, bytes]:
        """The stored vectors of these units."""
        return {
            unit: data
            for batch in batches(keys)
            for unit, data in self._all(f"select unit, data from vectors where unit in ({marks(batch)})", batch)
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
            number, session_id, unit, closed, derived, agent_id, turns, vector_sum = typed(row, _SESSION)
            total = None if vector_sum is None else np.frombuffer(vector_sum, dtype="<f8")
        except UNREADABLE as error:
            raise damaged(error) from error
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
                row for b in batches(units) for row in self._all(f"{sql} where unit in ({marks(b)}) order by number", b)
            ]
        return map(self._message, rows)

    @staticmethod
    def _message(row: Sequence[Any]) -> StoredMessage:
        try:
            unit, message_id, role, name, bare, event_at, created_at, attachments, content = typed(row, _MESSAGE)
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
        except UNREADABLE as error:
            raise damaged(error) from error
        return StoredMessage(unit, message, created_at)

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
                from_micros(typed(row, _CHANGE)[2])
        except UNREADABLE as error:
            raise damaged(error) from error
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
            "sessions": self._value("select count(*) from sessions where unit != 0"),
            "messages": self._value("select count(*) from messages"),
        }

    def links(self) -> Links:
        """The association graph."""
        try:
            return stored_links(self._all(f"select node, floor, targets from links where {LINKS_SEEN} order by node"))
        except UNREADABLE as error:
            raise damaged(error) from error

    def links_revision(self) -> int:
        """The number of the last commit that changed the association graph."""
        value = self._value(f"select max(value) from meta where name = iif({LINKS_SEEN}, 'links', 'revision')")
        return value if isinstance(value, int) else 0

    def association(self) -> str | None:
        """The settings that the association graph was made with."""
        value = self._value("select value from meta where name = 'association'")
        return value if isinstance(value, str) else None

    def unlinked(self) -> list[int]:
        """The numbers of the derived sessions whose links are due."""
        missing = f"number not in (select node / 4 from links where {LINKS_SEEN})"
        marked = "number in (select node / 4 from links where floor is null)"
        sql = f"select number from sessions where derived = 1 and turns > 0 and ({missing} or {marked}) order by number"
        return [row[0] for row in self._all(sql)]


def _as_fact(unit: MemoryUnit, row: FactRow) -> MemoryUnit:
    return replace(unit, **row._asdict())
