"""Writing one user's tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import apsw
import numpy as np

from memagent.errors import DuplicateId
from memagent.records import Granularity, to_micros
from memagent.stores.links import Links, nodes_of_units
from memagent.stores.port import Change, SessionState, StoredMessage, UnitDraft
from memagent.stores.sqlite_check import checksum
from memagent.stores.sqlite_inference import InferenceWriting
from memagent.stores.sqlite_reader import batches, marks
from memagent.stores.sqlite_rows import Rows
from memagent.stores.sqlite_schema import LINKS_SEEN

if TYPE_CHECKING:
    from memagent.records import Vector


def dump(value: object) -> str:
    """JSON as it is stored: compact, Unicode kept, keys in order, no NaN."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


class WritingRows(Rows, InferenceWriting):
    """The writing half; everything it does belongs to one SQLite transaction, begun and ended by its caller."""

    def __init__(self, connection: apsw.Connection, user_id: str) -> None:
        super().__init__(connection, user_id)
        self._revision = self.revision() + 1
        self.is_first = self._revision == 1
        self.deleted = False
        """Whether something was deleted that must not be left in the file."""
        if not self._value(f"select {LINKS_SEEN}"):
            self.delete_links()
        connection.execute("replace into meta values ('revision', ?1), ('links_seen', ?1)", (self._revision,))

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
        placed = zip(keys, drafts, strict=True)
        self._insert_facts((k, d.valid_from) for k, d in placed if d.granularity is Granularity.FACT)
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
        self._connection.execute("update jobs set said_at = ? where unit = ?", (draft.event_at, key))
        if draft.vector is not None:
            self._put_vectors({key: draft.vector})
        if log:
            self._log([(draft.id, "UPDATE", draft.at, old_text)])

    def delete_units(self, keys: Sequence[int], *, at: int = 0, log: bool = True) -> None:
        """Remove units, their messages, vectors and texts in the change log."""
        for batch in batches(keys):
            wanted = marks(batch)
            rows = self._all(f"select id, session, granularity from units where key in ({wanted})", batch)
            self.delete_links(nodes_of_units((session, granularity) for _, session, granularity in rows))
            ids = [row[0] for row in rows]
            if log:
                self._blank_history(ids)
                self._log([(unit_id, "DELETE", at, None) for unit_id in ids])
            else:
                self._connection.execute(f"delete from changes where unit in ({marks(ids)})", tuple(ids))
            self._connection.execute(f"delete from messages where unit in ({wanted})", batch)
            self._connection.execute(f"delete from vectors where unit in ({wanted})", batch)
            self._delete_inferred(batch)
            self._connection.execute(f"delete from units where key in ({wanted})", batch)
            self._connection.executemany(
                "insert into removed (key, revision) values (?, ?)", [(key, self._revision) for key in batch]
            )
        if log and keys:
            self.deleted = True
            self._connection.execute("update meta set value = 1 where name = 'scrub'")

    def _blank_history(self, ids: Sequence[str]) -> None:
        """Take the texts of these units out of the change log."""
        rows = self._all(
            f"select unit, event, at, seq from changes where unit in ({marks(ids)}) and old_text is not null",
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

    # the association graph

    def save_links(self, links: Links) -> None:
        """Store what these nodes initiate."""
        ends = np.cumsum(links.counts)
        targets = np.split(links.targets.astype("<i8"), ends[:-1])
        self._connection.executemany(
            "insert or replace into links (node, floor, targets, checksum) values (?, ?, ?, ?)",
            [
                (*row, checksum(*row))
                for node, floor, named in zip(links.nodes.tolist(), links.floors.tolist(), targets, strict=False)
                # A NaN is stored as null. SQLite stores no -0.0.
                for row in [(node, None if math.isnan(floor) else floor + 0.0, named.tobytes())]
            ],
        )
        self._links_changed()

    def delete_links(self, nodes: Iterable[int] | None = None) -> None:
        """Take nodes out of the association graph; those that named them are marked to be fitted again."""
        if nodes is None:
            self._connection.execute("delete from links")
            self._links_changed()
            return
        gone = [
            row[0]
            for batch in batches(list(nodes))
            for row in self._all(f"select node from links where node in ({marks(batch)})", batch)
        ]
        if not gone:
            return
        before = self.links()
        after = before.without(gone)
        self._connection.executemany("delete from links where node = ?", [(node,) for node in gone])
        self.save_links(after.chosen(after.counts != before.counts[np.isin(before.nodes, after.nodes)]))

    def set_association(self, settings: str) -> None:
        """Say what the association graph is made with."""
        self._connection.execute("update meta set value = ? where name = 'association'", (settings,))
        self._links_changed()

    def _links_changed(self) -> None:
        self._connection.execute("update meta set value = ? where name = 'links'", (self._revision,))
