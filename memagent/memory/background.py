"""Writes summaries and keywords of closed sessions while the memory is not in use."""

from __future__ import annotations

import logging
import threading
import time

from memagent.errors import MemagentError, NotFound
from memagent.memory.core import Core
from memagent.memory.flow import run
from memagent.memory.writing import derive_sessions

_PAUSE = 0.5  # seconds without a call before work is begun
_log = logging.getLogger("memagent")


class Deriver:
    """One thread, begun with the first closed session and ended by :meth:`stop`.

    What is due is marked in the users' files: work that is cut off is taken up when the user is next written to.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._due: dict[str, None] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def schedule(self, user_id: str) -> None:
        """Have a user's closed sessions derived some time soon."""
        with self._changed:
            if self._stopping:
                return
            self._due[user_id] = None
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._thread = threading.Thread(target=self._work, name="memagent-deriver", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._due and not self._stopping:
                    self._changed.wait()
                if self._stopping:
                    return
                idle = time.monotonic() - self._core.last_used
                if idle < _PAUSE:
                    self._changed.wait(_PAUSE - idle)
                    continue
                user_id = next(iter(self._due))
                del self._due[user_id]
            try:
                run(derive_sessions(self._core, user_id))
            except NotFound:
                pass  # forgotten meanwhile
            except MemagentError as error:
                # Nobody waits for this thread: the work stays marked in the file, and flush() raises what went wrong.
                _log.warning("summaries of a closed session could not be written: %s", error)

    def stop(self) -> None:
        """End the thread after the session it is at."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
