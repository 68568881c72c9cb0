"""Searches one user's memory: the agent's personal mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memagent.agents.reason_rag.searching import Document
from memagent.answering.recall import Wanted, check_wanted, recall

if TYPE_CHECKING:
    from memagent.memory import Memory
    from memagent.records import Granularity
    from memagent.retrievers.port import Retriever


class MemorySearcher:
    """Finds memories of one user; each is a document with the id of its memory unit and the time it was said.

    ``retriever`` (None: the memory's own), ``granularity``, ``filters`` and ``as_of`` are those of
    :meth:`Memory.search <memagent.Memory.search>`. For a user of whom nothing is stored it finds nothing.

    Raises what a search raises for its arguments (UnknownName, InvalidFilter ...), and InvalidInput for an AsyncMemory.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        user_id: str,
        retriever: Retriever | str | None = None,
        granularity: Granularity | str = "turn",
        filters: Mapping[str, Any] | None = None,
        as_of: datetime | str | None = None,
    ) -> None:
        self._memory = memory
        self._wanted = Wanted(
            question="",
            user_id=user_id,
            retriever=retriever,
            granularity=granularity,
            filters=filters,
            as_of=as_of,
        )
        check_wanted(memory, self._wanted)

    def search(self, query: str, k: int) -> tuple[Document, ...]:
        """The k memories that fit best, best first, none for an empty query; raises what
        :meth:`Memory.search <memagent.Memory.search>` does.
        """
        if not query.strip():
            return ()
        wanted = replace(self._wanted, question=query, top_k=k)
        return tuple(
            Document(id=found.id, text=found.text, score=found.score, said_at=found.said_at)
            for found in recall(self._memory, wanted).evidence
        )
