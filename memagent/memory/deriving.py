"""What is written of closed sessions: summaries, keywords, combinations, and their place in the association graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.bank.bank import MemoryBank
from memagent.bank.filters import same_value
from memagent.granularity import Derived, combined, derive
from memagent.memory.association import Graph, associate, writing
from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.memory.ids import memory_id
from memagent.memory.ingest import Stored
from memagent.memory.sessions import DERIVED, derived_keys, drop_derived, gathered_from
from memagent.memory.terms import lexical_terms
from memagent.records import Granularity, to_micros, utc_now
from memagent.stores.port import ReadTransaction, SessionState, UnitDraft, WriteTransaction

if TYPE_CHECKING:
    from memagent.records import Vector

_ABSENT = object()
_FEW = 4  # sessions that are linked in the transactions in which they are derived


def derive_sessions(core: Core, user_id: str, *, only: Sequence[str] | None = None) -> Flow[list[Stored]]:
    """Write what closed sessions lack, one transaction a session, and bring the association graph up to date."""
    due: Sequence[str] = only if only is not None else (yield partial(due_sessions, core, user_id))
    written: list[Stored] = []
    for session_id in due:
        # Many sessions are linked together afterwards, in a tenth of the time.
        written += yield from _derive(core, user_id, session_id, link=len(due) <= _FEW)
    yield from associate(core, user_id)
    return written


def due_sessions(core: Core, user_id: str) -> list[str]:
    """The closed sessions of a user that lack their summary and keywords, in the order in which they were said."""
    with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
        due = transaction.sessions(closed=True, derived=False)
        said = transaction.attributes([state.unit for state in due])
        return [state.id for state in sorted(due, key=lambda state: (said[state.unit].event_at, state.number))]


def _derive(core: Core, user_id: str, session_id: str, *, link: bool) -> Flow[list[Stored]]:
    def read() -> list[str]:
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            state = transaction.session(session_id)
            if state is None or state.derived or not state.closed:
                return []
            bank.check_encoder()
            return turn_texts(transaction, state)

    texts: list[str] = yield read
    if not texts:
        return []
    units: dict[Granularity, DerivedUnit] = yield partial(derived_units, core, texts)

    def write() -> list[Stored]:
        with core.banks.lease(user_id) as bank, writing(core, bank, link=link) as (transaction, graph):
            state = transaction.session(session_id)
            if state is None or state.derived or not state.closed or turn_texts(transaction, state) != texts:
                return []  # changed meanwhile: whoever changed it has left it to be derived again
            bank.check_encoder()
            drop_derived(transaction, state.number)
            return write_derived(transaction, graph, bank, state, units)

    written: list[Stored] = yield write
    return written


def turn_texts(transaction: ReadTransaction, state: SessionState) -> list[str]:
    """The texts of a session's turns, in order."""
    return [unit.text for unit in transaction.units(transaction.keys_of(state.number, Granularity.TURN))]


class DerivedUnit(NamedTuple):
    """The content of a unit that is derived from a session's turns."""

    text: str
    vector: Vector
    terms: bytes


def derived_units(
    core: Core, turns: Sequence[str], given: Mapping[Granularity, str] | None = None
) -> dict[Granularity, DerivedUnit]:
    """What is derived from these turns, as far as it is not ``given``.

    With it, under SESSION, the session's vector where that comes from its text.
    """
    texts: dict[Granularity, str] = {}
    if wanted := core.granularities.intersection(DERIVED):
        known = given or {}
        derived = Derived(known.get(Granularity.SUMMARY, ""), known.get(Granularity.KEYWORDS, ""))
        if not all(derived):
            derived = derive(turns, core.vectors, given=derived)
        made = dict(zip(DERIVED, (*derived, combined(derived, turns)), strict=True))
        texts = {g: text for g, text in made.items() if g in wanted and text}
    if core.text_vectors:
        texts[Granularity.SESSION] = "\n".join(turns)
    return embedded(core, texts)


def embedded(core: Core, texts: Mapping[Granularity, str]) -> dict[Granularity, DerivedUnit]:
    """Texts with their vectors and term counts."""
    if not texts:
        return {}
    vectors = core.vectors(list(texts.values()))
    return {
        granularity: DerivedUnit(text, vector, derived_terms(granularity, text))
        for (granularity, text), vector in zip(texts.items(), vectors, strict=True)
    }


def derived_terms(granularity: Granularity, text: str) -> bytes:
    """What the store keeps of a derived text for word search; the words of whole sessions are those of their turns."""
    has_own_words = granularity in (Granularity.SUMMARY, Granularity.KEYWORDS)
    return lexical_terms(text) if has_own_words else b""


def write_derived(
    transaction: WriteTransaction,
    graph: Graph,
    bank: MemoryBank,
    state: SessionState,
    units: Mapping[Granularity, DerivedUnit],
    metadata: Mapping[Granularity, Mapping[str, Any]] | None = None,
) -> list[Stored]:
    """Write derived units of a session, in place of those it has, mark it as derived and put it into the graph.

    Its nodes must not be in the graph. A unit that is replaced keeps its id, its metadata unless there is new
    ``metadata``, and what it said in its history.
    """
    (own,) = transaction.units([state.unit])
    now = to_micros(utc_now())
    stored: list[Stored] = []
    for granularity, unit in units.items():
        if granularity is Granularity.SESSION:
            transaction.set_vectors({state.unit: unit.vector.astype("<f4").tobytes()})
            continue
        old = transaction.units(transaction.keys_of(state.number, granularity))
        draft = UnitDraft(
            id=old[0].id if old else memory_id(bank.store.owner),
            session=state.number,
            granularity=granularity,
            text=unit.text,
            event_at=to_micros(own.event_at),
            at=now,
            roles=own.roles,
            agent_id=state.agent_id,
            metadata=(metadata or {}).get(granularity, (old[0] if old else own).metadata),
            terms=unit.terms,
            vector=unit.vector,
        )
        if old:
            transaction.replace_unit(old[0].key, draft, old_text=old[0].text)
        else:
            transaction.insert_units([draft])
        stored.append(Stored(draft.id, unit.text, "UPDATE" if old else "ADD", state.id, own.source_ids))
    transaction.save_session(replace(state, derived=True))
    graph.enter([state.number])
    return stored


def write_metadata(transaction: WriteTransaction, state: SessionState, *, now: int) -> None:
    """Bring the metadata of a session's unit, and of what is derived from it, up to date with its turns'.

    What a derived unit was given beside that stays.
    """
    metadata = gathered_from(transaction, state.number).metadata
    own, *derived = transaction.units([state.unit, *derived_keys(transaction, state.number)], whole=False)
    for unit in (own, *derived):
        given = {k: v for k, v in unit.metadata.items() if not same_value(own.metadata.get(k, _ABSENT), v)}
        draft = UnitDraft(
            id=unit.id,
            session=state.number,
            granularity=unit.granularity,
            text=None if unit.granularity is Granularity.SESSION else unit.text,
            event_at=to_micros(unit.event_at),
            at=now,
            roles=unit.roles,
            agent_id=unit.agent_id,
            metadata={**metadata, **given},
            terms=derived_terms(unit.granularity, unit.text),
        )
        transaction.replace_unit(unit.key, draft, log=False)
