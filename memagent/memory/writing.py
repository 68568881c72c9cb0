"""The verbs that store: add, add_many, close_session, and deriving summaries and keywords."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

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
    open_turn,
    plan,
    wants_open_turn,
)
from memagent.memory.messages import as_label, as_messages, as_metadata, as_sessions
from memagent.memory.replies import AddReply, event
from memagent.memory.sessions import DERIVED, drop_derived
from memagent.records import Granularity, MemoryUnit, Session, as_utc, to_micros, utc_now
from memagent.stores.port import ReadTransaction, SessionState, UnitDraft, WriteTransaction
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from memagent.records import Vector


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
    if not isinstance(sessions, Iterable):
        raise InvalidInput(f"sessions is {type(sessions).__name__}", hint="pass a list of sessions")
    listed: list[Session] = yield lambda: as_sessions(sessions, now=utc_now(), limit=core.max_message_bytes)
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
    deadline = time.monotonic() + core.timeout
    while time.monotonic() < deadline:
        turns: dict[str, MemoryUnit | None] = {}
        if any(wants_open_turn(session) for session in sessions):
            turns = yield lambda: _open_turns(core, user_id, sessions)
        plans: list[SessionPlan] = yield partial(plan, sessions, turns)
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
        stored = writer.write(plans)
        core.forget_texts(writer.dropped)
    if writer.has_closed:
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
    if label is None:
        raise InvalidInput("no session is named", hint="pass the session_id that was given to add()")

    def mark() -> None:
        with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
            state = transaction.session(label)
            if state is None:
                raise NotFound(f"there is no session {session_id!r}", hint="check the id")
            transaction.save_session(replace(state, closed=True))

    core.touch()
    yield mark
    stored = yield from derive_sessions(core, user_id, only=label)
    return AddReply(results=[event(one) for one in stored])


def derive_sessions(core: Core, user_id: str, *, only: str | None = None) -> Flow[list[Stored]]:
    """Write summaries and keywords of closed sessions that lack them, one transaction a session."""
    due: list[str] = [only] if only is not None else (yield partial(due_sessions, core, user_id))
    written: list[Stored] = []
    for session_id in due:
        written += yield from _derive(core, user_id, session_id)
    return written


def due_sessions(core: Core, user_id: str) -> list[str]:
    """The closed sessions of a user that lack their summary and keywords."""
    with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
        return [state.id for state in transaction.sessions(closed=True, derived=False)]


def _derive(core: Core, user_id: str, session_id: str) -> Flow[list[Stored]]:
    def read() -> list[str]:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            state = transaction.session(session_id)
            if state is None or state.derived or not state.closed:
                return []
            bank.check_encoder()
            return _turn_texts(transaction, state)

    texts: list[str] = yield read
    if not texts:
        return []
    units: dict[Granularity, DerivedUnit] = yield partial(_derived_units, core, texts)
    written: list[Stored] = yield partial(_write_derived, core, user_id, session_id, texts, units)
    return written


def _turn_texts(transaction: ReadTransaction, state: SessionState) -> list[str]:
    return [unit.text for unit in transaction.units(transaction.keys_of(state.number, Granularity.TURN))]


class DerivedUnit(NamedTuple):
    """The content of a unit that is derived from a session's turns."""

    text: str
    vector: Vector
    terms: bytes


def _derived_units(core: Core, texts: Sequence[str]) -> dict[Granularity, DerivedUnit]:
    """What is derived from these turns; with it, under SESSION, the session's vector where that comes from its text."""
    wanted: dict[Granularity, str] = {}
    if core.granularities & set(DERIVED):
        derived = derive(texts, core.vectors)
        made = {Granularity.SUMMARY: derived.summary, Granularity.KEYWORDS: derived.keywords}
        wanted = {g: text for g, text in made.items() if g in core.granularities and text}
    if core.text_vectors:
        wanted[Granularity.SESSION] = "\n".join(texts)
    if not wanted:
        return {}
    vectors = core.vectors(list(wanted.values()))
    return {
        g: DerivedUnit(text, vector, b"" if g is Granularity.SESSION else lexical_terms(text))
        for (g, text), vector in zip(wanted.items(), vectors, strict=True)
    }


def _write_derived(
    core: Core, user_id: str, session_id: str, texts: Sequence[str], units: Mapping[Granularity, DerivedUnit]
) -> list[Stored]:
    with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
        state = transaction.session(session_id)
        if state is None or state.derived or not state.closed or _turn_texts(transaction, state) != texts:
            return []  # changed meanwhile: whoever changed it has left it to be derived again
        bank.check_encoder()
        (own,) = transaction.units([state.unit])
        stamp = to_micros(utc_now())
        drafts = [
            UnitDraft(
                id=memory_id(bank.store.owner),
                session=state.number,
                granularity=granularity,
                text=unit.text,
                event_at=to_micros(own.event_at),
                at=stamp,
                roles=own.roles,
                agent_id=state.agent_id,
                metadata=own.metadata,
                terms=unit.terms,
                vector=unit.vector,
            )
            for granularity, unit in units.items()
            if granularity is not Granularity.SESSION
        ]
        drop_derived(transaction, state.number)
        transaction.insert_units(drafts)
        if Granularity.SESSION in units:
            transaction.set_vectors({state.unit: units[Granularity.SESSION].vector.astype("<f4").tobytes()})
        transaction.save_session(replace(state, derived=True))
        return [Stored(d.id, d.text or "", "ADD", state.id, own.source_ids) for d in drafts]
