"""Logic that talks to a model does not call it: it yields prompts and is sent the replies.

A flow yields one prompt and is sent its reply, or yields several and is sent the list of theirs (they are asked at
once). An error of the model is raised where the flow yields, which may catch it. One flow serves :func:`drive` and
:func:`adrive`; a test is a list of replies (:class:`memagent.testing.ScriptedModel`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from memagent.errors import MemagentError
from memagent.llm.reply import Reply
from memagent.prompts.prompt import Prompt

if TYPE_CHECKING:
    from memagent.llm.model import Model

T = TypeVar("T")
R = TypeVar("R")

Steps: TypeAlias = Generator[Prompt[Any] | Sequence[Prompt[Any]], Any, R]
"""A flow that returns an R."""


class AsyncAsks(Protocol):
    """What :func:`adrive` needs of a model."""

    async def aask(self, prompt: Prompt[T]) -> Reply[T]:
        """The answer to one prompt."""

    async def aask_many(self, prompts: Sequence[Prompt[T]]) -> list[Reply[T]]:
        """The answers to all prompts, in their order."""


def asked(prompt: Prompt[T]) -> Steps[Reply[T]]:
    """Yield one prompt, and have the type of its answer: ``reply = yield from ...``."""
    reply: Reply[T] = yield prompt
    return reply


def asked_at_once(prompts: Sequence[Prompt[T]]) -> Steps[list[Reply[T]]]:
    """Yield several prompts, and have the type of their answers: ``replies = yield from ...``."""
    replies: list[Reply[T]] = (yield list(prompts)) if prompts else []
    return replies


def drive(steps: Steps[R], model: Model) -> R:
    """What a flow returns when ``model`` answers its prompts."""
    try:
        wanted = next(steps)
        while True:
            try:
                got = model.ask(wanted) if isinstance(wanted, Prompt) else model.ask_many(wanted)
            except MemagentError as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(got)
    except StopIteration as stop:
        value: R = stop.value
        return value
    finally:
        steps.close()


async def adrive(steps: Steps[R], model: AsyncAsks) -> R:
    """As :func:`drive`, for an event loop."""
    try:
        wanted = next(steps)
        while True:
            try:
                got = await (model.aask(wanted) if isinstance(wanted, Prompt) else model.aask_many(wanted))
            except MemagentError as error:
                wanted = steps.throw(error)
            else:
                wanted = steps.send(got)
    except StopIteration as stop:
        value: R = stop.value
        return value
    finally:
        steps.close()
