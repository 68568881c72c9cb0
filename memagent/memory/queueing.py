"""The queue of what a language model is to write, kept in the user's file: in the transactions that change the rest.

A turn has a job for its facts, a session one for its summary and keywords, from the first time that either was asked
for. The job stays when it is done, so that a later change of the turn or the session queues it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memagent.errors import InvalidInput
from memagent.stores.jobs import Job, JobState
from memagent.stores.port import SessionState, WriteTransaction

PENDING: frozenset[JobState] = frozenset({"queued", "running"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferring:
    """What a language model writes of conversations that are added with ``infer=True``, and how.

    ``facts``, ``summaries``: whether it writes them. ``known``: how many of the facts that hold already it is shown,
    the closest to what was said. ``characters`` of conversation in one prompt. ``messages``: how many are looked
    through for facts in one go. ``concurrency``: calls at once, over all users. ``lease``: seconds after which the work
    of a process that was killed is taken up by another. ``longest_wait``: the most seconds between two attempts to
    reach a model that does not answer.
    """

    facts: bool = True
    summaries: bool = True
    known: int = 20
    characters: int = 16_000
    messages: int = 24
    concurrency: int = 4
    lease: float = 30.0
    longest_wait: float = 300.0

    def __post_init__(self) -> None:
        for name, least in (("known", 0), ("characters", 1000), ("messages", 1), ("concurrency", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidInput(f"{name} is {value!r}", hint=f"{name} is a whole number, at least {least}")
        for name in ("lease", "longest_wait"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
                raise InvalidInput(f"{name} is {value!r}", hint=f"{name} is a number of seconds above 0")
        if not (self.facts or self.summaries):
            raise InvalidInput("neither facts nor summaries are to be written", hint="set one of them to True")


def queue_facts(
    transaction: WriteTransaction, session: int, turns: Sequence[int], *, now: int, afresh: bool = False
) -> None:
    """Have the facts of turns (by their keys) extracted, in so far as their messages were not looked through yet.

    ``afresh``: all of their messages.
    """
    before = {job.unit: job for job in transaction.jobs(units=turns)}
    seen = {unit: 0 if afresh else job.seen for unit, job in before.items()}
    transaction.save_jobs(
        Job(unit=turn, session=session, kind="facts", state="queued", asked_at=now, seen=seen.get(turn, 0))
        for turn in turns
    )


def queue_again(transaction: WriteTransaction, session: int, turns: Sequence[int], *, now: int) -> None:
    """Have the facts of those of these turns extracted anew of which it was asked for before."""
    known = [job.unit for job in transaction.jobs(units=turns)]
    queue_facts(transaction, session, known, now=now, afresh=True)


def queue_summary(transaction: WriteTransaction, state: SessionState, *, now: int) -> None:
    """Have a session described: when it is closed."""
    transaction.save_jobs(
        [
            Job(
                unit=state.unit,
                session=state.number,
                kind="summary",
                state="queued" if state.closed else "open",
                asked_at=now,
            )
        ]
    )


def session_changed(transaction: WriteTransaction, state: SessionState, *, now: int) -> bool:
    """Have a session described again if it was asked for before: its turns or its being open have changed."""
    was_asked = bool(transaction.jobs(units=[state.unit]))
    if was_asked:
        queue_summary(transaction, state, now=now)
    return was_asked


def session_closed(transaction: WriteTransaction, state: SessionState, *, now: int) -> bool:
    """Have a session described, if that waits for its end."""
    waits = bool(transaction.jobs(["open"], units=[state.unit]))
    if waits:
        queue_summary(transaction, replace(state, closed=True), now=now)
    return waits


def blank_reasons(transaction: WriteTransaction) -> None:
    """Keep of the reasons why jobs failed the kind of error alone: what a server says may quote what was deleted.

    A prompt shows several turns, and facts of other sessions: any job's reason may.
    """
    quoting = [job for job in transaction.tried_jobs() if ":" in job.reason]
    transaction.save_jobs(replace(job, reason=job.reason.partition(":")[0]) for job in quoting)


def described_otherwise(transaction: WriteTransaction, state: SessionState) -> None:
    """Note that somebody has described a session: the model need not do it any more."""
    transaction.save_jobs(
        replace(job, state="done", holder="", held_until=0, reason="")
        for job in transaction.jobs(["queued", "running", "failed"], units=[state.unit])
    )
