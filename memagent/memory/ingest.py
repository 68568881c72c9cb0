"""Storing conversations: what is read before, encoded in between, and written in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memagent.bank.filters import same_value
from memagent.granularity import MAX_MESSAGES, group_turns, joins_previous, turn_text
from memagent.memory.facts import relabel_facts
from memagent.memory.ids import memory_id, new_ulid
from memagent.memory.queueing import Inferring, queue_facts, queue_summary, session_changed, session_closed
from memagent.memory.sessions import Gathered, drop_derived, gathered, gathered_from, sum_of, write_own_unit
from memagent.records import Granularity, MemoryUnit, Message, Session, to_micros
from memagent.stores.port import ReadTransaction, SessionState, StoredMessage, UnitDraft, WriteTransaction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.records import Vector


class Stored(NamedTuple):
    """One turn unit that a call has added or completed."""

    id: str
    text: str
    event: str
    session_id: str
    source_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPlan:
    """A turn to be written: its messages, its text, its labels, and the stored turn that they complete, if any."""

    messages: tuple[Message, ...]
    text: str
    agent_id: str | None = None
    metadata: Mapping[str, Any]
    completes: MemoryUnit | None = None

    @property
    def size(self) -> int:
        """How many messages the turn will have."""
        return len(self.messages) + (len(self.completes.source_ids) if self.completes else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """A session to be begun or continued with these turns."""

    session: Session
    id: str
    turns: tuple[TurnPlan, ...]

    @property
    def agent_id(self) -> str | None:
        """The last agent that is named."""
        return next((turn.agent_id for turn in reversed(self.turns) if turn.agent_id), None)

    @property
    def text(self) -> str:
        """The session's text, if nothing of it was stored before."""
        return "\n".join(turn.text for turn in self.turns)


def open_turn(transaction: ReadTransaction, session_id: str) -> MemoryUnit | None:
    """The last turn of a stored session, if a reply would complete it."""
    state = transaction.session(session_id)
    key = transaction.last_key(state.number, Granularity.TURN) if state else None
    unit = None if key is None else transaction.units([key])[0]
    return None if unit is None or len(unit.source_ids) >= MAX_MESSAGES else unit


def wants_open_turn(session: Session) -> bool:
    """Whether a session's first message belongs to a turn that may be stored already."""
    return session.id is not None and joins_previous(session.messages[0])


def plan(sessions: Sequence[Session], open_turns: Mapping[str, MemoryUnit | None]) -> list[SessionPlan]:
    """The turns that a call will write, given the stored turns that its sessions may complete.

    A session may come in several pieces: a reply at the beginning of a later one belongs to the turn before it.
    """
    plans: list[SessionPlan] = []
    latest: dict[str, int] = {}
    for session in sessions:
        session_id = session.id or new_ulid()
        place = latest.get(session_id)
        stored = open_turns.get(session_id) if place is None else None
        begun = len(stored.source_ids) if stored else 0 if place is None else plans[place].turns[-1].size
        groups = group_turns(session.messages, begun=begun)
        replies = groups.pop(0) if joins_previous(session.messages[0], begun) else ()
        turns = [_turn(session, group, turn_text(group)) for group in groups]
        if replies and place is not None:
            plans[place] = _continued(plans[place], session, replies)
        elif replies and stored is not None:
            text = f"{stored.text}\n{turn_text(replies)}"
            turns.insert(0, replace(_turn(session, replies, text), completes=stored))
        if turns:
            latest[session_id] = len(plans)
            plans.append(SessionPlan(session=session, id=session_id, turns=tuple(turns)))
    return plans


def _turn(session: Session, messages: tuple[Message, ...], text: str) -> TurnPlan:
    return TurnPlan(messages=messages, text=text, agent_id=session.agent_id, metadata=session.metadata)


def _continued(planned: SessionPlan, piece: Session, replies: tuple[Message, ...]) -> SessionPlan:
    """A plan whose last turn is completed by the beginning of the session's next piece."""
    *turns, last = planned.turns
    longer = replace(
        last,
        messages=(*last.messages, *replies),
        text=f"{last.text}\n{turn_text(replies)}",
        agent_id=piece.agent_id or last.agent_id,
        metadata={**last.metadata, **piece.metadata},
    )
    return replace(planned, turns=(*turns, longer))


class Encoded(NamedTuple):
    """What is computed from a text outside the transaction."""

    vector: Vector
    terms: bytes


class Writer:
    """Writes planned sessions inside one transaction."""

    def __init__(
        self,
        transaction: WriteTransaction,
        owner: str,
        encoded: Mapping[str, Encoded],
        *,
        now: int,
        close: bool,
        session_vectors: Mapping[str, Vector],
        infer: Inferring | None = None,
    ) -> None:
        self._tx = transaction
        self._owner = owner
        self._encoded = encoded
        self._now = now
        self._close = close
        self._session_vectors = session_vectors
        self._infer = infer
        self.dropped: list[str] = []
        self.has_closed = False
        """Whether a session that was open before is closed now: its summary and keywords are due."""
        self.has_queued = False
        """Whether there may be work for a language model."""

    def still_true(self, plans: Sequence[SessionPlan]) -> bool:
        """Whether the turns to be completed are as they were when the plan was made."""
        seen: set[str] = set()
        for session in plans:
            looked_up = session.id not in seen and wants_open_turn(session.session)
            if looked_up and open_turn(self._tx, session.id) != session.turns[0].completes:
                return False
            seen.add(session.id)
        return True

    def continued(self, plans: Sequence[SessionPlan]) -> list[int]:
        """The numbers of the stored, derived sessions that the plans go on with."""
        states = (self._tx.session(session_id) for session_id in {session.id for session in plans})
        return [state.number for state in states if state is not None and state.derived]

    def write(self, plans: Sequence[SessionPlan]) -> list[Stored]:
        """Write everything; what each turn became."""
        stored: list[Stored] = []
        for session in plans:
            stored += self._session(session)
        return stored

    def _session(self, session: SessionPlan) -> list[Stored]:
        state = self._tx.session(session.id)
        is_new = state is None
        if state is None:
            state = self._begin(session)
        new = list(session.turns)
        completed: list[UnitDraft] = []
        total = state.vector_sum
        if new[0].completes is not None:
            draft, change = self._complete(new.pop(0), state.number)
            completed.append(draft)
            total = change if total is None else total + change
        added = [self._draft(turn, state.number) for turn in new]
        keys = self._tx.insert_units(added)
        self._tx.insert_messages(
            [StoredMessage(k, m, self._now) for k, turn in zip(keys, new, strict=True) for m in turn.messages]
        )
        state = replace(
            state,
            turns=state.turns + len(added),
            vector_sum=sum_of([draft.vector for draft in added if draft.vector is not None], total),
            closed=self._close,
            derived=False,
            agent_id=session.agent_id or state.agent_id,
        )
        self._tx.save_session(state)
        self.dropped += drop_derived(self._tx, state.number)
        completed_keys = [turn.completes.key for turn in session.turns if turn.completes is not None]
        self._queue(state, completed_keys, keys)
        self._refresh_own_unit(state, [*completed, *added], session, is_new=is_new)
        return [_stored(d, "UPDATE", session.id) for d in completed] + [_stored(d, "ADD", session.id) for d in added]

    def _queue(self, state: SessionState, completed: Sequence[int], added: Sequence[int]) -> None:
        """Leave to a language model what is wanted of it, and what it has done before and is not true any more."""
        if self._infer is not None and self._infer.facts:
            queue_facts(self._tx, state.number, [*completed, *added], now=self._now)
        if self._infer is not None and self._infer.summaries:
            queue_summary(self._tx, state, now=self._now)
        else:
            self.has_queued |= session_changed(self._tx, state, now=self._now)
        for turn in completed:
            dropped = relabel_facts(self._tx, state, turn, now=self._now)
            self.has_queued |= bool(dropped)
            self.dropped += dropped
        self.has_queued |= self._infer is not None

    def _begin(self, session: SessionPlan) -> SessionState:
        for other in self._tx.sessions(closed=False):
            self._tx.save_session(replace(other, closed=True))
            self.has_queued |= session_closed(self._tx, other, now=self._now)
            self.has_closed = True
        number = self._tx.insert_session(session.id, agent_id=session.agent_id)
        first = session.turns[0].messages[0]
        unit = UnitDraft(
            id=memory_id(self._owner),
            session=number,
            granularity=Granularity.SESSION,
            text=None,
            event_at=to_micros(first.event_at),
            at=self._now,
            agent_id=session.agent_id,
            vector=self._encoded[session.turns[0].text].vector,
        )
        (key,) = self._tx.insert_units([unit])
        return SessionState(
            number=number,
            id=session.id,
            unit=key,
            closed=False,
            derived=False,
            agent_id=session.agent_id,
            turns=0,
            vector_sum=None,
        )

    def _draft(self, turn: TurnPlan, number: int) -> UnitDraft:
        encoded = self._encoded[turn.text]
        return UnitDraft(
            id=memory_id(self._owner),
            session=number,
            granularity=Granularity.TURN,
            text=turn.text,
            event_at=max(to_micros(m.event_at) for m in turn.messages),
            at=self._now,
            sources=tuple(m.id for m in turn.messages),
            roles=roles_of(turn.messages),
            agent_id=turn.agent_id,
            metadata=dict(turn.metadata),
            terms=encoded.terms,
            vector=encoded.vector,
        )

    def _complete(self, turn: TurnPlan, number: int) -> tuple[UnitDraft, NDArray[np.float64]]:
        """Add replies to a turn that is stored already; its new content, and by how much its vector moved."""
        unit, encoded = turn.completes, self._encoded[turn.text]
        assert unit is not None
        before = np.frombuffer(self._tx.vectors([unit.key])[unit.key], "<f4").astype(np.float64)
        draft = UnitDraft(
            id=unit.id,
            session=number,
            granularity=Granularity.TURN,
            text=turn.text,
            event_at=max(to_micros(unit.event_at), *(to_micros(m.event_at) for m in turn.messages)),
            at=self._now,
            sources=(*unit.source_ids, *(m.id for m in turn.messages)),
            roles=tuple(dict.fromkeys((*unit.roles, *roles_of(turn.messages)))),
            agent_id=turn.agent_id or unit.agent_id,
            metadata={**unit.metadata, **turn.metadata},
            terms=encoded.terms,
            vector=encoded.vector,
        )
        self._tx.replace_unit(unit.key, draft, old_text=unit.text)
        self._tx.insert_messages([StoredMessage(unit.key, m, self._now) for m in turn.messages])
        return draft, encoded.vector - before

    def _refresh_own_unit(
        self, state: SessionState, written: Sequence[UnitDraft], session: SessionPlan, *, is_new: bool
    ) -> None:
        (unit,) = self._tx.units([state.unit], whole=False)
        turns = [Gathered(draft.event_at, draft.roles, dict(draft.metadata)) for draft in written]
        completed = session.turns[0].completes
        if completed is not None and not same_value(completed.metadata, written[0].metadata):
            turns = [gathered_from(self._tx, state.number)]  # the turns may agree on more than they did before
        elif not is_new:
            turns.insert(0, Gathered(to_micros(unit.event_at), unit.roles, dict(unit.metadata)))
        vector = self._session_vectors.get(session.text) if is_new else None
        write_own_unit(self._tx, state, unit, gathered(turns), now=self._now, vector=vector)


def _stored(draft: UnitDraft, event: str, session_id: str) -> Stored:
    return Stored(draft.id, draft.text or "", event, session_id, draft.sources)


def roles_of(messages: Sequence[Message]) -> tuple[str, ...]:
    """The distinct roles of messages, in order."""
    return tuple(dict.fromkeys(message.role for message in messages))
