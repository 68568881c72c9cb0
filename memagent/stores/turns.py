"""Who may use a handle that several threads share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from memagent.errors import InvalidInput, StoreBusy


class Deadline:
    """A moment until which a call waits, whatever it waits for."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that may still be waited."""
        return max(0.0, self._end - time.monotonic())


class Turns:
    """One thread at a time uses a handle; it may take its turn again inside its own.

    Of the threads that want to write one waits outside, for the lock of other processes; meanwhile the others read.
    ``where`` names the file in errors.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._renew()

    def _renew(self) -> None:
        self._turn = threading.RLock()
        self._writers = threading.Lock()
        self._holder: int | None = None

    @contextmanager
    def held(self, deadline: Deadline) -> Iterator[None]:
        """Use the handle alone for a block; raises StoreBusy after the deadline."""
        turn = self._turn
        if not turn.acquire(timeout=deadline.left()):
            raise self._busy()
        before, self._holder = self._holder, threading.get_ident()
        try:
            yield
        finally:
            self._holder = before
            turn.release()

    @contextmanager
    def writing(self, deadline: Deadline) -> Iterator[None]:
        """Be the one writer of this handle for a block, outside of :meth:`held`; raises StoreBusy, InvalidInput."""
        if self._holder == threading.get_ident():
            # Waiting for the other writers here, with the handle that they wait for, would never end.
            raise InvalidInput(
                "a user's memory is changed inside a search or change of the same user",
                hint="make the change when the other call has returned",
            )
        writers = self._writers
        if not writers.acquire(timeout=deadline.left()):
            raise self._busy()
        try:
            yield
        finally:
            writers.release()

    def _busy(self) -> StoreBusy:
        return StoreBusy(f"{self._where} is in use by other threads", hint="try again, or raise the wait time")

    # forks: see memagent.forks

    def pause(self, timeout: float) -> bool:
        """Keep other threads out until :meth:`resume`; False if that took too long."""
        return self._turn.acquire(timeout=timeout)

    def resume(self, *, in_child: bool = False) -> None:
        """Let other threads in again."""
        if in_child:
            self._writers = threading.Lock()  # whoever held it is a thread of the parent
        self._turn.release()

    def abandon(self) -> None:
        """In a child, after no pause: whoever holds something is a thread of the parent."""
        self._renew()
