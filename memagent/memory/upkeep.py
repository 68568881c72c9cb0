"""The verbs about all of a user's memory, or all of a store: upkeep, copies, and what a language model has to do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memagent.memory import deriving, forgetting, portable, reading, reindexing, waiting
from memagent.memory.core import Core
from memagent.memory.flow import Flow, T
from memagent.memory.portable import Exported, Imported
from memagent.memory.replies import Erased, Inference, Verified
from memagent.stores.sqlite import checked_user_id


class Upkeep:
    """These verbs of :class:`~memagent.Memory`."""

    _core: Core

    @abstractmethod
    def _run(self, flow: Flow[T]) -> T:
        """Do what a flow asks for."""

    def flush(self, *, user_id: str) -> int:
        """Write all summaries, keywords and links that are due now; how many units were written."""
        return len(self._run(deriving.derive_sessions(self._core, checked_user_id(user_id))))

    def inference(self, *, user_id: str | None = None) -> Inference:
        """How far the language model is with what was added with ``infer=True``: for one user, or for all."""
        return self._run(waiting.inference(self._core, user_id=user_id))

    def wait(
        self,
        *,
        user_id: str | None = None,
        timeout: float | None = None,
        progress: Callable[[Inference], None] | None = None,
    ) -> Inference:
        """Wait until the language model has nothing left to do for one user, or for all; how it ended.

        ``timeout``: at most so many seconds. While the model cannot be reached, its work waits too. ``progress`` is
        told how far it is, again and again.
        """
        return self._run(waiting.wait_for(self._core, user_id=user_id, timeout=timeout, progress=progress))

    def retry_failed(self, *, user_id: str | None = None) -> int:
        """Queue again what the language model has failed at, for one user or for all; how many jobs that were."""
        return self._run(waiting.retry_failed(self._core, user_id=user_id))

    def forget_user(self, *, user_id: str) -> Erased:
        """Erase a user: text, vectors, history, the id itself, cached vectors. Returns what was erased.

        Handles that other processes hold get UserForgotten. Raises UnknownUser if there is nothing to erase.
        """
        return self._run(forgetting.forget_user(self._core, user_id=user_id))

    def export(self, path: str | Path, *, user_id: str) -> Exported:
        """Write all of a user's memory as JSON Lines (gzip-compressed if the name ends in ``.gz``)."""
        return self._run(portable.export(self._core, path, user_id=user_id))

    def import_(self, path: str | Path, *, user_id: str | None = None) -> Imported:
        """Read what :meth:`export` wrote, into the same user or into ``user_id``; all of it or nothing.

        Raises DataError, naming the line, for a file that is damaged, and DuplicateId if any of it is stored already.
        """
        return self._run(portable.import_(self._core, path, user_id=user_id))

    def backup(self, path: str | Path, *, user_id: str) -> str:
        """Copy a user's file, vectors included, while it is in use. Returns the path."""
        return self._run(portable.backup(self._core, path, user_id=user_id))

    def users(self) -> list[str]:
        """The ids of all users, sorted."""
        return self._run(reading.users(self._core))

    def stats(self, *, user_id: str | None = None) -> dict[str, Any]:
        """How much is stored: for one user, or (without one) how many users there are."""
        return self._run(reading.stats(self._core, user_id=user_id))

    def verify(self, *, user_id: str | None = None) -> Verified:
        """Check one user's file and open indexes, or everybody's; problems are reported, not raised."""
        return self._run(reading.verify(self._core, user_id=user_id))

    def reindex(self, *, user_id: str) -> int:
        """Embed a user's memories again with this memory's encoder; how many there were."""
        return self._run(reindexing.reindex(self._core, user_id=user_id))


class AsyncUpkeep:
    """These verbs of :class:`~memagent.AsyncMemory`."""

    _core: Core

    @abstractmethod
    async def _run(self, flow: Flow[T]) -> T:
        """Do what a flow asks for."""

    async def flush(self, *, user_id: str) -> int:
        """Write all summaries, keywords and links that are due now; how many units were written."""
        return len(await self._run(deriving.derive_sessions(self._core, checked_user_id(user_id))))

    async def inference(self, *, user_id: str | None = None) -> Inference:
        """How far the language model is with what was added with ``infer=True``: for one user, or for all."""
        return await self._run(waiting.inference(self._core, user_id=user_id))

    async def wait(
        self,
        *,
        user_id: str | None = None,
        timeout: float | None = None,
        progress: Callable[[Inference], None] | None = None,
    ) -> Inference:
        """Wait until the language model has nothing left to do for one user, or for all; how it ended.

        ``timeout``: at most so many seconds. While the model cannot be reached, its work waits too. ``progress`` is
        told how far it is, again and again.
        """
        return await self._run(waiting.wait_for(self._core, user_id=user_id, timeout=timeout, progress=progress))

    async def retry_failed(self, *, user_id: str | None = None) -> int:
        """Queue again what the language model has failed at, for one user or for all; how many jobs that were."""
        return await self._run(waiting.retry_failed(self._core, user_id=user_id))

    async def forget_user(self, *, user_id: str) -> Erased:
        """Erase a user: text, vectors, history, the id itself, cached vectors. Returns what was erased.

        Handles that other processes hold get UserForgotten. Raises UnknownUser if there is nothing to erase.
        """
        return await self._run(forgetting.forget_user(self._core, user_id=user_id))

    async def export(self, path: str | Path, *, user_id: str) -> Exported:
        """Write all of a user's memory as JSON Lines (gzip-compressed if the name ends in ``.gz``)."""
        return await self._run(portable.export(self._core, path, user_id=user_id))

    async def import_(self, path: str | Path, *, user_id: str | None = None) -> Imported:
        """Read what :meth:`export` wrote, into the same user or into ``user_id``; all of it or nothing.

        Raises DataError, naming the line, for a file that is damaged, and DuplicateId if any of it is stored already.
        """
        return await self._run(portable.import_(self._core, path, user_id=user_id))

    async def backup(self, path: str | Path, *, user_id: str) -> str:
        """Copy a user's file, vectors included, while it is in use. Returns the path."""
        return await self._run(portable.backup(self._core, path, user_id=user_id))

    async def users(self) -> list[str]:
        """The ids of all users, sorted."""
        return await self._run(reading.users(self._core))

    async def stats(self, *, user_id: str | None = None) -> dict[str, Any]:
        """How much is stored: for one user, or (without one) how many users there are."""
        return await self._run(reading.stats(self._core, user_id=user_id))

    async def verify(self, *, user_id: str | None = None) -> Verified:
        """Check one user's file and open indexes, or everybody's; problems are reported, not raised."""
        return await self._run(reading.verify(self._core, user_id=user_id))

    async def reindex(self, *, user_id: str) -> int:
        """Embed a user's memories again with this memory's encoder; how many there were."""
        return await self._run(reindexing.reindex(self._core, user_id=user_id))
