"""Facts in the store: how they are written, relabelled and removed with the turns that tell them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from memagent.bank.filters import same_value
from memagent.memory.ids import memory_id
from memagent.memory.queueing import queue_again
from memagent.memory.terms import lexical_terms
from memagent.records import Granularity, MemoryUnit, to_micros
from memagent.stores.port import (
    SUPERSEDE,
    Attributes,
    Change,
    ReadTransaction,
    SessionState,
    UnitDraft,
    WriteTransaction,
)

if TYPE_CHECKING:
    from memagent.granularity.inferred import Told
    from memagent.records import Vector


def facts_about(transaction: ReadTransaction, session: int, turns: Collection[int]) -> tuple[list[int], list[int]]:
    """The facts that any of these turns tells, and all turns that tell any of these facts; by their keys.

    Facts that several turns tell together make these turns one: none of them can be dealt with anew alone.
    """
    keys = transaction.keys_of(session, Granularity.FACT)
    if not keys:
        return [], sorted(turns)
    turn_of = {
        stored.message.id: stored.unit
        for stored in transaction.messages(transaction.keys_of(session, Granularity.TURN))
    }
    told_by = {
        fact.key: {turn_of[source] for source in fact.source_ids if source in turn_of}
        for fact in transaction.units(keys, whole=False)
    }
    return _closed_over(told_by, set(turns))


def _closed_over(told_by: dict[int, set[int]], turns: set[int]) -> tuple[list[int], list[int]]:
    found: set[int] = set()
    while True:
        more = {fact for fact, by in told_by.items() if by & turns} - found
        if not more:
            return sorted(found), sorted(turns)
        found |= more
        turns = turns.union(*(told_by[fact] for fact in more))


def drop_facts(
    transaction: WriteTransaction, session: int, turns: Iterable[int], *, now: int, at: int | None = None
) -> list[str]:
    """Remove the facts that turns tell, to be extracted anew; the texts, which nothing remembers afterwards.

    ``at``: the turns are going for good, and that facts went with them stays in the log.
    """
    going = set(turns)
    facts, concerned = facts_about(transaction, session, going)
    texts = [
        text for fact in transaction.units(facts, whole=False) for text in texts_of(transaction, fact.id, fact.text)
    ]
    transaction.delete_units(facts, at=at or 0, log=at is not None)
    left = [turn for turn in concerned if at is None or turn not in going]
    queue_again(transaction, session, left, now=now)
    return texts


def texts_of(transaction: ReadTransaction, unit_id: str, text: str) -> list[str]:
    """What a unit says and said."""
    return [text, *(change.old_text for change in transaction.history(unit_id) if change.old_text)]


def relabel_facts(transaction: WriteTransaction, state: SessionState, turn: int, *, now: int) -> list[str]:
    """Bring the labels of the facts that a turn tells up to date with it; the texts that are of no more use.

    A fact has the labels on which all its turns agree. Where they do not any more, filters could show it to somebody
    whom one of its turns is hidden from: such facts go, and are extracted anew, each turn's apart.
    """
    facts, turns = facts_about(transaction, state.number, {turn})
    if not facts:
        return []
    labels = list(transaction.attributes(turns).values())
    if not all(_same_labels(labels[0], other) for other in labels[1:]):
        return drop_facts(transaction, state.number, turns, now=now)
    for fact in transaction.units(facts, whole=False):
        draft = draft_of(fact, at=now, metadata=labels[0].metadata, agent_id=labels[0].agent_id)
        transaction.replace_unit(fact.key, draft, log=False)
    return []


def _same_labels(one: Attributes, other: Attributes) -> bool:
    return one.agent_id == other.agent_id and same_value(one.metadata, other.metadata)


def draft_of(
    fact: MemoryUnit,
    *,
    at: int,
    metadata: Mapping[str, Any],
    agent_id: str | None,
    text: str | None = None,
    vector: Vector | None = None,
) -> UnitDraft:
    """A stored fact as it is to be written again."""
    said = fact.text if text is None else text
    return UnitDraft(
        id=fact.id,
        session=0,
        granularity=Granularity.FACT,
        text=said,
        event_at=to_micros(fact.event_at),
        at=at,
        sources=fact.source_ids,
        roles=fact.roles,
        agent_id=agent_id,
        metadata=metadata,
        terms=lexical_terms(said),
        vector=vector,
    )


def insert_facts(
    transaction: WriteTransaction,
    owner: str,
    session: int,
    turns: Sequence[int],
    facts: Sequence[tuple[Told, Vector]],
    known: Sequence[int],
    *,
    now: int,
) -> int:
    """Store facts that turns of one session tell, all of the same labels, and link them to those they supersede.

    ``known``: the keys of the facts that :attr:`Told.replaces` counts first. How many of the facts to be superseded are
    not there any more, are superseded already, or were said later.
    """
    labels = transaction.attributes(turns[:1])[turns[0]]
    roles = {stored.message.id: stored.message.role for stored in transaction.messages(turns)}
    drafts = [
        UnitDraft(
            id=memory_id(owner),
            session=session,
            granularity=Granularity.FACT,
            text=fact.text,
            event_at=to_micros(fact.said_at),
            at=now,
            sources=fact.sources,
            roles=tuple(dict.fromkeys(roles[source] for source in fact.sources)),
            agent_id=labels.agent_id,
            metadata=labels.metadata,
            terms=lexical_terms(fact.text),
            vector=vector,
            valid_from=None if fact.valid_from is None else to_micros(fact.valid_from),
        )
        for fact, vector in facts
    ]
    keys = [*known, *transaction.insert_units(drafts)]
    links = [
        (keys[place], key, fact)
        for key, (fact, _) in zip(keys[len(known) :], facts, strict=True)
        for place in fact.replaces
    ]
    return sum(not _supersede(transaction, old, new, fact, now) for old, new, fact in links)


def _supersede(transaction: WriteTransaction, old: int, new: int, fact: Told, now: int) -> bool:
    found = transaction.units([old], whole=False)
    if not found or found[0].superseded_by is not None or old == new:
        return False
    if found[0].event_at > fact.said_at:  # a batch may tell of times before and after it
        return False
    until = fact.valid_from or fact.said_at
    if found[0].valid_from is not None and until < found[0].valid_from:
        until = fact.said_at
    transaction.supersede(old, new, valid_to=to_micros(until))
    transaction.append_history([Change(found[0].id, SUPERSEDE, found[0].text, None, now)])
    return True
