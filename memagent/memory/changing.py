"""The verbs that change what is stored: update, delete, delete_all, forget_user, reindex."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.bank.filters import Predicate, compile_filter
from memagent.errors import (
    EncoderError,
    InvalidInput,
    MemagentError,
    NotFound,
    StoreBusy,
    StoreCorrupt,
    StoreVersion,
    UnknownUser,
)
from memagent.granularity import clear_word_caches, embedded_texts
from memagent.memory.core import Core
from memagent.memory.flow import Flow, run
from memagent.memory.ingest import lexical_terms
from memagent.memory.messages import as_label, as_metadata
from memagent.memory.reading import memory_of, no_memory
from memagent.memory.replies import ChangeReply, DeletedReply, Erased
from memagent.memory.sessions import (
    DERIVED,
    derived_keys,
    drop_derived,
    gathered_from,
    mean_vector,
    sum_of,
    write_own_unit,
)
from memagent.memory.writing import derive_sessions
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
        checked = _checked_text(text, core.max_message_bytes)
        (vector,) = yield from core.encode([checked])
        terms = yield lambda: lexical_terms(checked)

    def write() -> tuple[str, str]:
        with memory_of(core, memory_id, user_id) as bank, bank.store.write() as transaction:
            bank.check_encoder()
            unit = transaction.find(memory_id)
            if unit is None:
                raise no_memory(memory_id)
            core.forget_texts(_replace(transaction, unit, text, new_metadata, vector, terms))
            return bank.store.user_id, unit.session_id

    owner, session_id = yield write
    yield partial(_derive_again, core, owner, [session_id])
    return ChangeReply(id=memory_id, event="UPDATE", message="the memory was updated")


def _derive_again(core: Core, user_id: str, session_ids: Sequence[str]) -> None:
    """Write summaries and keywords of changed sessions, if they are closed.

    The change itself is committed: that they cannot be written now must not look as if it had failed. They stay marked
    as due.
    """
    try:
        for session_id in session_ids:
            run(derive_sessions(core, user_id, only=session_id))
    except NotFound:
        return  # the user was forgotten meanwhile
    except MemagentError as error:
        _log.warning("summaries of a changed session could not be written: %s", error)
        core.closed_session(user_id)


def _checked_text(text: object, limit: int) -> str:
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput("the new text is empty or not a text", hint="use delete() to remove a memory")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput("the new text holds a lone surrogate", hint="decode it properly first") from None
    if size > limit:
        raise InvalidInput(f"the new text has {size:,} bytes, more than {limit:,}", hint="raise max_message_bytes")
    return text


def _replace(
    transaction: WriteTransaction,
    unit: MemoryUnit,
    text: str | None,
    metadata: dict[str, Any] | None,
    vector: Vector | None,
    terms: bytes,
) -> list[str]:
    """Write a unit's new content; the texts whose vectors are of no more use."""
    if unit.granularity is Granularity.SESSION:
        raise InvalidInput("a session's text is that of its turns", hint="update its turns, or delete the session")
    state = transaction.session(unit.session_id)
    assert state is not None  # every unit has a session: a foreign key of the schema
    before = transaction.vectors([unit.key])[unit.key]
    turns = transaction.keys_of(state.number, Granularity.TURN) if state.derived else []
    old = [unit.text, *embedded_texts([turn.text for turn in transaction.units(turns)])]
    kept_terms = terms if text is not None else lexical_terms(unit.text)
    draft = UnitDraft(
        id=unit.id,
        session=state.number,
        granularity=unit.granularity,
        text=unit.text if text is None else text,
        event_at=to_micros(unit.event_at),
        at=to_micros(utc_now()),
        sources=unit.source_ids,
        roles=unit.roles,
        agent_id=unit.agent_id,
        metadata=unit.metadata if metadata is None else metadata,
        terms=kept_terms,
        vector=vector,
    )
    transaction.replace_unit(unit.key, draft, old_text=unit.text)
    if unit.granularity is Granularity.TURN:
        if vector is not None and state.vector_sum is not None:
            state = replace(state, vector_sum=state.vector_sum - np.frombuffer(before, "<f4") + vector)
        old += _refresh(transaction, state)
    return old if text is not None else []


def _refresh(transaction: WriteTransaction, state: SessionState) -> list[str]:
    """Bring a session and its unit up to date with the turns it has now; derived texts go, to be written anew."""
    dropped = drop_derived(transaction, state.number)
    transaction.save_session(replace(state, derived=False))
    (unit,) = transaction.units([state.unit], whole=False)
    turns = gathered_from(transaction, state.number)
    write_own_unit(transaction, state, unit, turns, now=to_micros(utc_now()), vector=None)
    return dropped


def delete(core: Core, memory_id: str, *, user_id: str | None) -> Flow[ChangeReply]:
    """Remove one memory and every trace of its text; a session goes with all that belongs to it."""
    core.touch()

    def write() -> tuple[str, str]:
        with memory_of(core, memory_id, user_id) as bank, bank.store.write() as transaction:
            unit = transaction.find(memory_id)
            if unit is None:
                raise no_memory(memory_id)
            forget_texts(core, _remove(transaction, [unit]))
            return bank.store.user_id, unit.session_id

    owner, session_id = yield write
    yield partial(_derive_again, core, owner, [session_id])
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
        with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
            units = _matching(transaction, conditions)
            forget_texts(core, _remove(transaction, units))
            return units

    units = yield write
    yield partial(_derive_again, core, user_id, list(dict.fromkeys(unit.session_id for unit in units)))
    count = len(units)
    return DeletedReply(deleted=count, message=f"{count} memories were deleted")


def _matching(transaction: ReadTransaction, conditions: Sequence[Predicate]) -> list[MemoryUnit]:
    attributes = transaction.attributes()
    keys = sorted(key for key, unit in attributes.items() if all(condition(unit) for condition in conditions))
    return [unit for unit in transaction.units(keys, whole=False) if unit.granularity is Granularity.TURN]


def _remove(transaction: WriteTransaction, units: Sequence[MemoryUnit]) -> list[str]:
    """Delete units and what follows from it for their sessions; all texts that may be in an encoder's cache."""
    by_session: dict[str, list[MemoryUnit]] = {}
    for unit in units:
        by_session.setdefault(unit.session_id, []).append(unit)
    now = to_micros(utc_now())
    texts: list[str] = []
    for session_id, members in by_session.items():
        state = transaction.session(session_id)
        assert state is not None
        if all(unit.granularity in DERIVED for unit in members):
            texts += _embedded(transaction, members, [])
            transaction.delete_units([unit.key for unit in members], at=now)
            continue
        turns = transaction.units(transaction.keys_of(state.number, Granularity.TURN))
        whole = any(unit.granularity is Granularity.SESSION for unit in members)
        gone = turns if whole else [unit for unit in members if unit.granularity is Granularity.TURN]
        derived = transaction.units(derived_keys(transaction, state.number), whole=False)
        texts += _embedded(transaction, [*gone, *derived], turns)
        _remove_turns(transaction, state, gone, turns, now)
    return texts


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


def forget_texts(core: Core, texts: Sequence[str]) -> int:
    """Drop what this process and an encoder's cache remember of texts; how many cached vectors there were."""
    clear_word_caches()
    return core.forget_texts(texts)


def forget_user(core: Core, *, user_id: str) -> Flow[Erased]:
    """Erase everything about a user: text, vectors, history, the id, and cached vectors."""
    core.touch()
    checked_user_id(user_id)

    def texts_and_counts() -> tuple[list[str], dict[str, int]]:
        try:
            return readable()
        except (EncoderError, StoreCorrupt, StoreVersion, UnknownUser):
            # What cannot be read can be erased too; of an unknown user there may be files all the same.
            return [], dict.fromkeys(("units", "sessions", "messages"), 0)

    def readable() -> tuple[list[str], dict[str, int]]:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            units = transaction.units(sorted(transaction.attributes()))
            texts = [text for unit in units for text in (unit.text, *_sentences(transaction, unit))]
            texts += [change.old_text for change in transaction.history() if change.old_text]
            return texts, transaction.counts()

    def erase() -> None:
        try:
            core.store.forget(user_id)
        finally:
            # Afterwards: a bank opened meanwhile would keep the erased file alive.
            core.banks.close_user(user_id)

    texts, counts = yield texts_and_counts
    cached = yield partial(forget_texts, core, texts)
    yield erase
    return Erased(
        user_id=user_id,
        units=counts["units"],
        sessions=counts["sessions"],
        messages=counts["messages"],
        cached_vectors=cached,
    )


def _sentences(transaction: ReadTransaction, unit: MemoryUnit) -> list[str]:
    """What was embedded of a session to write its summary."""
    if unit.granularity is not Granularity.SESSION:
        return []
    state = transaction.session(unit.session_id)
    keys = transaction.keys_of(state.number, Granularity.TURN) if state else []
    return embedded_texts([turn.text for turn in transaction.units(keys)])


def reindex(core: Core, *, user_id: str) -> Flow[int]:
    """Embed all of a user's units again with the present encoder; how many there were."""
    checked_user_id(user_id)

    def read() -> dict[int, str]:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            return _own_texts(transaction)

    texts: dict[int, str] = yield read
    vectors = yield from core.encode(list(texts.values()))
    by_key = dict(zip(texts, vectors, strict=True))

    def write() -> None:
        with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
            if _own_texts(transaction) != texts:
                raise StoreBusy("the user's memories changed during the reindexing", hint="run it again")
            transaction.set_encoder(core.encoder.fingerprint, core.encoder.dim)
            for state in transaction.sessions():
                keys = transaction.keys_of(state.number, Granularity.TURN)
                total = sum_of(by_key[key] for key in keys)
                transaction.save_session(
                    replace(state, vector_sum=total, derived=state.derived and not core.text_vectors)
                )
                mean = mean_vector(total)
                assert mean is not None
                by_key[state.unit] = mean
            transaction.set_vectors({key: vector.astype("<f4").tobytes() for key, vector in by_key.items()})

    yield write
    return len(texts)


def _own_texts(transaction: ReadTransaction) -> dict[int, str]:
    """The texts of all units that have one of their own, by key."""
    units = transaction.units(sorted(transaction.attributes()), whole=False)
    return {unit.key: unit.text for unit in units if unit.granularity is not Granularity.SESSION}
