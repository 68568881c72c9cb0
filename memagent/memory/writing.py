"""The verbs that store: add, add_many, close_session, and deriving summaries and keywords."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from memagent.bank.bank import MemoryBank
from memagent.errors import InvalidInput, NotFound, StoreBusy
from memagent.granularity import derive
from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.memory.ids import memory_id
from memagent.memory.ingest import (
    Encoded,
    SessionPlan,
    Stored,
    Writer,
    lexical_terms,
    mean_vector,
    open_turn,
    plan,
    wants_open_turn,
)
from memagent.memory.messages import as_label, as_messages, as_metadata, as_session
from memagent.memory.replies import AddReply, event
from memagent.records import Granularity, MemoryUnit, Session, as_utc, to_micros, utc_now
from memagent.stores.port import ReadTransaction, SessionState, UnitDraft, WriteTransaction
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from memagent.records import Vector

_ATTEMPTS = 50  # how often a plan is made again because another writer completed the same turn meanwhile


def add(
    core: Core,
    messages: object,
    *,
    user_id: str,
    session_id: str | None,
    agent_id: str | None,
    timestamp: datetime | str | None,
    metadata: Mapping[str, Any] | None,
    infer: bool,
) -> Flow[AddReply]:
    """Store messages as turns of one session."""
    checked_user_id(user_id)
    if infer:
        raise InvalidInput("infer=True needs a language model, which this version does not use", hint="leave it out")
    at = utc_now() if timestamp is None else as_utc(timestamp)
    session = Session(
        messages=as_messages(messages, at=at, limit=core.max_message_bytes),
        id=as_label(session_id, "session_id"),
        agent_id=as_label(agent_id, "agent_id"),
        metadata=as_metadata(metadata),
    )
    stored = yield from ingest(core, user_id, [session], close=False)
    return AddReply(results=[event(one) for one in stored])


def add_many(core: Core, sessions: Iterable[object], *, user_id: str) -> Flow[AddReply]:
    """Store whole sessions in one transaction and close them."""
    checked_user_id(user_id)
    if isinstance(sessions, str | bytes | Mapping | Session):
        raise InvalidInput("sessions is a list of sessions", hint="wrap the session in a list")
    now = utc_now()
    listed = [as_session(session, now=now, limit=core.max_message_bytes) for session in sessions]
    if not listed:
        return AddReply(results=[])
    stored = yield from ingest(core, user_id, listed, close=True)
    core.closed_session(user_id)
    return AddReply(results=[event(one) for one in stored])


def ingest(core: Core, user_id: str, sessions: Sequence[Session], *, close: bool) -> Flow[list[Stored]]:
    """Plan, encode outside the transaction, write; again if another writer has completed the same turn meanwhile."""
    core.touch()
    encoded: dict[str, Encoded] = {}
    session_vectors: dict[str, Vector] = {}
    for _ in range(_ATTEMPTS):
        turns: dict[str, MemoryUnit | None] = {}
        if any(wants_open_turn(session) for session in sessions):
            turns = yield lambda: _open_turns(core, user_id, sessions)
        plans = plan(sessions, turns)
        yield from _encode_turns(core, plans, encoded)
        if core.text_vectors and close:
            yield from _encode_sessions(core, plans, session_vectors)
        stored: list[Stored] | None
        stored = yield partial(_write, core, user_id, plans, encoded, session_vectors, close=close)
        if stored is not None:
            return stored
    raise StoreBusy("other writers keep completing the same turn", hint="try again")


def _open_turns(core: Core, user_id: str, sessions: Sequence[Session]) -> dict[str, MemoryUnit | None]:
    try:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            return {s.id: open_turn(transaction, s.id) for s in sessions if s.id is not None and wants_open_turn(s)}
    except NotFound:
        return {}


def _encode_turns(core: Core, plans: Sequence[SessionPlan], encoded: dict[str, Encoded]) -> Flow[None]:
    texts = list(dict.fromkeys(t.text for p in plans for t in p.turns if t.text not in encoded))
    vectors = yield from core.encode(texts)
    terms: list[bytes] = yield lambda: [lexical_terms(text) for text in texts]
    encoded.update((text, Encoded(vector, blob)) for text, vector, blob in zip(texts, vectors, terms, strict=True))


def _encode_sessions(core: Core, plans: Sequence[SessionPlan], vectors: dict[str, Vector]) -> Flow[None]:
    texts = list(dict.fromkeys(p.text for p in plans if p.text not in vectors))
    vectors.update(zip(texts, (yield from core.encode(texts)), strict=True))


def _write(
    core: Core,
    user_id: str,
    plans: Sequence[SessionPlan],
    encoded: Mapping[str, Encoded],
    session_vectors: Mapping[str, Vector],
    *,
    close: bool,
) -> list[Stored] | None:
    """Write the plans in one transaction; None if a turn to be completed has changed since they were made."""
    with core.banks.lease(user_id, create=True) as bank, bank.store.write() as transaction:
        writer = Writer(
            transaction,
            bank.store.owner,
            encoded,
            now=to_micros(utc_now()),
            close=close,
            session_vectors=session_vectors,
        )
        if not writer.still_true(plans):
            return None
        claim_encoder(core, bank, transaction)
        had_open = len(transaction.sessions(closed=False))
        stored = writer.write(plans)
        due = had_open and len(transaction.sessions(closed=True, derived=False))
    if due:
        core.closed_session(user_id)
    return stored


def claim_encoder(core: Core, bank: MemoryBank, transaction: WriteTransaction) -> None:
    """Enter the encoder with a user's first vectors; refuse to mix the vectors of two encoders."""
    if bank.store.encoder() is None:
        transaction.set_encoder(core.encoder.fingerprint, core.encoder.dim)
    else:
        bank.check_encoder()


# closing and deriving


def close_session(core: Core, session_id: str, *, user_id: str) -> Flow[AddReply]:
    """Close a session and write its summary and keywords; they are the results."""
    checked_user_id(user_id)
    label = as_label(session_id, "session_id")

    def mark() -> None:
        with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
            state = transaction.session(label or "")
            if state is None:
                raise NotFound(f"there is no session {session_id!r}", hint="check the id")
            transaction.save_session(replace(state, closed=True))

    core.touch()
    yield mark
    stored = yield from derive_sessions(core, user_id, only=label)
    return AddReply(results=[event(one) for one in stored])


def derive_sessions(core: Core, user_id: str, *, only: str | None = None) -> Flow[list[Stored]]:
    """Write summaries and keywords of closed sessions that lack them, one transaction a session."""

    def due() -> list[tuple[SessionState, list[str]]]:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            states = transaction.sessions(closed=True, derived=False)
            return [(s, _turn_texts(transaction, s.number)) for s in states if only in (None, s.id)]

    written: list[Stored] = []
    for state, texts in (yield due):
        units: dict[Granularity, tuple[str, Vector]] = yield partial(_derived_units, core, texts)
        written += yield partial(_write_derived, core, user_id, state, texts, units)
    return written


def _turn_texts(transaction: ReadTransaction, session: int) -> list[str]:
    return [unit.text for unit in transaction.units(transaction.keys_of(session, Granularity.TURN))]


def _derived_units(core: Core, texts: Sequence[str]) -> dict[Granularity, tuple[str, Vector]]:
    """Texts and vectors of a session's derived units, and with SESSION its vector where that comes from its text."""
    wanted: dict[Granularity, str] = {}
    if core.granularities & {Granularity.SUMMARY, Granularity.KEYWORDS}:
        derived = derive(texts, core.encoder)
        made = {Granularity.SUMMARY: derived.summary, Granularity.KEYWORDS: derived.keywords}
        wanted = {g: text for g, text in made.items() if g in core.granularities and text}
    if core.text_vectors:
        wanted[Granularity.SESSION] = "\n".join(texts)
    if not wanted:
        return {}
    vectors = core.encoder.encode_documents(list(wanted.values()))
    return {g: (text, vector) for (g, text), vector in zip(wanted.items(), vectors, strict=True)}


def _write_derived(
    core: Core,
    user_id: str,
    state: SessionState,
    texts: Sequence[str],
    units: Mapping[Granularity, tuple[str, Vector]],
) -> list[Stored]:
    with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
        now = transaction.session(state.id)
        if now is None or now.derived or not now.closed or _turn_texts(transaction, state.number) != texts:
            return []  # changed meanwhile: whoever changed it has left it to be derived again
        (session_unit,) = transaction.units([now.unit])
        stamp = to_micros(utc_now())
        drafts = [
            UnitDraft(
                id=memory_id(bank.store.owner),
                session=now.number,
                granularity=granularity,
                text=text,
                event_at=to_micros(session_unit.event_at),
                at=stamp,
                roles=session_unit.roles,
                agent_id=now.agent_id,
                metadata=session_unit.metadata,
                terms=lexical_terms(text),
                vector=vector,
            )
            for granularity, (text, vector) in units.items()
            if granularity is not Granularity.SESSION
        ]
        stale = [k for g in (Granularity.SUMMARY, Granularity.KEYWORDS) for k in transaction.keys_of(now.number, g)]
        transaction.delete_units(stale, log=False)
        transaction.insert_units(drafts)
        if core.text_vectors:
            vector = units[Granularity.SESSION][1] if Granularity.SESSION in units else mean_vector(now.vector_sum)
            if vector is not None:
                transaction.set_vectors({now.unit: vector.astype("<f4").tobytes()})
        transaction.save_session(replace(now, derived=True))
        return [Stored(d.id, d.text or "", "ADD", state.id, session_unit.source_ids) for d in drafts]
