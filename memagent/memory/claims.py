"""Who works at which jobs: claims on the queue in a user's file, which end by themselves when nobody renews them.

A claim is a commit: several processes, and one that takes the work of a killed one up, never hold the same job, and
what a job's holder writes is refused when the job is no longer its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from memagent.errors import StoreCorrupt
from memagent.memory.core import Core
from memagent.stores.jobs import Job, JobKind, JobState
from memagent.stores.port import Attributes, ReadTransaction, WriteTransaction

_MICROS = 1_000_000


class Claim(NamedTuple):
    """Jobs of one kind and session that ``holder`` works at."""

    user_id: str
    holder: str
    kind: JobKind
    jobs: tuple[Job, ...]

    @property
    def units(self) -> list[int]:
        """The keys of the units that the jobs are about."""
        return [job.unit for job in self.jobs]


def now_micros() -> int:
    """The present by the clock that processes share, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def claim(core: Core, user_id: str, holder: str) -> Claim | int | None:
    """Work for ``holder``; or when there may be some (microseconds); None if nothing is left. Raises UnknownUser."""
    longest = int(core.inferring.longest_wait * _MICROS)
    with core.banks.lease(user_id) as bank:
        with bank.store.read() as reader:
            if not _chosen(core, reader, now := now_micros()):
                moment = _next(reader, now)
                if moment is None or moment <= now + longest:
                    return moment
        with bank.store.write() as writer:
            _hasten(writer, (now := now_micros()) + longest)
            chosen = _chosen(core, writer, now)
            if not chosen:
                return _next(writer, now)
            until = now + int(core.inferring.lease * _MICROS)
            taken = [replace(job, state="running", holder=holder, held_until=until) for job in chosen]
            writer.save_jobs(taken)
            return Claim(user_id, holder, taken[0].kind, tuple(taken))


def _hasten(transaction: WriteTransaction, latest: int) -> None:
    """Have no job wait beyond ``latest``: the clock by which one waits was put back since."""
    late = [job for job in transaction.tried_jobs() if job.state == "queued" and job.due_at > latest]
    transaction.save_jobs(replace(job, due_at=0) for job in late)


def _chosen(core: Core, transaction: ReadTransaction, now: int) -> list[Job]:
    """The jobs to be done next: the facts that were said first, of turns with the same labels; else one summary.

    Facts supersede earlier ones: those of one user are extracted one batch after the other.
    """
    facts: list[Job] = []
    if transaction.held_until("facts", now=now) is None:
        facts = transaction.jobs_due("facts", now=now, limit=core.inferring.messages)
    return _batch(core, transaction, facts) if facts else transaction.jobs_due("summary", now=now, limit=1)


def _next(transaction: ReadTransaction, now: int) -> int | None:
    """When there may be such a job; None if there are none at all."""
    blocked = transaction.held_until("facts", now=now)
    moments = (transaction.next_due("facts") if blocked is None else blocked, transaction.next_due("summary"))
    return min((moment for moment in moments if moment is not None), default=None)


def _batch(core: Core, transaction: ReadTransaction, facts: Sequence[Job]) -> list[Job]:
    """The first of these jobs that one look through can do."""
    found = transaction.attributes([job.unit for job in facts])
    if len(found) != len(facts):
        raise StoreCorrupt("there is a job about a turn that is missing", hint="`memagent verify` shows what is wrong")
    first = facts[0]
    labels = _labels(found[first.unit])
    batch: list[Job] = []
    room = core.inferring.messages
    for job in facts:
        if job.session != first.session or _labels(found[job.unit]) != labels:
            break
        (unit,) = transaction.units([job.unit], whole=False)
        room -= len(unit.source_ids)
        if batch and room < 0:
            break
        batch.append(job)
    return batch


def _labels(unit: Attributes) -> tuple[object, ...]:
    """What filters look at: a fact of several turns must not show one to somebody whom it is hidden from."""
    return unit.session_id, unit.agent_id, repr(sorted(unit.metadata.items()))


def is_held(transaction: ReadTransaction, claimed: Claim) -> bool:
    """Whether all jobs of a claim are still its holder's: none was changed, taken away, or taken over."""
    found = transaction.jobs(["running"], units=claimed.units)
    return len(found) == len(claimed.jobs) and all(job.holder == claimed.holder for job in found)


def finish(transaction: WriteTransaction, claimed: Claim, *, seen: Sequence[int] = (), ignored: int = 0) -> None:
    """Note that the jobs of a claim are done; ``seen``: how many messages of each turn were looked through."""
    transaction.save_jobs(
        replace(
            job,
            state="done",
            seen=count,
            attempts=0,
            due_at=0,
            holder="",
            held_until=0,
            ignored=job.ignored + (ignored if place == 0 else 0),
            reason="",
        )
        for place, (job, count) in enumerate(zip(claimed.jobs, seen or [0] * len(claimed.jobs), strict=True))
    )


def give_back(core: Core, claimed: Claim, state: JobState, *, reason: str | None = None, wait: float = 0.0) -> None:
    """Let go of the jobs of a claim, as far as they are still held; with a ``reason`` they have been tried in vain.

    ``wait``: seconds before they are tried again. Raises UnknownUser.
    """
    due_at = now_micros() + int(wait * _MICROS) if wait else 0
    with core.banks.lease(claimed.user_id) as bank, bank.store.write() as transaction:
        transaction.save_jobs(
            replace(
                job,
                state=state,
                attempts=job.attempts + (reason is not None),
                due_at=due_at,
                holder="",
                held_until=0,
                reason=job.reason if reason is None else reason,
            )
            for job in transaction.jobs(["running"], units=claimed.units)
            if job.holder == claimed.holder
        )


def renew(core: Core, claimed: Claim) -> None:
    """Hold the jobs of a claim for longer, as far as they are still held. Raises UnknownUser."""
    until = now_micros() + int(core.inferring.lease * _MICROS)
    with core.banks.lease(claimed.user_id) as bank, bank.store.write() as transaction:
        transaction.save_jobs(
            replace(job, held_until=until)
            for job in transaction.jobs(["running"], units=claimed.units)
            if job.holder == claimed.holder
        )
