"""Waiting for somebody else's work no longer than so many seconds, whatever that work waits for.

Timeouts of connections bound one read, and repetitions multiply them; looking a name up has none. So the work is left
behind at the deadline: in an event loop it is cancelled, otherwise it goes on in a thread of its own, which does not
keep the process from ending, and what comes of it is thrown away.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, TypeVar

from memagent.errors import InvalidInput, ModelTimeout

T = TypeVar("T")

_LONGEST = 86_400.0 * 365  # seconds; a queue does not take any time


def seconds_above_zero(seconds: Any, name: str) -> float | None:
    """``seconds`` as a float, None for None and an endless time; raises InvalidInput for what is no time above 0."""
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise InvalidInput(f"{name} is {seconds!r}", hint="seconds, above 0")
    try:
        number = float(seconds)
    except OverflowError:  # a whole number of more digits than a float has room for
        return None
    return None if math.isinf(number) else number


def within(seconds: float | None, call: Callable[[], T], what: str) -> T:
    """What ``call`` returns or raises; ModelTimeout, which says that there is no ``what``, once the seconds are over.

    None: as long as it takes. It is called in another thread, with this one's context variables.
    """
    if seconds is None:
        return call()
    ended: queue.SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = queue.SimpleQueue()

    def run() -> None:
        try:
            ended.put((call(), None))
        except BaseException as error:  # noqa: BLE001  # raised again by whoever waits
            ended.put((None, error))

    context = copy_context()
    threading.Thread(target=context.run, args=(run,), name=f"memagent {what}", daemon=True).start()
    try:
        result, error = ended.get(timeout=min(seconds, _LONGEST))
    except queue.Empty:
        raise _late(seconds, what) from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # the pair's other half is None


async def awithin(seconds: float | None, call: Awaitable[T], what: str) -> T:
    """As :func:`within`, for an event loop."""
    try:
        async with asyncio.timeout(seconds) as limit:
            return await call
    except TimeoutError:
        if limit.expired() and seconds is not None:
            raise _late(seconds, what) from None
        raise


def _late(seconds: float, what: str) -> ModelTimeout:
    return ModelTimeout(f"no {what} came within {seconds:g} s", hint="see to the model, or allow more time")
