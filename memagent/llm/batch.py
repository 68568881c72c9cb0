"""Many prompts asked at once, in threads or in tasks."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from memagent.errors import ModelError
from memagent.llm.reply import Reply

if TYPE_CHECKING:
    from memagent.prompts.prompt import Prompt

T = TypeVar("T")


class Batch(Generic[T]):
    """One round of questions. ``stop``: after an error none is begun any more."""

    def __init__(self, *, stop: bool) -> None:
        self._stop = stop
        self._stopped = False

    def _note(self) -> None:
        """An error is among the outcomes."""
        if self._stop:
            self._stopped = True

    def run(
        self, ask: Callable[[Prompt[T]], Reply[T]], prompts: Sequence[Prompt[T]], *, threads: int
    ) -> list[Reply[T] | ModelError]:
        """Replies and errors, in the order of the prompts; those that were not begun are left out."""

        def one(prompt: Prompt[T]) -> Reply[T] | ModelError | None:
            if self._stopped:
                return None
            try:
                return ask(prompt)
            except ModelError as error:
                self._note()
                return error
            except BaseException:
                self._stopped = True
                raise

        if threads == 1 or len(prompts) <= 1:
            return self._begun([one(prompt) for prompt in prompts])
        pool = ThreadPoolExecutor(min(threads, len(prompts)), thread_name_prefix="memagent-model")
        try:
            begun = [pool.submit(contextvars.copy_context().run, one, prompt) for prompt in prompts]
            found = [future.result() for future in begun]
        except BaseException:  # an interrupted caller does not wait for the calls under way
            self._stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
        return self._begun(found)

    async def arun(
        self, ask: Callable[[Prompt[T]], Awaitable[Reply[T]]], prompts: Sequence[Prompt[T]], *, tasks: int
    ) -> list[Reply[T] | ModelError]:
        """As :meth:`run`; when the caller is cancelled, so are all."""
        waiting = iter(range(len(prompts)))
        found: list[Reply[T] | ModelError | None] = [None] * len(prompts)

        async def work() -> None:
            for place in waiting:
                if self._stopped:
                    return
                try:
                    found[place] = await ask(prompts[place])
                except ModelError as error:
                    self._note()
                    found[place] = error

        workers = [asyncio.ensure_future(work()) for _ in range(min(tasks, len(prompts)))]
        try:
            await asyncio.gather(*workers)
        except BaseException:
            self._stopped = True
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            raise
        return self._begun(found)

    @staticmethod
    def _begun(found: Sequence[Any]) -> list[Reply[T] | ModelError]:
        return [one for one in found if one is not None]


def first_error(found: list[Reply[T] | ModelError]) -> list[Reply[T]]:
    """The replies; raises the first error among them."""
    replies: list[Reply[T]] = []
    for one in found:
        if isinstance(one, ModelError):
            raise one
        replies.append(one)
    return replies
