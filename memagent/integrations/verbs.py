"""One definition of each integration's calls for ``Memory`` and ``AsyncMemory``.

A routine is a generator that yields calls (functions of the memory) and is sent what they give. :func:`run` makes the
calls on a ``Memory``, :func:`arun` awaits them on an ``AsyncMemory`` or makes those of a ``Memory`` in a thread. An
error of a call is raised where the routine yields.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from memagent.errors import InvalidInput, MemagentError

if TYPE_CHECKING:
    from memagent.memory import AsyncMemory, Memory

T = TypeVar("T")

AnyMemory: TypeAlias = "Memory | AsyncMemory"
Call: TypeAlias = Callable[[Any], Any]
Routine: TypeAlias = Generator[Call, Any, T]


def refuse_other(memory: object) -> None:
    """Raise InvalidInput for what is no memory."""
    from memagent.memory import AsyncMemory, Memory

    if not isinstance(memory, Memory | AsyncMemory):
        raise InvalidInput(
            f"{type(memory).__name__} is no memory", hint="pass a memagent.Memory or a memagent.AsyncMemory"
        )


def is_async(memory: AnyMemory) -> bool:
    """Whether a memory's verbs are awaited."""
    from memagent.memory import AsyncMemory

    return isinstance(memory, AsyncMemory)


def page_of(user_id: str, **options: Any) -> Call:
    """A call of :func:`memagent.memory.paging.page`."""
    from memagent.memory.paging import page

    return lambda memory: memory._run(page(memory._core, user_id=user_id, **options))


def run(memory: AnyMemory, routine: Routine[T]) -> T:
    """What a routine returns; raises InvalidInput for an AsyncMemory."""
    if is_async(memory):
        routine.close()
        raise InvalidInput(
            "an AsyncMemory cannot be used without an event loop", hint="await the call, or pass a Memory"
        )
    try:
        call = next(routine)
        while True:
            try:
                got = call(memory)
            except MemagentError as error:
                call = routine.throw(error)
            else:
                call = routine.send(got)
    except StopIteration as stop:
        return cast("T", stop.value)
    finally:
        routine.close()


async def arun(memory: AnyMemory, routine: Routine[T]) -> T:
    """As :func:`run`, for an event loop, which is never blocked."""
    make: Callable[[Call], Awaitable[Any]]
    make = partial(_awaited, memory) if is_async(memory) else partial(_in_thread, memory)
    try:
        call = next(routine)
        while True:
            try:
                got = await make(call)
            except MemagentError as error:
                call = routine.throw(error)
            else:
                call = routine.send(got)
    except StopIteration as stop:
        return cast("T", stop.value)
    finally:
        routine.close()


async def _awaited(memory: AnyMemory, call: Call) -> Any:
    return await call(memory)


async def _in_thread(memory: AnyMemory, call: Call) -> Any:
    return await asyncio.to_thread(call, memory)
