"""Nobody else looks on while private data are worked on: no tracing by LangSmith, and no graph around the device.

With ``LANGSMITH_TRACING`` set, LangGraph and LangChain would send every state and prompt of the device to LangSmith's
server. Asked in a node of another graph, LangGraph would take the device for a part of it: write the device's states
to that graph's checkpoints, wherever they are kept, and tell them to its callbacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def untraced() -> Iterator[None]:
    """Nothing is traced inside this block, and no graph around it is known."""
    from langchain_core.runnables.config import var_child_runnable_config
    from langsmith import tracing_context

    around = var_child_runnable_config.set(None)
    try:
        with tracing_context(enabled=False):
            yield
    finally:
        var_child_runnable_config.reset(around)


@contextmanager
def _context() -> Iterator[Context]:
    """A context of its own, as in :func:`untraced`: between two steps of an iterator the caller's is untouched."""
    context, off = copy_context(), untraced()
    context.run(off.__enter__)
    try:
        yield context
    finally:
        context.run(off.__exit__, None, None, None)


def steps_untraced(steps: Iterator[T]) -> Iterator[T]:
    """The same steps, each made as in :func:`untraced`."""
    end = object()
    with _context() as context:
        while (step := context.run(next, steps, end)) is not end:
            yield step  # type: ignore[misc]  # it is not the end


async def asteps_untraced(steps: AsyncIterator[T]) -> AsyncIterator[T]:
    """As :func:`steps_untraced`, for an event loop."""

    async def following() -> tuple[T] | None:
        try:
            return (await anext(steps),)
        except StopAsyncIteration:
            return None

    with _context() as context:
        while (step := await asyncio.create_task(following(), context=context)) is not None:
            yield step[0]
