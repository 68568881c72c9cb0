"""What a claimed job needs to know, and how what a language model answered is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from memagent.bank.bank import MemoryBank
from memagent.granularity import Derived, turn_text
from memagent.granularity.inferred import Findings, Heard, Known
from memagent.memory.claims import Claim, finish, is_held, now_micros
from memagent.memory.core import Core
from memagent.memory.describing import closed_session, rewrite
from memagent.memory.facts import insert_facts
from memagent.memory.flow import run
from memagent.prompts.summary import Between
from memagent.records import Granularity, MemoryUnit, Message, to_micros
from memagent.stores.port import ReadTransaction, SessionState, WriteTransaction


class Listened(NamedTuple):
    """The turns of a claim on facts: their messages, and the facts that hold already.

    ``seen``: how many messages each turn has. ``known`` are facts, ``keys`` those of their units.
    """

    messages: list[Heard]
    seen: list[int]
    known: list[Known]
    keys: list[int]


class Session(NamedTuple):
    """The session of a claim on a summary: its id, the texts of its turns, and who talks."""

    id: str
    turns: list[str]
    between: Between


def listen(core: Core, claimed: Claim) -> Listened | None:
    """What the model is shown to find facts; None if the claim does not hold any more. Raises UnknownUser."""
    with core.banks.lease(claimed.user_id) as bank, bank.store.read() as transaction:
        if not is_held(transaction, claimed):
            return None
        bank.check_encoder()
        turns = transaction.units(claimed.units)
        said = _messages_of(transaction, claimed.units)
        messages: list[Heard] = []
        for turn, job in zip(turns, claimed.jobs, strict=True):
            messages += _heard(turn, said[turn.key], job.seen)
        latest = max(to_micros(turn.event_at) for turn in turns)
        facts = _known_facts(core, bank, transaction, turns, latest)
        return Listened(
            messages=messages,
            seen=[len(said[turn.key]) for turn in turns],
            known=[Known(fact.text, fact.event_at) for fact in facts],
            keys=[fact.key for fact in facts],
        )


def _messages_of(transaction: ReadTransaction, turns: Sequence[int]) -> dict[int, list[Message]]:
    said: dict[int, list[Message]] = {turn: [] for turn in turns}
    for stored in transaction.messages(turns):
        said[stored.unit].append(stored.message)
    return said


def _heard(turn: MemoryUnit, said: Sequence[Message], seen: int) -> list[Heard]:
    """The messages of a turn; a turn whose text was changed speaks for all of them."""
    if turn.text != turn_text(tuple(said)):
        ids = tuple(message.id for message in said)
        return [Heard(ids, said[0].name or said[0].role, turn.text, turn.event_at)]
    return [
        Heard((message.id,), message.name or message.role, message.content, message.event_at, place < seen)
        for place, message in enumerate(said)
        if message.content.strip()
    ]


def _known_facts(
    core: Core, bank: MemoryBank, transaction: ReadTransaction, turns: Sequence[MemoryUnit], latest: int
) -> list[MemoryUnit]:
    """The facts that nothing has superseded, said by ``latest``, that are closest to any of the turns; oldest first.

    A fact that was said later cannot be superseded by what is told now.
    """
    best: dict[int, float] = {}
    with bank.view(as_of=latest) as view:
        if not len(view.columns(Granularity.FACT).keys):
            return []
        vectors = transaction.vectors([turn.key for turn in turns])
        for data in vectors.values():
            ranked = view.nearest(np.frombuffer(data, "<f4"), core.inferring.known, granularity=Granularity.FACT)
            for key, score in zip(ranked.keys.tolist(), ranked.scores.tolist(), strict=True):
                best[key] = max(score, best.get(key, score))
    chosen = sorted(best, key=lambda key: (-best[key], key))[: core.inferring.known]
    return [fact for fact in transaction.units(sorted(chosen)) if fact.superseded_by is None]


def write_facts(core: Core, claimed: Claim, listened: Listened, findings: Findings) -> bool:
    """Write what the model found, and that the jobs are done; False if the claim does not hold any more.

    Links to facts that have gone or were superseded meanwhile are left out and counted. Raises UnknownUser.
    """
    vectors = list(core.vectors([fact.text for fact in findings.facts])) if findings.facts else []
    with core.banks.lease(claimed.user_id) as bank, bank.store.write() as transaction:
        if not is_held(transaction, claimed):
            return False
        bank.check_encoder()
        ignored = findings.ignored + insert_facts(
            transaction,
            bank.store.owner,
            claimed.jobs[0].session,
            claimed.units,
            list(zip(findings.facts, vectors, strict=True)),
            listened.keys,
            now=now_micros(),
        )
        finish(transaction, claimed, seen=listened.seen, ignored=ignored)
        return True


def session_of(core: Core, claimed: Claim) -> Session | None:
    """What the model is shown to describe a session; None if the claim does not hold any more. Raises UnknownUser."""
    with core.banks.lease(claimed.user_id) as bank, bank.store.read() as transaction:
        if not is_held(transaction, claimed):
            return None
        bank.check_encoder()  # before the model is paid for what could not be stored
        (own,) = transaction.units(claimed.units, whole=False)
        keys = transaction.keys_of(claimed.jobs[0].session, Granularity.TURN)
        names = {stored.message.name for stored in transaction.messages(keys)}
        turns = [unit.text for unit in transaction.units(keys)]
        # Two people who are named talk with each other, unless one of them answers as an assistant.
        between: Between = (
            "people" if len(names - {None}) > 1 and "assistant" not in own.roles else "user and assistant"
        )
        return Session(own.session_id, turns, between)


def write_summary(core: Core, claimed: Claim, session: Session, derived: Derived) -> bool:
    """Write what the model said of a session in place of what was extracted from it, and that the job is done.

    False if the claim does not hold any more. What is empty leaves the extracted text where it is. Raises NotFound or
    InvalidInput for a session that was deleted or begun again meanwhile.
    """
    said = {Granularity.SUMMARY: derived.summary, Granularity.KEYWORDS: derived.keywords}
    given = {kind: text for kind, text in said.items() if text and kind in core.granularities}
    held = False

    def agrees(transaction: WriteTransaction, state: SessionState) -> bool:
        nonlocal held
        held = is_held(transaction, claimed)
        if held:
            finish(transaction, claimed)
        return held

    if not given:
        with core.banks.lease(claimed.user_id) as bank, bank.store.write() as transaction:
            return agrees(transaction, closed_session(transaction, session.id))
    run(rewrite(core, claimed.user_id, session.id, given, agrees=agrees))
    return held
