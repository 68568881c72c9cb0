"""The event loop in which a language model is asked: claims, calls at once, renewals, and pauses when it is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

from memagent.errors import (
    MemagentError,
    ModelTimeout,
    ModelUnavailable,
    NotFound,
    StoreError,
)
from memagent.granularity.inferred import described, told
from memagent.llm.flow import adrive
from memagent.memory.claims import Claim, claim, give_back, renew
from memagent.memory.core import Core
from memagent.memory.inference import listen, session_of, write_facts, write_summary
from memagent.memory.parts import Parts
from memagent.memory.queueing import PENDING

if TYPE_CHECKING:
    from memagent.memory.inferrer import Inferrer

_FIRST_WAIT = 1.0  # seconds after the first failure to reach the model; doubled with each
_STORE_WAIT = 5.0  # seconds before a file that could not be used is looked at again; doubled with each failure
_TIMEOUTS = 5  # a job on which the model does not answer in time so often has failed
_REASON = 500  # characters
_log = logging.getLogger("memagent")


class InferenceLoop:
    """One run of the thread of an :class:`~memagent.memory.inferrer.Inferrer`."""

    def __init__(self, core: Core, inferrer: Inferrer) -> None:
        self._core = core
        self._inferrer = inferrer
        self._holder = uuid4().hex
        self._loop = asyncio.new_event_loop()
        self._event = asyncio.Event()
        self._tasks: dict[asyncio.Task[None], Claim] = {}
        self._parts = Parts(core.inferring.concurrency)
        self._due: dict[str, float] = {}
        """When to look into a user's queue: seconds since 1970, as the due times in the files."""
        self._troubles: dict[str, tuple[float, float]] = {}
        """The users whose files could not be used: until when they are left alone, and how long that is."""
        self._search: Iterator[str] | None = None
        self._away_until = 0.0
        self._failures = 0
        self._renewed = time.monotonic()
        self._stopping = False

    def stop(self) -> None:
        """Have the loop end as soon as it can; from any thread."""
        self._stopping = True
        self.wake()

    def wake(self) -> None:
        """Have the loop look around; from any thread."""
        with suppress(RuntimeError):  # it has just ended
            self._loop.call_soon_threadsafe(self._event.set)

    def run(self) -> None:
        """Work until nothing is left to do, or the inferrer stops."""
        ended = False
        try:
            self._loop.run_until_complete(self._work())
            ended = True
        finally:
            if not ended:
                self._inferrer.take_back(self, list(self._due), searching=self._search is not None)
            self._inferrer.tell()
            # Without waiting for its helper threads: one may be connecting to a server that does not answer.
            self._loop.close()

    async def _work(self) -> None:
        try:
            while not self._stopping:
                self._event.clear()
                for user_id in self._inferrer.take_scheduled():
                    self._look_soon(user_id)
                self._search_on()
                self._begin_tasks()
                if not self._tasks and not self._due and self._search is None and self._inferrer.retire(self):
                    return
                await self._pause()
        finally:
            await self._end_tasks()

    async def _pause(self) -> None:
        """Wait for whatever comes first: a task's end, a call from outside, the next due time."""
        now = time.time()
        wait = 0.0 if self._search is not None else self._core.inferring.lease / 3
        if len(self._tasks) < self._core.inferring.concurrency and self._due:
            wait = min(wait, max(min(self._due.values()), self._away_until) - now)
        waiting = asyncio.ensure_future(self._event.wait())
        await asyncio.wait({waiting, *self._tasks}, timeout=max(0.0, wait), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()
            self._inferrer.tell()
        if time.monotonic() - self._renewed >= self._core.inferring.lease / 3:
            self._renew()

    # the queues

    def _search_on(self) -> None:
        """Look into one more file for jobs that an earlier process has left."""
        if self._inferrer.take_search():
            self._search = self._core.store.owners()
        if self._search is None:
            return
        owner = next(self._search, None)
        if owner is None:
            self._search = None
            return
        try:
            user = self._core.store.open_owner(owner)  # not as a bank: those in use would have to make room
            try:
                with user.read() as reader:
                    if reader.has_jobs(PENDING):
                        self._due.setdefault(user.user_id, 0.0)
            finally:
                user.close()
        except NotFound:
            pass  # forgotten meanwhile
        except StoreError as error:
            self._warn(error)

    def _begin_tasks(self) -> None:
        """Claim what can be done now."""
        now = time.time()
        self._hasten(now + self._core.inferring.longest_wait)
        for user_id in [user for user, due in self._due.items() if due <= now]:
            if now < self._away_until or len(self._tasks) >= self._core.inferring.concurrency:
                return
            del self._due[user_id]
            found = self._claimed(user_id)
            if isinstance(found, Claim):
                self._due[user_id] = now  # behind the others
                self._tasks[asyncio.ensure_future(self._serve(found))] = found
            elif found is not None:
                self._due[user_id] = found / 1e6
            else:
                self._parts.drop_user(user_id)

    def _hasten(self, latest: float) -> None:
        """Have nothing wait beyond ``latest``: the clock by which it waits was put back since."""
        self._away_until = min(self._away_until, latest)
        self._due.update({user: latest for user, due in self._due.items() if due > latest})

    def _claimed(self, user_id: str) -> Claim | int | None:
        try:
            return claim(self._core, user_id, f"{self._holder}-{uuid4().hex[:8]}")
        except NotFound:
            return None  # forgotten meanwhile
        except StoreError as error:
            return int((time.time() + self._leave_alone(user_id, error)) * 1e6)

    def _look_soon(self, user_id: str) -> None:
        self._due[user_id] = self._troubles.get(user_id, (0.0, 0.0))[0]

    def _leave_alone(self, user_id: str, error: StoreError) -> float:
        """Warn that a user's file could not be used; for how many seconds it is not looked at."""
        self._warn(error)
        _, before = self._troubles.get(user_id, (0.0, 0.0))
        wait = min(self._core.inferring.longest_wait, 2 * before or _STORE_WAIT)
        self._troubles[user_id] = (time.time() + wait, wait)
        return wait

    def _renew(self) -> None:
        self._renewed = time.monotonic()
        for claimed in self._tasks.values():
            try:
                renew(self._core, claimed)
            except NotFound:
                continue
            except StoreError as error:
                self._warn(error)  # others may do the work once more; only one of the two is written

    # one claim

    async def _serve(self, claimed: Claim) -> None:
        """Do the work of a claim, or say why it was not done."""
        waits = False
        try:
            waits = await self._tried(claimed)
        finally:
            if not waits:
                self._parts.drop(claimed)
        self._look_soon(claimed.user_id)

    async def _tried(self, claimed: Claim) -> bool:
        """Whether the work waits for the model or the file: what was answered will be used then."""
        try:
            if not await self._done_before_the_end(claimed):
                self._give_back(claimed, "queued", None)  # a part of it may be held still
        except (ModelUnavailable, ModelTimeout) as error:
            return self._failed_for_now(claimed, error)
        except NotFound:
            self._give_back(claimed, "queued", None)  # deleted meanwhile, all or in part
        except StoreError as error:
            self._give_back(claimed, "queued", error, self._leave_alone(claimed.user_id, error))
            return True
        except MemagentError as error:
            self._give_back(claimed, "failed", error)
        except asyncio.CancelledError:
            self._give_back(claimed, "queued", None)
            raise
        except Exception as error:
            self._give_back(claimed, "failed", error)
            raise
        else:
            self._failures = 0
            self._troubles.pop(claimed.user_id, None)
        return False

    async def _done_before_the_end(self, claimed: Claim) -> bool:
        """As :meth:`_done`; False too where the process is ending, and the next one is to do it."""
        try:
            return await self._done(claimed)
        except RuntimeError:
            if not _no_threads_start():
                raise
            self._stopping = True
            return False

    async def _done(self, claimed: Claim) -> bool:
        """Whether the work was done: it was not if the claim did not hold to the end."""
        core = self._core
        assert core.model is not None  # without one nothing is queued, nor waited for
        model = self._parts.of(claimed, core.model)
        characters = core.inferring.characters
        if claimed.kind == "facts":
            listened = listen(core, claimed)
            if listened is None:
                return False
            findings = await adrive(told(listened.messages, listened.known, characters=characters), model)
            return write_facts(core, claimed, listened, findings)
        session = session_of(core, claimed)
        if session is None:
            return False
        derived = await adrive(described(session.turns, between=session.between, characters=characters), model)
        return write_summary(core, claimed, session, derived)

    def _failed_for_now(self, claimed: Claim, error: MemagentError) -> bool:
        """Have a claim's work wait for the model; False if it has failed instead."""
        attempts = max(job.attempts for job in claimed.jobs) + 1
        if isinstance(error, ModelTimeout) and attempts >= _TIMEOUTS:
            self._give_back(claimed, "failed", error)
            return False
        wait = min(self._core.inferring.longest_wait, _FIRST_WAIT * 2.0 ** min(self._failures, 30))
        self._failures += 1
        self._away_until = time.time() + wait
        self._give_back(claimed, "queued", error, wait)
        return True

    def _give_back(
        self, claimed: Claim, state: Literal["queued", "failed"], error: Exception | None, wait: float = 0.0
    ) -> None:
        reason = None if error is None else f"{type(error).__name__}: {error}"[:_REASON]
        try:
            give_back(self._core, claimed, state, reason=reason, wait=wait)
        except NotFound:
            return
        except StoreError as failure:
            self._warn(failure)  # the claim ends by itself

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    def _warn(error: MemagentError) -> None:
        # Nobody waits for this thread: the work stays in the file.
        _log.warning("what a language model is to write has to wait: %s", error)


def _no_threads_start() -> bool:
    """Whether the interpreter is ending: clients of models then fail in ways of their own, as they wait for threads."""
    with ThreadPoolExecutor(1) as pool:
        try:
            pool.submit(int)
        except RuntimeError:
            return True
    return False
