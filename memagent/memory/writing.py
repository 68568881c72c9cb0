"""The verbs that store: add, add_many, close_session."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from memagent.bank.bank import MemoryBank
from memagent.errors import InvalidInput, NotFound, StoreBusy
from memagent.memory.association import Graph
from memagent.memory.core import Core
from memagent.memory.deriving import derive_sessions
from memagent.memory.flow import Flow
from memagent.memory.ingest import (
    Encoded,
    SessionPlan,
    Stored,
    Writer,
    open_turn,
    plan,
    wants_open_turn,
)
from memagent.memory.messages import as_label, as_messages, as_metadata, as_sessions
from memagent.memory.queueing import Inferring, queue_facts, queue_summary, session_closed
from memagent.memory.replies import AddReply
from memagent.memory.terms import lexical_terms
from memagent.memory.waiting import answered, wanted
from memagent.records import Granularity, MemoryUnit, Session, as_utc, to_micros, utc_now
from memagent.stores.port import SessionState, WriteTransaction
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
    wait: bool | float,
) -> Flow[AddReply]:
    """Store messages as turns of one session."""
    checked_user_id(user_id)
    inferring = wanted(core, infer=infer, wait=wait)
    at = utc_now() if timestamp is None else as_utc(timestamp)
    session = Session(
        messages=as_messages(messages, at=at, limit=core.max_message_bytes),
        id=as_label(session_id, "session_id"),
        agent_id=as_label(agent_id, "agent_id"),
        metadata=as_metadata(metadata),
    )
    stored = yield from ingest(core, user_id, [session], close=False, infer=inferring)
    return (yield from answered(core, user_id, stored, wait))


def add_many(
    core: Core, sessions: Iterable[object], *, user_id: str, infer: bool, wait: bool | float
) -> Flow[AddReply]:
    """Store whole sessions in one transaction and close them."""
    checked_user_id(user_id)
    inferring = wanted(core, infer=infer, wait=wait)
    if isinstance(sessions, str | bytes | Mapping | Session):
        raise InvalidInput("sessions is a list of sessions", hint="wrap the session in a list")
    if not isinstance(sessions, Iterable):
        raise InvalidInput(f"sessions is {type(sessions).__name__}", hint="pass a list of sessions")
    listed: list[Session] = yield lambda: as_sessions(sessions, now=utc_now(), limit=core.max_message_bytes)
    if not listed:
        return AddReply(results=[])
    stored = yield from ingest(core, user_id, listed, close=True, infer=inferring)
    core.closed_session(user_id)
    return (yield from answered(core, user_id, stored, wait))


def ingest(
    core: Core, user_id: str, sessions: Sequence[Session], *, close: bool, infer: Inferring | None
) -> Flow[list[Stored]]:
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
        stored = yield partial(_write, core, user_id, plans, encoded, session_vectors, close=close, infer=infer)
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
    infer: Inferring | None,
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
            infer=infer,
        )
        if not writer.still_true(plans):
            return None
        claim_encoder(core, bank, transaction)
        Graph(bank, transaction, core.association).leave(writer.continued(plans))
        stored = writer.write(plans)
        core.forget_texts(writer.dropped)
    if writer.has_closed:
        core.closed_session(user_id)
    if writer.has_queued:
        core.inference_due(user_id)
    return stored


def claim_encoder(core: Core, bank: MemoryBank, transaction: WriteTransaction) -> None:
    """Enter the encoder with a user's first vectors; refuse to mix the vectors of two encoders."""
    if bank.store.encoder() is None:
        transaction.set_encoder(core.encoder.fingerprint, core.encoder.dim)
    else:
        bank.check_encoder()


def close_session(core: Core, session_id: str, *, user_id: str, infer: bool, wait: bool | float) -> Flow[AddReply]:
    """Close a session and write its summary and keywords; they are the results."""
    checked_user_id(user_id)
    inferring = wanted(core, infer=infer, wait=wait)
    label = as_label(session_id, "session_id")
    if label is None:
        raise InvalidInput("no session is named", hint="pass the session_id that was given to add()")

    def mark() -> None:
        with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
            state = transaction.session(label)
            if state is None:
                raise NotFound(f"there is no session {session_id!r}", hint="check the id")
            transaction.save_session(replace(state, closed=True))
            _queue_session(transaction, replace(state, closed=True), inferring)

    core.touch()
    yield mark
    stored = yield from derive_sessions(core, user_id, only=[label])
    core.inference_due(user_id)
    return (yield from answered(core, user_id, stored, wait))


def _queue_session(transaction: WriteTransaction, state: SessionState, inferring: Inferring | None) -> None:
    """Leave a session that is closed to the language model, in so far as that is wanted and not done."""
    now = to_micros(utc_now())
    session_closed(transaction, state, now=now)
    if inferring is None:
        return
    if inferring.facts:
        turns = transaction.keys_of(state.number, Granularity.TURN)
        known = {job.unit for job in transaction.jobs(units=turns)}
        queue_facts(transaction, state.number, [turn for turn in turns if turn not in known], now=now)
    if inferring.summaries and not transaction.jobs(units=[state.unit]):
        queue_summary(transaction, state, now=now)
