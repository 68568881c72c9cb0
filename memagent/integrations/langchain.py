"""A user's memory as a LangChain retriever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from pydantic import field_validator

from memagent.errors import InvalidInput, UnknownUser
from memagent.integrations.verbs import Routine, arun, refuse_other, run
from memagent.memory.replies import Item

if TYPE_CHECKING:
    from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun

_PER_CALL = ("user_id", "top_k", "retriever", "granularity", "filters", "as_of", "max_tokens")


class MemagentRetriever(BaseRetriever):
    """Looks a user's memories up: ``retriever.invoke("Where does she live?")`` gives Documents, best first.

    ``memory``: a ``Memory``, or an ``AsyncMemory`` for ``ainvoke`` alone. The other fields are those of
    :meth:`Memory.search <memagent.Memory.search>`; each can be given for one call too: ``retriever.invoke(question,
    user_id="ann", top_k=3)``. A user must be named in one of the two places; one of whom nothing is stored has no
    documents.

    A Document's ``page_content`` is the memory's text and its ``id`` that of the memory. Its metadata are ``score``,
    ``user_id``, ``session_id``, ``agent_id``, ``granularity``, ``event_at``, ``created_at``, ``roles``, ``source_ids``
    and, under ``metadata``, what was stored with it.
    """

    memory: Any
    user_id: str | None = None
    top_k: int = 5
    retriever: Any = None
    granularity: str | None = None
    filters: Mapping[str, Any] | None = None
    as_of: datetime | str | None = None
    max_tokens: int | None = None

    @field_validator("memory")
    @classmethod
    def _is_memory(cls, memory: Any) -> Any:
        refuse_other(memory)
        return memory

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return run(self.memory, self._documents(query, options))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **options: Any
    ) -> list[Document]:
        return await arun(self.memory, self._documents(query, options))

    def _documents(self, query: str, options: Mapping[str, Any]) -> Routine[list[Document]]:
        if unknown := sorted(options.keys() - set(_PER_CALL)):
            raise InvalidInput(f"unknown options {unknown}", hint=f"a call takes {', '.join(_PER_CALL)}")
        wanted = {name: getattr(self, name) for name in _PER_CALL} | dict(options)
        if wanted["user_id"] is None:
            raise InvalidInput("no user is named", hint="pass user_id= to the retriever, or to its invoke()")
        try:
            found = yield lambda memory: memory.search(query, **wanted)
        except UnknownUser:
            return []
        return [document(item) for item in found["results"]]


def document(item: Item) -> Document:
    """A memory as LangChain hands it on."""
    fields = {name: value for name, value in item.items() if name not in ("id", "memory")}
    return Document(id=item["id"], page_content=item["memory"], metadata=fields)
