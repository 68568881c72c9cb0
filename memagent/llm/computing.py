"""Computing in this process, step by step, so that the process can end between two steps.

A thread that does not keep the process from ending is stopped by the interpreter where it next wants to run Python. In
the midst of a library in C++ (torch) that is no place to stop at: the whole process is aborted there, with SIGABRT in
place of its own exit status. So such a step is waited for at the end of the process, and no further one is begun.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from memagent.errors import ModelUnavailable

T = TypeVar("T")

_PATIENCE = 60.0  # seconds at the end of the process; a step takes a fraction of one, to load a model some ten


class Steps:
    """The steps that are under way in any thread."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew: in a forked process there are no threads but the one that forked."""
        self._changed = threading.Condition()
        self._under_way = 0
        self._ended = False

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step; raises ModelUnavailable at the end of the process, except in its main thread."""
        with self._changed:
            if self._ended and threading.current_thread() is not threading.main_thread():
                raise ModelUnavailable("the process is ending", hint="wait for answers before")
            self._under_way += 1
            begun = self._changed
        try:
            yield
        finally:
            if begun is self._changed:  # else this is a process forked meanwhile, which has forgotten the step
                with begun:
                    self._under_way -= 1
                    begun.notify_all()

    def each(self, pieces: Iterator[T]) -> Iterator[T]:
        """The same pieces, each made in one step."""
        end = object()
        while True:
            with self.step():
                piece = next(pieces, end)
            if piece is end:
                return
            yield piece  # type: ignore[misc]  # it is not the end

    def end(self) -> None:
        """Let no further step begin, and wait for those under way."""
        with self._changed:
            self._ended = True
            self._changed.wait_for(lambda: not self._under_way, timeout=_PATIENCE)


steps = Steps()
"""Those of this process."""

atexit.register(steps.end)
os.register_at_fork(after_in_child=steps.forget)
