"""mem0 2.x's calls on a memagent memory.

    from memagent.integrations.mem0 import Memory      # in place of: from mem0 import Memory

    memory = Memory("store")
    memory.add("I love hiking", user_id="ann", infer=False)
    memory.search("hobbies", filters={"user_id": "ann"})

Verbs, arguments and replies are mem0's (https://github.com/mem0ai/mem0, 2.2); docs/integrations/mem0.md says where
they differ. What memagent cannot do is refused by name, never passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import memagent
from memagent.errors import InvalidInput
from memagent.integrations.mem0_verbs import UNSET, Verbs
from memagent.integrations.verbs import arun, run
from memagent.records import Granularity

_Self = TypeVar("_Self", bound="_Made")


class _Made:
    """What both faces are made of: a memory of memagent's and mem0's verbs."""

    _kind: type[Any]

    def __init__(
        self,
        path: str | Path = "memagent-store",
        *,
        default_user: str | None = None,
        infer: bool = False,
        wait: bool | float = False,
        retriever: str | None = None,
        granularity: str = "turn",
        **options: Any,
    ) -> None:
        Granularity.of(granularity)
        self._memory = self._kind(path, **options)
        self._verbs = Verbs(
            default_user=default_user, infer=infer, wait=wait, retriever=retriever, granularity=granularity
        )

    @classmethod
    def from_config(cls: type[_Self], config_dict: Mapping[str, Any]) -> _Self:
        """A memory from a dict of this class's arguments; mem0's own sections are refused by name."""
        if not isinstance(config_dict, Mapping):
            raise InvalidInput(f"the config is {type(config_dict).__name__}", hint=_CONFIG)
        sections = [name for name in config_dict if name in _SECTIONS]
        if sections:
            raise InvalidInput(f"memagent has no {', '.join(sections)} section", hint=_CONFIG)
        known = {*signature(_Made.__init__).parameters, *signature(cls._kind.__init__).parameters}
        if unknown := sorted(config_dict.keys() - known):
            raise InvalidInput(f"unknown settings {unknown}", hint=_CONFIG)
        return cls(**config_dict)


_CONFIG = 'for example {"path": "store", "infer": False}'
_SECTIONS = (
    "vector_store",
    "llm",
    "embedder",
    "reranker",
    "graph_store",
    "history_db_path",
    "version",
    "custom_instructions",
)


class Memory(_Made):
    """mem0's ``Memory`` on a store of memagent's.

    ``path`` and ``options`` are those of :class:`memagent.Memory`, which is :attr:`native`. ``default_user``: whose
    memory calls work on that name no user. ``infer``: what ``add`` means when it does not say so (mem0: True); True
    needs a language model, ``model=`` of :class:`memagent.Memory`, and ``wait`` is whether, or for how many seconds,
    ``add`` waits for its facts. ``granularity``: "fact" searches and lists these, "turn" what was said. ``retriever``:
    "dense" makes scores cosines, which ``threshold`` needs; None is the memory's own.
    """

    _kind = memagent.Memory

    @property
    def native(self) -> memagent.Memory:
        """The memory itself, for what mem0 has no verb for."""
        memory: memagent.Memory = self._memory
        return memory

    def add(
        self,
        messages: Any,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        expiration_date: Any = None,
        infer: bool | None = None,
        memory_type: str | None = None,
        prompt: str | None = None,
    ) -> dict[str, Any]:
        """Remember a text, a message or several; one result for each turn."""
        return run(
            self._memory,
            self._verbs.add(
                messages,
                user_id=user_id,
                agent_id=agent_id,
                run_id=run_id,
                metadata=metadata,
                timestamp=timestamp,
                expiration_date=expiration_date,
                infer=infer,
                memory_type=memory_type,
                prompt=prompt,
            ),
        )

    def search(
        self,
        query: str,
        *,
        top_k: int = 20,
        filters: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        rerank: bool = False,
        explain: bool = False,
        reference_date: Any = None,
        show_expired: bool = False,
        **others: Any,
    ) -> dict[str, Any]:
        """The memories that answer a query, best first; ``filters`` names the user."""
        return run(
            self._memory,
            self._verbs.search(
                query,
                top_k=top_k,
                filters=filters,
                threshold=threshold,
                rerank=rerank,
                explain=explain,
                reference_date=reference_date,
                show_expired=show_expired,
                others=others,
            ),
        )

    def get(self, memory_id: str) -> dict[str, Any] | None:
        """One memory; None if there is none."""
        return run(self._memory, self._verbs.get(memory_id))

    def get_all(
        self, *, filters: Mapping[str, Any] | None = None, top_k: int = 20, show_expired: bool = False, **others: Any
    ) -> dict[str, Any]:
        """A user's memories in the order they were stored; ``filters`` names the user."""
        return run(
            self._memory,
            self._verbs.get_all(filters=filters, top_k=top_k, show_expired=show_expired, others=others),
        )

    def update(
        self,
        memory_id: str,
        text: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        expiration_date: Any = UNSET,
        data: str | None = None,
    ) -> dict[str, str]:
        """Give a memory another text, further metadata, or a last day; ``data`` is mem0's old name for ``text``."""
        new = data if text is None else text
        return run(
            self._memory, self._verbs.update(memory_id, text=new, metadata=metadata, expiration_date=expiration_date)
        )

    def delete(self, memory_id: str) -> dict[str, str]:
        """Remove a memory and every trace of its text; raises UnknownMemory."""
        return run(self._memory, self._verbs.delete(memory_id))

    def delete_all(
        self, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> dict[str, str]:
        """Remove a user's memories, or those of an agent or a run."""
        return run(self._memory, self._verbs.delete_all(user_id=user_id, agent_id=agent_id, run_id=run_id))

    def history(self, memory_id: str) -> list[dict[str, Any]]:
        """What happened to a memory, oldest first."""
        return run(self._memory, self._verbs.history(memory_id))

    def reset(self) -> None:
        """Erase everything of everybody."""
        run(self._memory, self._verbs.reset())

    def close(self) -> None:
        """Close all files."""
        self._memory.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncMemory(_Made):
    """The twin of :class:`Memory` for event loops: mem0's ``AsyncMemory`` on a store of memagent's."""

    _kind = memagent.AsyncMemory

    @property
    def native(self) -> memagent.AsyncMemory:
        """The memory itself, for what mem0 has no verb for."""
        memory: memagent.AsyncMemory = self._memory
        return memory

    async def add(
        self,
        messages: Any,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        timestamp: Any = None,
        expiration_date: Any = None,
        infer: bool | None = None,
        memory_type: str | None = None,
        prompt: str | None = None,
    ) -> dict[str, Any]:
        """Remember a text, a message or several; one result for each turn."""
        return await arun(
            self._memory,
            self._verbs.add(
                messages,
                user_id=user_id,
                agent_id=agent_id,
                run_id=run_id,
                metadata=metadata,
                timestamp=timestamp,
                expiration_date=expiration_date,
                infer=infer,
                memory_type=memory_type,
                prompt=prompt,
            ),
        )

    async def search(
        self,
        query: str,
        *,
        top_k: int = 20,
        filters: Mapping[str, Any] | None = None,
        threshold: float | None = None,
        rerank: bool = False,
        explain: bool = False,
        reference_date: Any = None,
        show_expired: bool = False,
        **others: Any,
    ) -> dict[str, Any]:
        """The memories that answer a query, best first; ``filters`` names the user."""
        return await arun(
            self._memory,
            self._verbs.search(
                query,
                top_k=top_k,
                filters=filters,
                threshold=threshold,
                rerank=rerank,
                explain=explain,
                reference_date=reference_date,
                show_expired=show_expired,
                others=others,
            ),
        )

    async def get(self, memory_id: str) -> dict[str, Any] | None:
        """One memory; None if there is none."""
        return await arun(self._memory, self._verbs.get(memory_id))

    async def get_all(
        self, *, filters: Mapping[str, Any] | None = None, top_k: int = 20, show_expired: bool = False, **others: Any
    ) -> dict[str, Any]:
        """A user's memories in the order they were stored; ``filters`` names the user."""
        return await arun(
            self._memory,
            self._verbs.get_all(filters=filters, top_k=top_k, show_expired=show_expired, others=others),
        )

    async def update(
        self,
        memory_id: str,
        text: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        expiration_date: Any = UNSET,
        data: str | None = None,
    ) -> dict[str, str]:
        """Give a memory another text, further metadata, or a last day; ``data`` is mem0's old name for ``text``."""
        new = data if text is None else text
        return await arun(
            self._memory, self._verbs.update(memory_id, text=new, metadata=metadata, expiration_date=expiration_date)
        )

    async def delete(self, memory_id: str) -> dict[str, str]:
        """Remove a memory and every trace of its text; raises UnknownMemory."""
        return await arun(self._memory, self._verbs.delete(memory_id))

    async def delete_all(
        self, user_id: str | None = None, agent_id: str | None = None, run_id: str | None = None
    ) -> dict[str, str]:
        """Remove a user's memories, or those of an agent or a run."""
        return await arun(self._memory, self._verbs.delete_all(user_id=user_id, agent_id=agent_id, run_id=run_id))

    async def history(self, memory_id: str) -> list[dict[str, Any]]:
        """What happened to a memory, oldest first."""
        return await arun(self._memory, self._verbs.history(memory_id))

    async def reset(self) -> None:
        """Erase everything of everybody."""
        await arun(self._memory, self._verbs.reset())

    async def close(self) -> None:
        """Close all files."""
        await self._memory.close()

    async def __aenter__(self) -> AsyncMemory:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
