"""The verb that gives a session its summary or keywords: describe_session."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from memagent.errors import InvalidInput, NotFound, StoreBusy
from memagent.granularity import Derived, combined
from memagent.memory.association import writing
from memagent.memory.core import Core
from memagent.memory.deriving import DerivedUnit, derived_units, embedded, turn_texts, write_derived
from memagent.memory.flow import Flow
from memagent.memory.ingest import Stored
from memagent.memory.messages import as_label
from memagent.memory.queueing import described_otherwise
from memagent.memory.reading import no_memory
from memagent.memory.replies import AddReply, event
from memagent.memory.sessions import derived_keys
from memagent.records import Granularity, MemoryUnit
from memagent.stores.port import ReadTransaction, SessionState, WriteTransaction
from memagent.stores.sqlite import checked_user_id


def describe_session(
    core: Core, session_id: str, *, user_id: str, summary: str | None, keywords: str | None
) -> Flow[AddReply]:
    """Give a closed session its summary, its keywords, or both; the results are the units written."""
    core.touch()
    checked_user_id(user_id)
    label = as_label(session_id, "session_id")
    if label is None:
        raise InvalidInput("no session is named", hint="pass the session_id that was given to add()")
    said = {Granularity.SUMMARY: summary, Granularity.KEYWORDS: keywords}
    given = {g: checked_text(text, core.max_message_bytes, str(g)) for g, text in said.items() if text is not None}
    if not given:
        raise InvalidInput("there is nothing to describe the session with", hint="pass summary=, keywords=, or both")
    for granularity in given:
        if granularity not in core.granularities:
            raise InvalidInput(
                f"this memory keeps no {granularity} units", hint=f"make it with {str(granularity)!r} in granularities="
            )
    stored = yield from rewrite(core, user_id, label, given)
    return AddReply(results=[event(one) for one in stored])


def checked_text(text: object, limit: int, what: str = "text") -> str:
    """A text that can be stored; raises InvalidInput. ``limit`` is in bytes of UTF-8."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidInput(f"the new {what} is empty or not a text", hint="use delete() to remove a memory")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"the new {what} holds a lone surrogate", hint="decode it properly first") from None
    if size > limit:
        raise InvalidInput(f"the new {what} has {size:,} bytes, more than {limit:,}", hint="raise max_message_bytes")
    return text


class _Basis(NamedTuple):
    """What a description is written upon: the session's turns, and what is derived of it (None: nothing yet)."""

    turns: list[str]
    derived: dict[Granularity, MemoryUnit] | None


Agrees: TypeAlias = Callable[[WriteTransaction, SessionState], bool]


def _described_by_hand(transaction: WriteTransaction, state: SessionState) -> bool:
    described_otherwise(transaction, state)
    return True


def rewrite(
    core: Core,
    user_id: str,
    session_id: str,
    given: Mapping[Granularity, str],
    *,
    memory_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    agrees: Agrees = _described_by_hand,
) -> Flow[list[Stored]]:
    """Replace derived texts of a session; what else is due, or says the same, is written with them.

    ``memory_id``: of the one unit that is meant, which must be there; ``metadata``: what it gets. ``agrees`` is asked
    inside the transaction, and may write; if it refuses, nothing else is written. Raises NotFound, InvalidInput for a
    session that is not closed, StoreBusy if others keep changing it.
    """
    deadline = time.monotonic() + core.timeout
    while time.monotonic() < deadline:
        basis: _Basis = yield partial(_look, core, user_id, session_id)
        ids = [unit.id for unit in (basis.derived or {}).values()]
        if memory_id is not None and memory_id not in ids:
            raise no_memory(memory_id)
        units: dict[Granularity, DerivedUnit] = yield partial(_units, core, basis, given)
        labels = {} if metadata is None else dict.fromkeys(given, metadata)
        written: list[Stored] | None = yield partial(_write, core, user_id, session_id, basis, units, labels, agrees)
        if written is not None:
            return written
    raise StoreBusy("other writers keep changing the session", hint="try again")


def _look(core: Core, user_id: str, session_id: str) -> _Basis:
    with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
        bank.check_encoder()
        return _basis(transaction, session_id)


def _basis(transaction: ReadTransaction, session_id: str) -> _Basis:
    state = closed_session(transaction, session_id)
    derived = transaction.units(derived_keys(transaction, state.number), whole=False) if state.derived else None
    return _Basis(
        turn_texts(transaction, state), None if derived is None else {unit.granularity: unit for unit in derived}
    )


def closed_session(transaction: ReadTransaction, session_id: str) -> SessionState:
    """The session with this id; raises NotFound, and InvalidInput for one that is still open."""
    state = transaction.session(session_id)
    if state is None:
        raise NotFound(f"there is no session {session_id!r}", hint="check the id")
    if not state.closed:
        raise InvalidInput(f"the session {session_id!r} is not closed yet", hint="call close_session() first")
    return state


def _units(core: Core, basis: _Basis, given: Mapping[Granularity, str]) -> dict[Granularity, DerivedUnit]:
    """The units to be written, by granularity."""
    if basis.derived is None:
        return derived_units(core, basis.turns, given)
    texts = dict(given)
    if Granularity.COMBINATION in {*basis.derived, *core.granularities}:
        present = {granularity: unit.text for granularity, unit in basis.derived.items()} | texts
        parts = Derived(present.get(Granularity.SUMMARY, ""), present.get(Granularity.KEYWORDS, ""))
        texts[Granularity.COMBINATION] = combined(parts, basis.turns)
    return embedded(core, texts)


def _write(
    core: Core,
    user_id: str,
    session_id: str,
    basis: _Basis,
    units: Mapping[Granularity, DerivedUnit],
    metadata: Mapping[Granularity, Mapping[str, Any]],
    agrees: Agrees,
) -> list[Stored] | None:
    """Write units in one transaction; None if what they were written upon has changed meanwhile."""
    with core.banks.lease(user_id) as bank, writing(core, bank) as (transaction, graph):
        if _basis(transaction, session_id) != basis:
            return None
        bank.check_encoder()
        state = closed_session(transaction, session_id)
        if not agrees(transaction, state):
            return []
        graph.leave([state.number])
        written = write_derived(transaction, graph, bank, state, units, metadata)
        core.forget_texts([unit.text for granularity, unit in (basis.derived or {}).items() if granularity in units])
        return written
