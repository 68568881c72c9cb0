"""A thread that removes expired items now and then."""

from __future__ import annotations

import atexit
import logging
import threading
import weakref
from collections.abc import Callable

from memagent.errors import InvalidInput, MemagentError
from memagent.memory.core import positive

_EVERY = 5.0  # minutes, where nothing else is said
_log = logging.getLogger("memagent")


class Sweeper:
    """Calls ``sweep`` every some minutes from :meth:`start` to :meth:`stop`; failures are logged, and tried again."""

    def __init__(self, sweep: Callable[[], int], minutes: float | None) -> None:
        self._sweep = weakref.WeakMethod(sweep)
        self._minutes = _EVERY if minutes is None else positive(minutes, "sweep_interval_minutes")
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, minutes: float | None = None) -> None:
        """Begin, unless it is running already."""
        every = self._minutes if minutes is None else positive(minutes, "sweep_interval_minutes")
        if self._thread is not None and self._thread.is_alive():
            return
        self._stopping = threading.Event()
        arguments = (self._sweep, self._stopping, every * 60)
        self._thread = threading.Thread(target=_work, args=arguments, name="memagent-sweeper", daemon=True)
        self._thread.start()
        # A thread inside a native library when the interpreter ends would abort the process.
        atexit.register(_stop_if_alive, weakref.ref(self))

    def stop(self, timeout: float | None = None) -> bool:
        """End; whether it has ended within ``timeout`` seconds."""
        self._stopping.set()
        thread = self._thread
        if thread is None or thread is threading.current_thread():
            return True
        thread.join(timeout)
        return not thread.is_alive()


def _work(sweep: weakref.WeakMethod[Callable[[], int]], stopping: threading.Event, seconds: float) -> None:
    """Sweep until told to stop, or until the store is gone."""
    while not stopping.wait(seconds):
        alive = sweep()
        if alive is None:
            return
        try:
            alive()
        except InvalidInput:
            return  # the memory was closed
        except MemagentError as error:
            _log.warning("expired items could not be removed: %s", error)
        del alive


def _stop_if_alive(sweeper: weakref.ref[Sweeper]) -> None:
    alive = sweeper()
    if alive is not None:
        alive.stop()
