"""Storing conversations: what is read before, encoded in between, and written in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memagent.granularity import group_turns, joins_previous, turn_text
from memagent.lexical import analyze, detect_language, terms_to_bytes
from memagent.memory.ids import memory_id, new_ulid
from memagent.records import Granularity, MemoryUnit, Message, Session, to_micros
from memagent.stores.port import ReadTransaction, SessionState, StoredMessage, UnitDraft, WriteTransaction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.records import Vector


def lexical_terms(text: str) -> bytes:
    """What the store keeps of a text for word search: its term counts under its language."""
    language = detect_language(text)
    return terms_to_bytes(analyze(text, language), language)


class Stored(NamedTuple):
    """One turn unit that a call has added or completed."""

    id: str
    text: str
    event: str
    session_id: str
    source_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnPlan:
    """A turn to be written: its messages, its text, and the stored turn that they complete, if any."""

    messages: tuple[Message, ...]
    text: str
    completes: MemoryUnit | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """A session to be begun or continued with these turns."""

    session: Session
    id: str
    turns: tuple[TurnPlan, ...]

    @property
    def text(self) -> str:
        """The session's text, if nothing of it was stored before."""
        return "\n".join(turn.text for turn in self.turns)


def open_turn(transaction: ReadTransaction, session_id: str) -> MemoryUnit | None:
    """The last turn of a stored session: the one that a reply would complete."""
    state = transaction.session(session_id)
    keys = transaction.keys_of(state.number, Granularity.TURN) if state else []
    units = transaction.units(keys[-1:])
    return units[0] if units else None


def wants_open_turn(session: Session) -> bool:
    """Whether a session's first message belongs to a turn that may be stored already."""
    return session.id is not None and joins_previous(session.messages[0])


def plan(sessions: Sequence[Session], open_turns: Mapping[str, MemoryUnit | None]) -> list[SessionPlan]:
    """The turns that a call will write, given the stored turns that its sessions may complete."""
    plans: list[SessionPlan] = []
    continued: set[str] = set()
    for session in sessions:
        session_id = session.id or new_ulid()
        groups = group_turns(session.messages)
        stored = open_turns.get(session_id) if joins_previous(groups[0][0]) and session_id not in continued else None
        turns = [TurnPlan(messages=group, text=turn_text(group)) for group in groups]
        if stored is not None:
            turns[0] = TurnPlan(messages=groups[0], text=f"{stored.text}\n{turns[0].text}", completes=stored)
        plans.append(SessionPlan(session=session, id=session_id, turns=tuple(turns)))
        continued.add(session_id)
    return plans


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
    ) -> None:
        self._tx = transaction
        self._owner = owner
        self._encoded = encoded
        self._now = now
        self._close = close
        self._session_vectors = session_vectors

    def still_true(self, plans: Sequence[SessionPlan]) -> bool:
        """Whether the turns to be completed are as they were when the plan was made."""
        for session in plans:
            expected = session.turns[0].completes
            if wants_open_turn(session.session) and open_turn(self._tx, session.id) != expected:
                return False
        return True

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
            draft, change = self._complete(new.pop(0), session, state.number)
            completed.append(draft)
            total = change if total is None else total + change
        added = [self._draft(turn, session, state.number) for turn in new]
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
            agent_id=session.session.agent_id or state.agent_id,
        )
        self._tx.save_session(state)
        self._drop_derived(state.number)
        self._refresh_session_unit(state, [*completed, *added], session, is_new=is_new)
        return [_stored(d, "UPDATE", session.id) for d in completed] + [_stored(d, "ADD", session.id) for d in added]

    def _begin(self, session: SessionPlan) -> SessionState:
        for other in self._tx.sessions(closed=False):
            self._tx.save_session(replace(other, closed=True))
        number = self._tx.insert_session(session.id, agent_id=session.session.agent_id)
        first = session.turns[0].messages[0]
        unit = UnitDraft(
            id=memory_id(self._owner),
            session=number,
            granularity=Granularity.SESSION,
            text=None,
            event_at=to_micros(first.event_at),
            at=self._now,
            agent_id=session.session.agent_id,
            metadata=self._metadata(session),
            vector=self._encoded[session.turns[0].text].vector,
        )
        (key,) = self._tx.insert_units([unit])
        return SessionState(
            number=number,
            id=session.id,
            unit=key,
            closed=False,
            derived=False,
            agent_id=session.session.agent_id,
            turns=0,
            vector_sum=None,
        )

    @staticmethod
    def _metadata(session: SessionPlan) -> dict[str, Any]:
        return dict(session.session.metadata)

    def _draft(self, turn: TurnPlan, session: SessionPlan, number: int) -> UnitDraft:
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
            agent_id=session.session.agent_id,
            metadata=self._metadata(session),
            terms=encoded.terms,
            vector=encoded.vector,
        )

    def _complete(self, turn: TurnPlan, session: SessionPlan, number: int) -> tuple[UnitDraft, NDArray[np.float64]]:
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
            agent_id=session.session.agent_id or unit.agent_id,
            metadata={**unit.metadata, **session.session.metadata},
            terms=encoded.terms,
            vector=encoded.vector,
        )
        self._tx.replace_unit(unit.key, draft, old_text=unit.text)
        self._tx.insert_messages([StoredMessage(unit.key, m, self._now) for m in turn.messages])
        return draft, encoded.vector - before

    def _drop_derived(self, number: int) -> None:
        stale = [k for g in (Granularity.SUMMARY, Granularity.KEYWORDS) for k in self._tx.keys_of(number, g)]
        if stale:
            self._tx.delete_units(stale, log=False)

    def _refresh_session_unit(
        self, state: SessionState, written: Sequence[UnitDraft], session: SessionPlan, *, is_new: bool
    ) -> None:
        """Bring a session's own unit up to date; its metadata is what all its turns agree on."""
        (unit,) = self._tx.units([state.unit])
        known = written[0].metadata if is_new else unit.metadata
        agreed = {k: v for k, v in known.items() if all(d.metadata.get(k, _ABSENT) == v for d in written)}
        vector = self._session_vectors.get(session.text) if is_new else None
        self._tx.replace_unit(
            state.unit,
            UnitDraft(
                id=unit.id,
                session=state.number,
                granularity=Granularity.SESSION,
                text=None,
                event_at=max([draft.event_at for draft in written] + ([] if is_new else [to_micros(unit.event_at)])),
                at=self._now,
                roles=tuple(dict.fromkeys([*unit.roles, *(role for draft in written for role in draft.roles)])),
                agent_id=state.agent_id,
                metadata=agreed,
                vector=mean_vector(state.vector_sum) if vector is None else vector,
            ),
            log=False,
        )


_ABSENT = object()


def _stored(draft: UnitDraft, event: str, session_id: str) -> Stored:
    return Stored(draft.id, draft.text or "", event, session_id, draft.sources)


def roles_of(messages: Sequence[Message]) -> tuple[str, ...]:
    """The distinct roles of messages, in order."""
    return tuple(dict.fromkeys(message.role for message in messages))


def sum_of(vectors: Sequence[Vector], start: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    """``start`` plus the sum of vectors, (dim,) float64; None only if there is nothing to add."""
    if not vectors:
        return start
    total: NDArray[np.float64] = np.sum(np.stack(vectors), axis=0, dtype=np.float64)
    return total if start is None else start + total


def mean_vector(total: NDArray[np.float64] | None) -> Vector | None:
    """The direction of a sum of vectors, (dim,) float32; where they cancel out, the first axis."""
    if total is None:
        return None
    norm = float(np.linalg.norm(total))
    if norm < 1e-9:
        axis = np.zeros(len(total), np.float32)
        axis[0] = 1.0
        return axis
    return (total / norm).astype(np.float32)
