"""Writes summaries and keywords of closed sessions while the memory is not in use."""

from __future__ import annotations

import atexit
import logging
import threading
import time
import weakref

from memagent.errors import EncoderError, MemagentError, NotFound, StoreError
from memagent.memory.association import associate
from memagent.memory.core import Core
from memagent.memory.deriving import derive_sessions, due_sessions
from memagent.memory.flow import run

_PAUSE = 0.5  # seconds without a call before a session is begun
_PATIENCE = 10.0  # seconds after which it is begun all the same: a busy server has no pauses
_log = logging.getLogger("memagent")


class Deriver:
    """One thread, alive as long as closed sessions are due, or until :meth:`stop`.

    What is due is marked in the users' files: work that is cut off is taken up when another session of the user is
    closed, or by ``flush``.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._due: dict[str, None] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._working = False
        self._stopping = False
        self._at_exit = False

    def schedule(self, user_id: str) -> None:
        """Have a user's closed sessions derived some time soon."""
        with self._changed:
            if self._stopping:
                return
            self._due[user_id] = None
            if not self._at_exit:
                # A thread inside a native library when the interpreter ends would abort the process.
                atexit.register(_stop_if_alive, weakref.ref(self))
                self._at_exit = True
            if not self._working or self._thread is None or not self._thread.is_alive():  # also after a fork
                self._working = True
                self._thread = threading.Thread(target=self._work, name="memagent-deriver", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._stopping or not self._due:
                    self._working = False  # a memory that nobody uses or closes is not kept by its thread
                    return
                user_id = next(iter(self._due))
                del self._due[user_id]
            try:
                self._serve(user_id)
            except NotFound:
                pass  # forgotten meanwhile
            except StoreError as error:
                self._warn(error)

    def _serve(self, user_id: str) -> None:
        """Derive a user's closed sessions, each after a pause."""
        if not self._wait_for_a_pause():
            return
        for session_id in due_sessions(self._core, user_id):
            if not self._wait_for_a_pause():
                return
            try:
                run(derive_sessions(self._core, user_id, only=[session_id]))
            except EncoderError as error:
                self._warn(error)  # perhaps this session's text only
        run(associate(self._core, user_id))  # after an import there may be nothing else to do

    @staticmethod
    def _warn(error: MemagentError) -> None:
        # Nobody waits for this thread: the work stays marked in the file, and flush() raises what went wrong.
        _log.warning("summaries of a closed session could not be written: %s", error)

    def _wait_for_a_pause(self) -> bool:
        """Wait until the memory is not in use, or for long enough; False if the thread is to end instead."""
        deadline = time.monotonic() + _PATIENCE
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                idle = now - self._core.last_used
                if idle >= _PAUSE or now >= deadline:
                    return True
                self._changed.wait(min(_PAUSE - idle, deadline - now))
        return False

    def stop(self) -> None:
        """End the thread after the session it is at."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()


def _stop_if_alive(deriver: weakref.ref[Deriver]) -> None:
    alive = deriver()
    if alive is not None:
        alive.stop()
