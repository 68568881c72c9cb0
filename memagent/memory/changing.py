"""The verbs that change what is stored: update, delete, delete_all."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.bank.filters import Predicate, compile_filter
from memagent.errors import InvalidInput, MemagentError, NotFound
from memagent.granularity import embedded_texts
from memagent.memory.association import Graph, writing
from memagent.memory.core import Core
from memagent.memory.deriving import derive_sessions, write_metadata
from memagent.memory.describing import checked_text, rewrite
from memagent.memory.documents import SESSION as DOCUMENTS
from memagent.memory.documents import family
from memagent.memory.facts import draft_of, drop_facts, relabel_facts
from memagent.memory.flow import Flow, run
from memagent.memory.forgetting import forget_texts
from memagent.memory.messages import as_label, as_metadata
from memagent.memory.queueing import blank_reasons, session_changed
from memagent.memory.reading import memory_of, no_memory
from memagent.memory.replies import ChangeReply, DeletedReply
from memagent.memory.sessions import DERIVED, derived_keys, drop_derived, gathered_from, write_own_unit
from memagent.memory.terms import lexical_terms
from memagent.records import Granularity, MemoryUnit, to_micros, utc_now
from memagent.stores.port import ReadTransaction, SessionState, UnitDraft, WriteTransaction
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from memagent.records import Vector

_log = logging.getLogger("memagent")


def update(
    core: Core, memory_id: str, text: str | None, *, metadata: Mapping[str, Any] | None, user_id: str | None
) -> Flow[ChangeReply]:
    """Give a memory a new text, new metadata, or both."""
    core.touch()
    new_metadata = None if metadata is None else as_metadata(metadata)
    if text is None and new_metadata is None:
        raise InvalidInput("there is nothing to update", hint="pass text=, metadata=, or both")
    vector, terms = None, b""
    if text is not None:
        checked = checked_text(text, core.max_message_bytes)
        described: MemoryUnit | None = yield partial(_described, core, memory_id, user_id)
        if described is not None:
            given = {described.granularity: checked}
            place = (described.user_id, described.session_id)
            yield from rewrite(core, *place, given, memory_id=memory_id, metadata=new_metadata)
            return _updated(memory_id)
        (vector,) = yield from core.encode([checked])
        terms = yield lambda: lexical_terms(checked)

    def write() -> tuple[str, str]:
        with memory_of(core, memory_id, user_id) as bank, writing(core, bank) as (transaction, graph):
            bank.check_encoder()
            unit = transaction.find(memory_id)
            if unit is None:
                raise no_memory(memory_id)
            core.forget_texts(_replace(transaction, graph, unit, text, new_metadata, vector, terms))
            return bank.store.user_id, unit.session_id

    owner, session_id = yield write
    yield partial(_derive_again, core, owner, [session_id])
    core.inference_due(owner)
    return _updated(memory_id)


def _updated(memory_id: str) -> ChangeReply:
    return ChangeReply(id=memory_id, event="UPDATE", message="the memory was updated")


def _described(core: Core, memory_id: str, user_id: str | None) -> MemoryUnit | None:
    """The memory with this id if it is a summary or keywords: these say together what a session's combination says."""
    with memory_of(core, memory_id, user_id) as bank, bank.store.read() as transaction:
        unit = transaction.find(memory_id)
    return unit if unit is not None and unit.granularity in (Granularity.SUMMARY, Granularity.KEYWORDS) else None


def _derive_again(core: Core, user_id: str, session_ids: Sequence[str]) -> None:
    """Write summaries and keywords of changed sessions, if they are closed.

    The change itself is committed: that they cannot be written now must not look as if it had failed. They stay marked
    as due, and stay so without a word where the encoder is not loaded yet: a deletion needs none.
    """
    if not core.has_encoder:
        return
    try:
        run(derive_sessions(core, user_id, only=session_ids))
    except NotFound:
        return  # the user was forgotten meanwhile
    except MemagentError as error:
        _log.warning("summaries of a changed session could not be written: %s", error)
        core.closed_session(user_id)


def _replace(
    transaction: WriteTransaction,
    graph: Graph,
    unit: MemoryUnit,
    text: str | None,
    metadata: dict[str, Any] | None,
    vector: Vector | None,
    terms: bytes,
) -> list[str]:
    """Write a unit's new content; the texts whose vectors are of no more use."""
    if unit.granularity is Granularity.SESSION:
        raise InvalidInput("a session's text is that of its turns", hint="update its turns, or delete the session")
    if unit.granularity is Granularity.DOCUMENT:
        raise InvalidInput("a document has a value, not a text", hint="put another value under its key")
    if unit.granularity is Granularity.COMBINATION:
        raise InvalidInput("a combination's text is that of its parts", hint="update the summary or the keywords")
    state = _session_of(transaction, unit.session_id)
    now = to_micros(utc_now())
    if unit.granularity is Granularity.FACT:
        labels = unit.metadata if metadata is None else metadata
        draft = draft_of(unit, at=now, metadata=labels, agent_id=unit.agent_id, text=text, vector=vector)
        transaction.replace_unit(unit.key, draft, old_text=unit.text)
        return [] if vector is None else [unit.text]
    draft = UnitDraft(
        id=unit.id,
        session=state.number,
        granularity=unit.granularity,
        text=unit.text if text is None else text,
        event_at=to_micros(unit.event_at),
        at=now,
        sources=unit.source_ids,
        roles=unit.roles,
        agent_id=unit.agent_id,
        metadata=unit.metadata if metadata is None else metadata,
        terms=terms if text is not None else lexical_terms(unit.text),
        vector=vector,
    )
    if vector is None:
        transaction.replace_unit(unit.key, draft, old_text=unit.text)
        if unit.granularity is not Granularity.TURN:
            return []
        write_metadata(transaction, state, now=now)
        return relabel_facts(transaction, state, unit.key, now=now)
    turns = transaction.keys_of(state.number, Granularity.TURN) if state.derived else []
    old = [unit.text, *embedded_texts([turn.text for turn in transaction.units(turns)])]
    graph.leave([state.number])
    before = transaction.vectors([unit.key])[unit.key]
    transaction.replace_unit(unit.key, draft, old_text=unit.text)
    if state.vector_sum is not None:
        state = replace(state, vector_sum=state.vector_sum - np.frombuffer(before, "<f4") + vector)
    return old + drop_facts(transaction, state.number, [unit.key], now=now) + _refresh(transaction, state)


def _refresh(transaction: WriteTransaction, state: SessionState) -> list[str]:
    """Bring a session and its unit up to date with the turns it has now; derived texts go, to be written anew."""
    dropped = drop_derived(transaction, state.number)
    transaction.save_session(replace(state, derived=False))
    session_changed(transaction, state, now=to_micros(utc_now()))
    (unit,) = transaction.units([state.unit], whole=False)
    turns = gathered_from(transaction, state.number)
    write_own_unit(transaction, state, unit, turns, now=to_micros(utc_now()), vector=None)
    return dropped


def delete(core: Core, memory_id: str, *, user_id: str | None) -> Flow[ChangeReply]:
    """Remove one memory and every trace of its text; a session goes with all that belongs to it."""
    core.touch()

    def write() -> tuple[str, str]:
        with memory_of(core, memory_id, user_id) as bank, writing(core, bank) as (transaction, graph):
            unit = transaction.find(memory_id)
            if unit is None:
                raise no_memory(memory_id)
            forget_texts(core, _remove(transaction, graph, [unit]))
            return bank.store.user_id, unit.session_id

    owner, session_id = yield write
    yield partial(_derive_again, core, owner, [session_id])
    core.inference_due(owner)
    return ChangeReply(id=memory_id, event="DELETE", message="the memory was deleted")


def delete_all(
    core: Core, *, user_id: str, session_id: str | None, filters: Mapping[str, Any] | None
) -> Flow[DeletedReply]:
    """Remove all of a user's turns that match, with what is derived from them; in one transaction."""
    core.touch()
    checked_user_id(user_id)
    conditions = [] if filters is None else [compile_filter(filters)]
    if session_id is not None:
        label = as_label(session_id, "session_id")
        conditions.append(lambda unit: unit.session_id == label)

    def write() -> list[MemoryUnit]:
        with core.banks.lease(user_id) as bank, writing(core, bank) as (transaction, graph):
            units = _matching(transaction, conditions)
            forget_texts(core, _remove(transaction, graph, units))
            return units

    units = yield write
    yield partial(_derive_again, core, user_id, list(dict.fromkeys(unit.session_id for unit in units)))
    core.inference_due(user_id)
    count = len(units)
    return DeletedReply(deleted=count, message=f"{count} memories were deleted")


def _matching(transaction: ReadTransaction, conditions: Sequence[Predicate]) -> list[MemoryUnit]:
    attributes = transaction.attributes()
    keys = sorted(key for key, unit in attributes.items() if all(condition(unit) for condition in conditions))
    return [unit for unit in transaction.units(keys, whole=False) if unit.granularity is Granularity.TURN]


def _remove(transaction: WriteTransaction, graph: Graph, units: Sequence[MemoryUnit]) -> list[str]:
    """Delete units and what follows from it for their sessions; all texts that may be in an encoder's cache."""
    by_session: dict[str, list[MemoryUnit]] = {}
    for unit in units:
        by_session.setdefault(unit.session_id, []).append(unit)
    states = [_session_of(transaction, session_id) for session_id in by_session]
    graph.leave([state.number for state in states])
    now = to_micros(utc_now())
    texts: list[str] = []
    for state, members in zip(states, by_session.values(), strict=True):
        if all(unit.granularity in (Granularity.FACT, Granularity.DOCUMENT) for unit in members):
            removed = family(transaction, members) if state.id == DOCUMENTS else members
            texts += _embedded(transaction, removed, [])
            transaction.delete_units([unit.key for unit in removed], at=now)
            continue
        if all(unit.granularity in DERIVED for unit in members):
            # What a combination says is what its parts say.
            said = transaction.units(transaction.keys_of(state.number, Granularity.COMBINATION))
            removed = list({unit.key: unit for unit in (*members, *said)}.values())
            texts += _embedded(transaction, removed, [])
            transaction.delete_units([unit.key for unit in removed], at=now)
            continue
        turns = transaction.units(transaction.keys_of(state.number, Granularity.TURN))
        whole = any(unit.granularity is Granularity.SESSION for unit in members)
        gone = turns if whole else [unit for unit in members if unit.granularity is Granularity.TURN]
        derived = transaction.units(derived_keys(transaction, state.number), whole=False)
        texts += _embedded(transaction, [*gone, *derived], turns)
        texts += drop_facts(transaction, state.number, [unit.key for unit in gone], now=now, at=now)
        _remove_turns(transaction, state, gone, turns, now)
    blank_reasons(transaction)
    return texts


def _session_of(transaction: ReadTransaction, session_id: str) -> SessionState:
    state = transaction.session(session_id)
    assert state is not None  # every unit has a session: a foreign key of the schema
    return state


def _embedded(transaction: ReadTransaction, units: Sequence[MemoryUnit], session: Sequence[MemoryUnit]) -> list[str]:
    """What an encoder has seen of units (present and former texts) and of the session with these turns."""
    former = [change.old_text for unit in units for change in transaction.history(unit.id) if change.old_text]
    said = [turn.text for turn in session]
    return [*(unit.text for unit in units), *former, "\n".join(said), *embedded_texts(said)]


def _remove_turns(
    transaction: WriteTransaction,
    state: SessionState,
    gone: Sequence[MemoryUnit],
    turns: Sequence[MemoryUnit],
    now: int,
) -> None:
    keys = [unit.key for unit in gone]
    if len(gone) == len(turns):
        transaction.delete_units([*keys, *derived_keys(transaction, state.number), state.unit], at=now)
        transaction.delete_session(state.number)
        return
    total = state.vector_sum
    for data in transaction.vectors(keys).values():
        total = None if total is None else total - np.frombuffer(data, "<f4")
    transaction.delete_units(keys, at=now)
    _refresh(transaction, replace(state, turns=len(turns) - len(gone), vector_sum=total))
