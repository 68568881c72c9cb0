"""Export, import and backup of one user's memory.

An export is JSON Lines (gzip-compressed if its name ends in ``.gz``): a ``header``, then every ``session``, ``unit``,
``message``, ``change`` and ``job``, and an ``end`` with the number of lines, so that a file that was cut off is
noticed. It holds no vectors: an import embeds with its own encoder. It is one state of the user, whatever is written
meanwhile.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypedDict

from memagent.errors import DuplicateId, StoreCorrupt
from memagent.files import as_path, file_to_write, replacing
from memagent.memory import documents
from memagent.memory.core import Core
from memagent.memory.documents import is_embedded
from memagent.memory.flow import Flow
from memagent.memory.imports import FORMAT, INFERRED_FORMAT, Contents, read_export
from memagent.memory.inferred_lines import fact_fields, job_record, write_inferred
from memagent.memory.ingest import Encoded
from memagent.memory.sessions import mean_vector, sum_of
from memagent.memory.terms import lexical_terms
from memagent.memory.writing import claim_encoder
from memagent.records import Granularity, MemoryUnit, from_micros, utc_now
from memagent.stores.port import ReadTransaction, SessionState, StoredMessage, UnitDraft, WriteTransaction
from memagent.stores.sqlite import checked_user_id
from memagent.stores.sqlite_errors import translated

if TYPE_CHECKING:
    from memagent.records import Vector

_BATCH = 500  # units that are read at once


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
    """Write all of a user's memory to a file, which appears only when it is complete; readable by its owner only."""
    checked_user_id(user_id)
    target = file_to_write(path, "the file of the export")

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
    with replacing(target) as partial_path, partial_path.open("wb") as raw:
        if target.name.endswith(".gz"):
            with gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
                _dump(records, packed)
        else:
            _dump(records, raw)


def _dump(records: Iterable[Mapping[str, Any]], file: IO[bytes] | gzip.GzipFile) -> None:
    count = 0
    for record in records:
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        count += 1
    file.write(json.dumps({"type": "end", "lines": count}).encode() + b"\n")


def _records(transaction: ReadTransaction, user_id: str) -> Iterator[dict[str, Any]]:
    jobs = transaction.jobs()
    counts = transaction.counts()
    kind = INFERRED_FORMAT if jobs or counts["fact_units"] or counts["document_units"] else FORMAT
    yield {"type": "header", "format": kind, "user_id": user_id, "exported_at": utc_now().isoformat()}
    for state in transaction.sessions():
        yield {
            "type": "session",
            "id": state.id,
            "closed": state.closed,
            "derived": state.derived,
            "agent_id": state.agent_id,
        }
    ids: dict[int, str] = {}
    for unit in _all_units(transaction):
        ids[unit.key] = unit.id
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
            "source_ids": list(unit.source_ids),
            "metadata": dict(unit.metadata),
            "text": None if unit.granularity is Granularity.SESSION else unit.text,
            **fact_fields(unit),
        }
    if len(ids) != transaction.counts()["units"]:
        raise StoreCorrupt("some memories cannot be read", hint="run `memagent verify`")
    for stored in transaction.messages():
        m = stored.message
        if stored.unit not in ids:
            raise StoreCorrupt(f"message {m.id!r} belongs to no memory", hint="run `memagent verify`")
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
    for job in jobs:
        if job.unit not in ids:
            raise StoreCorrupt(f"job {job.unit} is about no memory", hint="run `memagent verify`")
        yield job_record(job, ids)


def _all_units(transaction: ReadTransaction) -> Iterator[MemoryUnit]:
    keys = sorted(transaction.attributes())
    for start in range(0, len(keys), _BATCH):
        yield from transaction.units(keys[start : start + _BATCH], whole=False)


def backup(core: Core, path: str | Path, *, user_id: str) -> Flow[str]:
    """Copy a user's file, vectors included, while it is in use. It must not be copied with ``cp``."""
    checked_user_id(user_id)
    target = file_to_write(path, "the file of the backup")

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
    source = as_path(path, "the file of the import")
    contents: Contents = yield partial(read_export, source)
    owner = checked_user_id(user_id if user_id is not None else contents.user_id)
    written = (unit.text for unit in contents.units.values() if unit.text is not None and is_embedded(unit))
    texts = list(dict.fromkeys(written))
    if core.text_vectors:
        texts += [session_text(contents, session) for session in contents.turns]
    vectors = yield from core.encode(texts)
    terms: list[bytes] = yield lambda: [lexical_terms(text) for text in texts]
    encoded = {t: Encoded(v, b) for t, v, b in zip(texts, vectors, terms, strict=True)}

    def write() -> None:
        with core.banks.lease(owner, create=True) as bank, bank.store.write() as transaction:
            claim_encoder(core, bank, transaction)
            Importer(transaction, bank.store.owner, contents, encoded, text_vectors=core.text_vectors).write()

    core.touch()
    yield write
    core.closed_session(owner)
    core.inference_due(owner)
    return Imported(
        user_id=owner, units=len(contents.units), sessions=len(contents.turns), messages=len(contents.messages)
    )


def session_text(contents: Contents, session_id: str) -> str:
    """The text of a session: that of its turns."""
    return "\n".join(contents.units[turn].text or "" for turn in contents.turns[session_id])


class Importer:
    """Writes the contents of an export for the user whose ids begin with ``owner``."""

    def __init__(
        self,
        transaction: WriteTransaction,
        owner: str,
        contents: Contents,
        encoded: Mapping[str, Encoded],
        *,
        text_vectors: bool,
    ) -> None:
        self._tx = transaction
        self._owner = owner
        self._contents = contents
        self._encoded = encoded
        self._text_vectors = text_vectors

    def write(self) -> None:
        """Write everything; raises DuplicateId."""
        contents = self._contents
        conversations = [session for session in contents.sessions.values() if session.id != documents.SESSION]
        for session in conversations:
            if self._tx.session(session.id):
                raise DuplicateId(
                    f"the session {session.id!r} is stored already", hint="import into another user, or delete it"
                )
        numbers = {s.id: self._tx.insert_session(s.id, agent_id=s.agent_id) for s in conversations}
        if len(conversations) < len(contents.sessions):
            numbers[documents.SESSION] = documents.session_number(self._tx)
        drafts = [self._ready(unit, numbers) for unit in contents.units.values()]
        if any(self._tx.find(draft.id) for draft in drafts):
            raise DuplicateId("a memory of this export is stored already", hint="delete it first")
        keys = dict(zip(contents.units, self._tx.insert_units(drafts, event=""), strict=True))
        self._tx.insert_messages([StoredMessage(keys[unit], message, at) for unit, message, at in contents.messages])
        self._tx.append_history([change._replace(unit_id=self._id(change.unit_id)) for change in contents.changes])
        sessions = {unit: numbers[session] for unit, session in contents.session_of.items()}
        write_inferred(self._tx, contents.superseded, contents.jobs, keys, sessions)
        for session in conversations:
            turns = contents.turns[session.id]
            self._tx.save_session(
                SessionState(
                    number=numbers[session.id],
                    id=session.id,
                    unit=keys[contents.own_units[session.id]],
                    closed=session.closed,
                    derived=session.derived,
                    agent_id=session.agent_id,
                    turns=len(turns),
                    vector_sum=self._sum(turns),
                )
            )

    def _id(self, identifier: str) -> str:
        return f"{self._owner}-{identifier.rpartition('-')[2]}"

    def _sum(self, turns: Iterable[str]) -> Any:
        return sum_of(self._encoded[self._contents.units[turn].text or ""].vector for turn in turns)

    def _ready(self, unit: UnitDraft, numbers: Mapping[str, int]) -> UnitDraft:
        """A unit with what belongs to this user's file and to this encoder."""
        session = self._contents.sessions[self._contents.session_of[unit.id]]
        vector: Vector | None
        if not is_embedded(unit):
            terms, vector = b"", None
        elif unit.text is not None:
            made = self._encoded[unit.text]
            # As derived_terms() has it: the words of combinations are those of their session's turns.
            terms = b"" if unit.granularity is Granularity.COMBINATION else made.terms
            vector = made.vector
        elif self._text_vectors and session.closed:
            terms, vector = b"", self._encoded[session_text(self._contents, session.id)].vector
        else:
            terms, vector = b"", mean_vector(self._sum(self._contents.turns[session.id]))
        return replace(unit, id=self._id(unit.id), session=numbers[session.id], terms=terms, vector=vector)
