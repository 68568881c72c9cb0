"""Asks a language model for what users' files say is to be written, in one thread, while the memory is in use."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memagent.memory.core import Core

if TYPE_CHECKING:
    from memagent.memory.inference_loop import InferenceLoop

_log = logging.getLogger("memagent")


class Inferrer:
    """One thread for all users, alive as long as something is queued, or until :meth:`stop`.

    What is to be done is in the users' files: what is cut off here is done by the next process that works for them.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._loop: InferenceLoop | None = None
        self._due: dict[str, None] = {}
        self.steps = 0
        """How often something was done."""
        self._waiters = 0
        self._begun = False
        self._searched = False
        self._left = False
        self._closed = False
        self._at_exit = False

    def begin(self) -> None:
        """At the first use of the memory: take up what earlier processes have left; later what a fault has left."""
        if not self._begun and not self._core.store.volatile:  # what is in memory has no earlier processes
            self._begun = True
            self._wake()
        elif self._left:
            self._wake()

    def schedule(self, user_id: str) -> None:
        """Have a user's queue looked at soon."""
        with self._changed:
            self._due[user_id] = None
        self._wake()

    def take_search(self) -> bool:
        """Whether the thread is to look into all users' files: once, at the first use."""
        with self._changed:
            due, self._searched = self._begun and not self._searched, self._begun
            return due

    def take_scheduled(self) -> list[str]:
        """The users whose queues are to be looked at, for the thread."""
        with self._changed:
            due = list(self._due)
            self._due.clear()
            return due

    def take_back(self, loop: InferenceLoop, users: Sequence[str], *, searching: bool) -> None:
        """Keep what a loop that ends by a fault leaves: these users' queues, and the search; for the next one."""
        with self._changed:
            if self._loop is loop:
                self._due.update(dict.fromkeys(users))
                self._searched = self._searched and not searching
                self._left = True

    def tell(self) -> None:
        """Say, in the thread, that something was done."""
        with self._changed:
            self.steps += 1
            self._changed.notify_all()

    def watch(self, steps: int, seconds: float) -> None:
        """Wait until more was done than when there were so many steps; at most ``seconds``."""
        with self._changed:
            self._changed.wait_for(lambda: self.steps != steps or self._closed, seconds)

    def enter(self) -> None:
        """Say that somebody waits, until :meth:`leave`."""
        with self._changed:
            self._waiters += 1

    def leave(self) -> threading.Thread | None:
        """Say that one waits no more; the thread to be joined if it ends now, since it works for waiters only."""
        with self._changed:
            self._waiters -= 1
            if self._core.background or self._waiters:
                return None
            self._due.clear()
            return self._stopped()

    def retire(self, loop: InferenceLoop) -> bool:
        """Whether a loop may end: nothing is left to do. Another one is begun when there is."""
        with self._changed:
            if self._loop is not loop:
                return True
            if self._due:
                return False
            self._loop = None  # the thread is ending: whoever stops it waits for that
            return True

    def stop(self) -> None:
        """End the thread; calls to the model that are under way are given up, and made again another time."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._stopped()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _stopped(self) -> threading.Thread | None:
        """Have the thread end; which it is."""
        thread, loop = self._thread, self._loop
        self._thread = self._loop = None
        if loop is not None:
            loop.stop()
        return thread

    def _wake(self) -> None:
        with self._changed:
            if self._closed:
                return
            if self._loop is None or self._thread is None or not self._thread.is_alive():  # after a fork, or a fault
                self._left = False
                if not self._at_exit:
                    # A thread inside a native library when the interpreter ends would abort the process.
                    atexit.register(_stop_if_alive, weakref.ref(self))
                    self._at_exit = True
                # With an event loop and the prompts, which take long to import.
                from memagent.memory.inference_loop import InferenceLoop

                self._loop = InferenceLoop(self._core, self)
                self._thread = threading.Thread(target=self._loop.run, name="memagent-inferrer", daemon=True)
                self._thread.start()
            loop = self._loop
        if loop is not None:
            loop.wake()


def _stop_if_alive(inferrer: weakref.ref[Inferrer]) -> None:
    alive = inferrer()
    if alive is not None:
        alive.stop()
