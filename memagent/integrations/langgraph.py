"""memagent as the store of LangGraph graphs: items in the users' own files, found by their content."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from langgraph.store.base import BaseStore, Item, Op, Result, SearchItem

from memagent.errors import InvalidInput
from memagent.integrations.langgraph_namespaces import Users, matcher
from memagent.integrations.langgraph_options import checked_ttl, default_paths, ranking_documents
from memagent.integrations.langgraph_plan import Get, Listing, Plan, Search
from memagent.integrations.langgraph_sweeper import Sweeper
from memagent.integrations.langgraph_values import Namespace
from memagent.memory import AsyncMemory, Memory, document_reading, document_writing
from memagent.memory.core import positive
from memagent.memory.documents import Address, Document, DocumentDraft
from memagent.memory.flow import Flow, run, run_async
from memagent.memory.reading import chosen_retriever

if TYPE_CHECKING:
    from langgraph.store.base import TTLConfig

    from memagent.encoders.port import Encoder
    from memagent.retrievers.port import Retriever


class MemagentStore(BaseStore):
    """A LangGraph store in memagent's memory: durable, one file a user, searched by any retriever.

    ``memory``: a :class:`~memagent.Memory` or :class:`~memagent.AsyncMemory`, whose users' files hold the items beside
    what was said, or the path of one (a directory, or ``":memory:"``), made with ``encoder``. The user of an item is
    the element of its namespace at place ``user_at``; forgetting or exporting that user includes the items.
    ``retriever``: what searches with a query use; the scores of "dense" are cosines. ``index``: None finds items by
    their whole value, ``{"fields": [paths]}`` by some fields, False by namespace and key only. ``ttl``: LangGraph's
    TTLConfig (``default_ttl``, ``refresh_on_read``, ``sweep_interval_minutes``); expired items are never returned.
    ``workers``: threads that serve the asynchronous calls.

    Operations of a batch are checked before any is done. Reads come first and see what was there before the batch; of
    several writes to one item the last counts; the writes to one user's items are one transaction. Filters:
    :mod:`memagent.integrations.langgraph_filters`. Safe from several threads and event loops.

        >>> from memagent.integrations import MemagentStore
        >>> store = MemagentStore(":memory:")
        >>> store.put(("ann", "facts"), "home", {"text": "She lives in Lisbon."})
        >>> store.search(("ann",), query="Where does she live?")[0].value["text"]
        'She lives in Lisbon.'
    """

    supports_ttl = True

    def __init__(
        self,
        memory: Memory | AsyncMemory | str | Path,
        *,
        encoder: Encoder | str | None = None,
        retriever: Retriever | str = "dense",
        user_at: int = 0,
        index: Mapping[str, Any] | Literal[False] | None = None,
        ttl: TTLConfig | None = None,
        workers: int = 8,
    ) -> None:
        is_given = isinstance(memory, Memory | AsyncMemory)
        if is_given and encoder is not None:
            raise InvalidInput("a memory and an encoder are given", hint="make the memory with this encoder")
        self.memory: Memory | AsyncMemory = memory if is_given else Memory(memory, encoder=encoder)  # type: ignore[arg-type, assignment]
        self._owns_memory = not is_given
        self._core = self.memory._core
        self._retriever = ranking_documents(chosen_retriever(self._core, retriever))
        self._users = Users(self._core.store, user_at)
        self._paths = default_paths(index)
        self.ttl_config = checked_ttl(ttl)
        self._sweeper = Sweeper(self.sweep_ttl, self.ttl_config.get("sweep_interval_minutes"))
        self._workers = int(positive(workers, "workers"))
        self._threads: tuple[int, ThreadPoolExecutor] | None = None
        self._lock = threading.Lock()

    # the operations

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do operations; one result each, in their order. Nothing is done if one of them cannot be."""
        plan = Plan(ops, self._users, self._paths, self._core.max_message_bytes)
        self._core.refuse_if_closed()
        return run(self._perform(plan))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """What :meth:`batch` does, in this store's own threads."""
        plan = Plan(ops, self._users, self._paths, self._core.max_message_bytes)
        self._core.refuse_if_closed()
        return await run_async(self._perform(plan), self._executor())

    def _perform(self, plan: Plan) -> Flow[list[Result]]:
        results: list[Result] = [None] * plan.size
        used: dict[str, list[Address]] = {}
        yield from self._get(plan, results, used)
        for search in plan.searches:
            found = yield from self._find(search)
            results[search.place] = [_search_item(document) for document in found]
            if search.refresh:
                self._note(found, used)
        for listing in plan.listings:
            results[listing.place] = yield from self._list(listing)
        for user, addresses in used.items():
            yield from document_writing.keep(self._core, user, addresses)
        yield from self._put(plan)
        return results

    def _get(self, plan: Plan, results: list[Result], used: dict[str, list[Address]]) -> Flow[None]:
        by_user: dict[str, list[Get]] = {}
        for get in plan.gets:
            user = self._users.at(get.address.path)
            if user is not None:
                by_user.setdefault(user, []).append(get)
        for user, gets in by_user.items():
            documents = yield from document_reading.get(self._core, user, [get.address for get in gets])
            for get, document in zip(gets, documents, strict=True):
                if document is not None:
                    results[get.place] = _item(document)
                    if get.refresh:
                        self._note([document], used)

    def _note(self, found: Iterable[Document], used: dict[str, list[Address]]) -> None:
        """Remember which of the documents that were read must live on for it."""
        for document in found:
            if document.lifetime is not None:
                used.setdefault(self._users.of(document.address.path), []).append(document.address)

    def _find(self, search: Search) -> Flow[list[Document]]:
        count = search.offset + search.limit
        question = None
        if search.query is not None and search.limit:
            question = yield from document_reading.question(self._core, search.query, self._retriever)
        users: list[str] = yield lambda: self._users.among(search.below)
        found: list[Document] = []
        for user in users if search.limit else ():
            found += yield from document_reading.find(
                self._core,
                user,
                count=count,
                below=search.below,
                belongs=self._users.test(user, search.below),
                test=search.test,
                question=question,
            )
        if len(users) > 1:
            found.sort(key=_by_score if question else _by_time, reverse=True)
        return found[search.offset : count]

    def _list(self, listing: Listing) -> Flow[list[Namespace]]:
        test = matcher(listing.conditions)
        users: list[str] = yield lambda: self._users.matching(listing.conditions)
        paths: set[Namespace] = set()
        for user in users:
            paths |= yield from document_reading.paths(self._core, user, belongs=self._users.test(user))
        shown = sorted({path[: listing.depth] for path in paths if test(path)})
        return shown[listing.offset : listing.offset + listing.limit]

    def _put(self, plan: Plan) -> Flow[None]:
        by_user: dict[str, tuple[list[DocumentDraft], list[Address]]] = {}
        for address, draft in plan.puts.items():
            drafts, gone = by_user.setdefault(self._users.of(address.path), ([], []))
            if draft is None:
                gone.append(address)
            else:
                drafts.append(draft)
        for user, (drafts, gone) in by_user.items():
            yield from document_writing.put(self._core, user, drafts, gone)

    # lifetimes

    def sweep_ttl(self) -> int:
        """Remove all users' expired items from their files; how many there were."""
        self._core.refuse_if_closed()
        return sum(run(document_writing.sweep(self._core, user)) for user in self._core.store.users())

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> None:
        """Sweep now and then in a thread of its own, until :meth:`stop_ttl_sweeper` or :meth:`close`.

        Every ``sweep_interval_minutes``, or as often as ``ttl`` says, or every five minutes.
        """
        self._sweeper.start(sweep_interval_minutes)

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """End the sweeping; whether it has ended within ``timeout`` seconds."""
        return self._sweeper.stop(timeout)

    # opening and closing

    def _executor(self) -> ThreadPoolExecutor:
        """The threads of this process: a forked child has none of its parent's."""
        with self._lock:
            if self._threads is None or self._threads[0] != os.getpid():
                pool = ThreadPoolExecutor(max_workers=self._workers, thread_name_prefix="memagent-store")
                self._threads = os.getpid(), pool
            return self._threads[1]

    def close(self) -> None:
        """End this store's threads, and close the memory if it was made by this store."""
        self._sweeper.stop()
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None and threads[0] == os.getpid():
            threads[1].shutdown()
        if self._owns_memory and isinstance(self.memory, Memory):
            self.memory.close()

    def __enter__(self) -> MemagentStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _item(document: Document) -> Item:
    return Item(
        value=json.loads(document.value),
        key=document.address.key,
        namespace=document.address.path,
        created_at=document.created_at,
        updated_at=document.updated_at,
    )


def _search_item(document: Document) -> SearchItem:
    return SearchItem(
        namespace=document.address.path,
        key=document.address.key,
        value=json.loads(document.value),
        created_at=document.created_at,
        updated_at=document.updated_at,
        score=document.score,
    )


def _by_score(document: Document) -> float:
    return document.score or 0.0


def _by_time(document: Document) -> Any:
    return document.updated_at
