"""One definition of each verb for the synchronous and the asynchronous face.

A verb is a generator that yields pieces of blocking work (functions without arguments) and is sent their results.
:func:`run` does the work in place, :func:`run_async` in threads, while the event loop goes on. An error in the work
ends the flow and reaches the caller as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Executor

T = TypeVar("T")

Work: TypeAlias = Callable[[], Any]
Flow: TypeAlias = Generator[Work, Any, T]


def _done(work: Work) -> Any:
    try:
        return work()
    except StopIteration as error:  # would look like the end of the flow, and an event loop cannot carry it
        raise RuntimeError("a piece of work raised StopIteration") from error


def run(flow: Flow[T]) -> T:
    """Drive a flow in the calling thread."""
    try:
        work = next(flow)
        while True:
            work = flow.send(_done(work))
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()


async def run_async(flow: Flow[T], executor: Executor) -> T:
    """Drive a flow from an event loop; its work runs in ``executor``.

    When the awaiting task is cancelled, the piece of work under way is finished in its thread (a commit is not torn)
    and nothing after it is begun.
    """
    import asyncio  # not needed by those who only search once, and slow to import

    loop = asyncio.get_running_loop()
    try:
        work = next(flow)
        while True:
            work = flow.send(await loop.run_in_executor(executor, _done, work))
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        flow.close()
