"""The verbs about what a language model is to write: how far it is, waiting for it, trying again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from memagent.errors import InvalidInput, NotFound
from memagent.memory.claims import now_micros
from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.memory.ingest import Stored
from memagent.memory.queueing import PENDING, Inferring
from memagent.memory.replies import AddReply, Inference, Job, event
from memagent.records import Granularity
from memagent.stores.port import ReadTransaction
from memagent.stores.sqlite import checked_user_id

_LOOK = 0.2  # seconds; an event loop has its threads for other work in between


def wanted(core: Core, *, infer: object, wait: object) -> Inferring | None:
    """The settings, if a language model is to write; raises InvalidInput where there is none."""
    if not isinstance(infer, bool):
        raise InvalidInput(f"infer is {infer!r}", hint="infer is True or False")
    _deadline(wait)
    if (infer or wait is not False) and core.model is None:
        raise InvalidInput(
            "infer=True needs a language model" if infer else "there is no language model to wait for",
            hint="make the memory with one: Memory(path, model=...)",
        )
    if not infer:
        return None
    if core.granularities & {Granularity.SUMMARY, Granularity.KEYWORDS}:
        return core.inferring
    if not core.inferring.facts:
        raise InvalidInput(
            "there is nothing for a language model to write: no facts are wanted, and no summaries kept",
            hint="leave facts=True in inferring, or keep the granularity 'summary' or 'keywords'",
        )
    return replace(core.inferring, summaries=False)


def answered(core: Core, user_id: str, stored: Sequence[Stored], wait: bool | float) -> Flow[AddReply]:
    """The reply of a verb that has stored something; after waiting, if that is wanted."""
    reply = AddReply(results=[event(one) for one in stored])
    if wait is not False:
        reply["inference"] = yield from wait_for(core, user_id=user_id, timeout=None if wait is True else wait)
    return reply


def _deadline(timeout: object) -> float:
    """Until when to wait, on the monotonic clock; raises InvalidInput."""
    if timeout is None or isinstance(timeout, bool):
        return math.inf
    if not isinstance(timeout, int | float) or not timeout >= 0:
        raise InvalidInput(f"{timeout!r} is no time to wait", hint="pass seconds, or None for as long as it takes")
    return time.monotonic() + timeout


def wait_for(
    core: Core,
    *,
    user_id: str | None,
    timeout: float | None,
    progress: Callable[[Inference], None] | None = None,
) -> Flow[Inference]:
    """Wait until nothing is queued or running; how far the model is then. Raises UnknownUser."""
    deadline = _deadline(timeout)
    inferrer = core.inferrer
    if inferrer is None:
        raise InvalidInput("there is no language model to wait for", hint="make the memory with model=...")
    steps, shown = inferrer.steps, -math.inf
    waiting: list[str] = yield partial(_unfinished, core, user_id)
    inferrer.enter()
    try:
        for user in waiting:
            inferrer.schedule(user)
        while waiting and time.monotonic() < deadline:
            inferrer.schedule(waiting[-1])  # again: a fault may have ended the thread
            if progress is not None and time.monotonic() >= shown + _LOOK:
                progress((yield from inference(core, user_id=user_id)))
                shown = time.monotonic()
            yield partial(inferrer.watch, steps, min(_LOOK, max(0.0, deadline - time.monotonic())))
            core.refuse_if_closed()
            steps = inferrer.steps
            waiting = yield partial(_still_unfinished, core, waiting)
    finally:
        ending = inferrer.leave()
    if ending is not None:
        yield ending.join
    return (yield from inference(core, user_id=user_id))


def _unfinished(core: Core, user_id: str | None) -> list[str]:
    return [user for user, transaction in _files(core, user_id) if transaction.has_jobs(PENDING)]


def _still_unfinished(core: Core, users: Sequence[str]) -> list[str]:
    """Those of these users who have work left, as far as one has to look: the last has, or nobody."""
    left = list(users)
    while left:
        try:
            if _unfinished(core, left[-1]):
                break
        except NotFound:
            pass  # forgotten meanwhile
        left.pop()
    return left


def _files(core: Core, user_id: str | None) -> Iterator[tuple[str, ReadTransaction]]:
    """The user, or all users one after the other, each with a look at the file."""
    if user_id is not None:
        with core.banks.lease(checked_user_id(user_id)) as bank, bank.store.read() as transaction:
            yield user_id, transaction
        return
    for owner in core.store.owners():
        try:
            with core.banks.lease_owner(owner) as bank, bank.store.read() as transaction:
                yield bank.store.user_id, transaction
        except NotFound:
            continue  # forgotten meanwhile


def inference(core: Core, *, user_id: str | None) -> Flow[Inference]:
    """How far a language model is with what was added with ``infer=True``; for one user, or for all."""
    if user_id is not None:
        checked_user_id(user_id)

    def work() -> Inference:
        total = Inference(queued=0, running=0, failed=0, done=0, open=0, ignored=0, problems=[])
        for user, transaction in _files(core, user_id):
            counts = transaction.count_jobs()
            total["queued"] += counts["queued"]
            total["running"] += counts["running"]
            total["failed"] += counts["failed"]
            total["done"] += counts["done"]
            total["open"] += counts["open"]
            total["ignored"] += counts["ignored"]
            total["problems"] += _problems(user, transaction)
        return total

    found: Inference = yield work
    return found


def _problems(user_id: str, transaction: ReadTransaction) -> list[Job]:
    jobs = transaction.tried_jobs()
    units = {unit.key: unit for unit in transaction.units([job.unit for job in jobs], whole=False)}
    return [
        Job(
            user_id=user_id,
            session_id=units[job.unit].session_id,
            memory_id=units[job.unit].id,
            kind=job.kind,
            state=job.state,
            attempts=job.attempts,
            reason=job.reason,
        )
        for job in jobs
        if job.unit in units
    ]


def retry_failed(core: Core, *, user_id: str | None) -> Flow[int]:
    """Queue again what has failed; how many jobs that were."""
    if user_id is not None:
        checked_user_id(user_id)
    core.touch()

    def work() -> dict[str, int]:
        failed = {user: len(transaction.jobs(["failed"])) for user, transaction in _files(core, user_id)}
        return {user: _requeued(core, user) for user, count in failed.items() if count}

    queued: dict[str, int] = yield work
    for user in queued:
        core.inference_due(user)
    return sum(queued.values())


def _requeued(core: Core, user_id: str) -> int:
    with core.banks.lease(user_id) as bank, bank.store.write() as transaction:
        failed = transaction.jobs(["failed"])
        now = now_micros()
        transaction.save_jobs(
            replace(job, state="queued", attempts=0, due_at=0, asked_at=now, reason="") for job in failed
        )
        return len(failed)
