"""What one piece of work uses of all models that it asks, whatever becomes of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from memagent.llm.reply import Usage


class Tally:
    """Calls that were answered, replies that came from a cache, and the tokens of both. Safe from several threads."""

    def __init__(self) -> None:
        self.calls = 0
        self.cached = 0
        self.usage = Usage()
        self._lock = threading.Lock()

    def add(self, usage: Usage, *, cached: bool) -> None:
        """Count one reply."""
        with self._lock:
            self.calls += not cached
            self.cached += cached
            self.usage += usage


_OPEN: ContextVar[tuple[Tally, ...]] = ContextVar("memagent_tallies", default=())


@contextmanager
def tally() -> Iterator[Tally]:
    """Counts the replies that come inside the block, in its thread or task and those begun in it.

    Those of a call that failed in the end count too: a reply that could not be read was made, and is paid for.
    """
    made = Tally()
    token = _OPEN.set((*_OPEN.get(), made))
    try:
        yield made
    finally:
        _OPEN.reset(token)


def note(usage: Usage, *, cached: bool) -> None:
    """Count one reply in all tallies that are open here."""
    for one in _OPEN.get():
        one.add(usage, cached=cached)
