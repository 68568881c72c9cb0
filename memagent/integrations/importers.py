"""Memories from elsewhere: exports of mem0, and any LangGraph store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from memagent.errors import InvalidInput, UnknownUser
from memagent.integrations.mem0_export import Mem0Record, read_mem0
from memagent.integrations.verbs import AnyMemory, Call, Routine, arun, run

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore, Op, SearchItem

    from memagent.records import Session

Progress: TypeAlias = Callable[[int, int], None]
"""Told how many are done, of how many."""

_BATCH = 100  # memories that are stored in one transaction
_PAGE = 100  # items of a LangGraph store that are read at once


class ImportedMem0(TypedDict):
    """How many memories were stored, for how many users, and how many had been imported before."""

    stored: int
    known: int
    users: int


class CopiedStore(TypedDict):
    """How many items were copied, and of how many namespaces."""

    items: int
    namespaces: int


def import_mem0(
    memory: AnyMemory,
    path: str | Path,
    *,
    user_id: str | None = None,
    assume_utc: bool = False,
    progress: Progress | None = None,
) -> ImportedMem0:
    """Store the memories of a mem0 export, the JSON that its ``get_all`` replies.

    Each becomes a note, said when mem0 made it, in the session that mem0's ``run_id`` names (without one a session a
    day); ``agent_id`` and metadata are kept, and ``mem0_id`` is added to these. ``user_id`` is whose the memories are
    that name no user. ``assume_utc`` takes times without a zone as UTC; they are refused otherwise. What was imported
    before is passed over, so that an import that was cut off can be repeated. ``progress`` is told now and then how
    many are done, of how many.

    Raises DataError, naming the record, before anything is stored.
    """
    records = read_mem0(path, user_id=user_id, assume_utc=assume_utc)
    return run(memory, _store_mem0(records, progress))


async def aimport_mem0(
    memory: AnyMemory,
    path: str | Path,
    *,
    user_id: str | None = None,
    assume_utc: bool = False,
    progress: Progress | None = None,
) -> ImportedMem0:
    """As :func:`import_mem0`, for an event loop."""
    import asyncio

    records = await asyncio.to_thread(read_mem0, path, user_id=user_id, assume_utc=assume_utc)
    return await arun(memory, _store_mem0(records, progress))


def _store_mem0(records: Sequence[Mem0Record], progress: Progress | None) -> Routine[ImportedMem0]:
    by_user: dict[str, list[Mem0Record]] = {}
    for record in records:
        by_user.setdefault(record.user_id, []).append(record)
    stored = known = 0
    for user, theirs in by_user.items():
        there = yield from _sources(user)
        new = sorted((r for r in theirs if r.message_id not in there), key=lambda record: record.said_at)
        known += len(theirs) - len(new)
        for start in range(0, len(new), _BATCH):
            sessions = [record.as_session() for record in new[start : start + _BATCH]]
            yield _adding(sessions, user)
            stored += len(sessions)
            if progress is not None:
                progress(stored + known, len(records))
    return ImportedMem0(stored=stored, known=known, users=len(by_user))


def _adding(sessions: Sequence[Session], user: str) -> Call:
    return lambda memory: memory.add_many(sessions, user_id=user)


def _sources(user: str) -> Routine[set[str]]:
    """The ids of the messages that a user's turns are made of."""
    try:
        found = yield lambda memory: memory.get_all(user_id=user, top_k=None)
    except UnknownUser:
        return set()
    return {source for item in found["results"] for source in item["source_ids"]}


def copy_langgraph_store(source: BaseStore, target: BaseStore, *, namespace: Sequence[str] = ()) -> CopiedStore:
    """Copy the items of a LangGraph store into another, those below ``namespace`` alone if it is given.

    ``target`` is, for instance, a :class:`~memagent.integrations.MemagentStore`; it indexes the items anew. Keys and
    values are kept; an item that is there already is overwritten. The times of a LangGraph store cannot be set from
    outside: copies are as old as the copying. Nobody should write to ``source`` meanwhile.
    """
    pages = _Pages(namespace)
    while ops := pages.wanted():
        target.batch(pages.puts(source.batch(ops)))
    return pages.copied()


async def acopy_langgraph_store(source: BaseStore, target: BaseStore, *, namespace: Sequence[str] = ()) -> CopiedStore:
    """As :func:`copy_langgraph_store`, for an event loop."""
    pages = _Pages(namespace)
    while ops := pages.wanted():
        await target.abatch(pages.puts(await source.abatch(ops)))
    return pages.copied()


class _Pages:
    """The pages of a store, one after the other."""

    def __init__(self, namespace: Sequence[str]) -> None:
        if isinstance(namespace, str):
            raise InvalidInput(f"the namespace is the text {namespace!r:.100}", hint='pass a tuple, such as ("users",)')
        self._prefix = tuple(namespace)
        self._offset = 0
        self._complete = False
        self._seen: set[tuple[tuple[str, ...], str]] = set()

    def wanted(self) -> list[Op]:
        """The operation that reads the next page; none after the last."""
        from langgraph.store.base import SearchOp

        if self._complete:
            return []
        return [SearchOp(self._prefix, limit=_PAGE, offset=self._offset, refresh_ttl=False)]

    def puts(self, results: Sequence[Any]) -> list[Op]:
        """The operations that store a page."""
        from langgraph.store.base import PutOp

        page: list[SearchItem] = results[0]
        self._offset += len(page)
        self._complete = len(page) < _PAGE
        return [PutOp(item.namespace, item.key, item.value) for item in self._new(page)]

    def _new(self, page: Iterable[SearchItem]) -> Iterator[SearchItem]:
        for item in page:
            # Stores whose prefixes match by text (CVE-2026-71433) return others' items too.
            if tuple(item.namespace[: len(self._prefix)]) == self._prefix:
                self._seen.add((tuple(item.namespace), item.key))
                yield item

    def copied(self) -> CopiedStore:
        """What was copied."""
        return CopiedStore(items=len(self._seen), namespaces=len({namespace for namespace, _ in self._seen}))
