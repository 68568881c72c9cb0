"""Replies to the parts of a job, kept in this process until the job is done.

A long session and a long message are put before the model in parts. Where the model goes away in their midst, or the
user's file cannot be written afterwards, the job waits and is begun again: what was answered is not asked, nor paid
for, once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from memagent.llm.batch import Batch, first_error
from memagent.llm.request import first_request

if TYPE_CHECKING:
    from memagent.llm.model import Model
    from memagent.llm.reply import Reply
    from memagent.memory.claims import Claim
    from memagent.prompts.prompt import Prompt

_MOST = 64  # jobs; the replies to the others are asked for again

T = TypeVar("T")


class Parts:
    """What was answered of jobs that are not done. ``calls``: the most calls at once, over all of them."""

    def __init__(self, calls: int) -> None:
        self.calls = calls
        self.slots = asyncio.Semaphore(calls)
        self._replies: dict[tuple[str, str, int], dict[bytes, Reply[Any]]] = {}

    def of(self, claimed: Claim, model: Model) -> PartsModel:
        """The model for the work of a claim: it remembers what it answered to the same job before."""
        replies = self._replies.pop(_job(claimed), {})
        self._replies[_job(claimed)] = replies
        if len(self._replies) > _MOST:
            del self._replies[next(iter(self._replies))]
        return PartsModel(model, self, replies)

    def drop(self, claimed: Claim) -> None:
        """Forget the replies to a job, which is done or has failed."""
        self._replies.pop(_job(claimed), None)

    def drop_user(self, user_id: str) -> None:
        """Forget all replies about a user, who has no jobs left or is forgotten."""
        for job in [job for job in self._replies if job[0] == user_id]:
            del self._replies[job]


class PartsModel:
    """Asks a model, and repeats what it replied to the same prompt before."""

    def __init__(self, model: Model, parts: Parts, replies: dict[bytes, Reply[Any]]) -> None:
        self._model = model
        self._parts = parts
        self._replies = replies

    async def aask(self, prompt: Prompt[T]) -> Reply[T]:
        """As :meth:`Model.aask`."""
        key = first_request(prompt, guided=False).key("")
        if key not in self._replies:
            async with self._parts.slots:
                self._replies[key] = await self._model.aask(prompt)
        return self._replies[key]

    async def aask_many(self, prompts: Sequence[Prompt[T]]) -> list[Reply[T]]:
        """As :meth:`Model.aask_many`."""
        return first_error(await Batch[T](stop=True).arun(self.aask, prompts, tasks=self._parts.calls))


def _job(claimed: Claim) -> tuple[str, str, int]:
    return claimed.user_id, claimed.kind, claimed.jobs[0].unit
