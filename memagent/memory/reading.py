"""The verbs that only read: search, context, get, get_all, history, stats, users, verify."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.bank.bank import MemoryBank
from memagent.bank.filters import compile_filter
from memagent.errors import InvalidInput, NotFound, StoreError, UnknownMemory, UnknownName
from memagent.memory.core import Core
from memagent.memory.flow import Flow
from memagent.memory.ids import owner_of_memory
from memagent.memory.replies import HistoryEntry, Item, ListReply, SearchReply, Verified, history_entry, item
from memagent.prompts.quoting import quoted
from memagent.records import Granularity, MemoryUnit, Query, Retrieval, as_utc, to_micros
from memagent.retrievers import make
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from memagent.bank.port import Edges
    from memagent.records import Vector
    from memagent.retrievers.port import Retriever


def chosen_retriever(core: Core, retriever: Retriever | str | None) -> Retriever:
    """The retriever named or given, or the memory's own."""
    wanted = core.retriever if retriever is None else retriever
    if isinstance(wanted, str):
        return make(wanted)
    if isinstance(wanted, type) or not all(hasattr(wanted, part) for part in ("name", "uses_vector", "retrieve")):
        raise UnknownName(f"{wanted!r} is not a retriever", hint="pass a name, or an object made of its class")
    return wanted


def whole(value: object, what: str) -> int:
    """``value`` if it is a whole number of at least 1; raises InvalidInput."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidInput(f"{what} is {value!r}", hint=f"{what} is a whole number, at least 1")
    return value


def query_text(query: object) -> str:
    """A query that can be searched for; raises InvalidInput."""
    if not isinstance(query, str) or not query.strip():
        raise InvalidInput(
            f"the query is {'empty' if isinstance(query, str) else type(query).__name__}", hint="pass a text"
        )
    try:
        query.encode()
    except UnicodeEncodeError:
        raise InvalidInput("the query holds a lone surrogate", hint="decode it properly first") from None
    return query


class Found(NamedTuple):
    """What a retriever has chosen, the units themselves, and how long their search took, in milliseconds."""

    retriever: str
    retrieval: Retrieval
    units: list[MemoryUnit]
    encode_ms: float
    total_ms: float


def find(
    core: Core,
    query: str,
    *,
    user_id: str,
    top_k: int,
    retriever: Retriever | str | None,
    granularity: Granularity | str | None,
    filters: Mapping[str, Any] | None,
    as_of: datetime | str | None,
    superseded: bool = False,
) -> Flow[Found]:
    """Check the arguments of a search, and search."""
    began = time.perf_counter()
    core.touch()
    checked_user_id(user_id)
    text, k = query_text(query), whole(top_k, "top_k")
    chosen = chosen_retriever(core, retriever)
    wanted = _usual(chosen) if granularity is None else Granularity.of(granularity)
    where = None if filters is None else compile_filter(filters)
    moment = None if as_of is None else to_micros(as_utc(as_of, "as_of"))
    vector: Vector | None = None
    encoding = time.perf_counter()
    if chosen.uses_vector:
        vector = yield partial(core.query_vector, text)
    encode_ms = (time.perf_counter() - encoding) * 1000
    related: Mapping[str, Sequence[tuple[str, float]]] = {}
    if getattr(chosen, "uses_related_words", False):
        related = yield partial(core.related_words, text)
    asked = Query(text=text, vector=vector, granularity=wanted, related=related)

    def retrieve() -> tuple[Retrieval, list[MemoryUnit]]:
        with core.banks.lease(user_id) as bank, bank.view(where=where, as_of=moment, superseded=superseded) as view:
            retrieval = chosen.retrieve(asked, view, k)
            return retrieval, view.units([hit.key for hit in retrieval.hits])

    retrieval, units = yield retrieve
    return Found(chosen.name, retrieval, units, encode_ms, (time.perf_counter() - began) * 1000)


def _usual(retriever: Retriever) -> Granularity:
    """Turns; or what the retriever ranks, where that is one granularity and not turns."""
    ranked: frozenset[Granularity] = getattr(retriever, "granularities", frozenset({Granularity.TURN}))
    return next(iter(ranked)) if len(ranked) == 1 else Granularity.TURN


def search(core: Core, query: str, *, max_tokens: int | None, explain: bool, **options: Any) -> Flow[SearchReply]:
    """The memories that answer a query; ``options`` are those of :func:`find`."""
    budget = None if max_tokens is None else whole(max_tokens, "max_tokens")
    found = yield from find(core, query, **options)
    hits = found.retrieval.hits
    results = [item(unit, hit, explain=explain) for unit, hit in zip(found.units, hits, strict=True)]
    if budget is not None:
        results = yield partial(within_budget, core, results, budget)
    reply = SearchReply(results=results)
    if explain:
        encode_ms, total_ms = found.encode_ms, found.total_ms
        timings = {"encode_ms": encode_ms, "search_ms": total_ms - encode_ms, "total_ms": total_ms}
        reply["trace"] = {"retriever": found.retriever, **found.retrieval.trace, "timings": timings}
    return reply


def within_budget(core: Core, results: Sequence[Item], budget: int) -> list[Item]:
    """The best results whose texts together have at most ``budget`` tokens; one that does not fit is passed over."""
    kept: list[Item] = []
    for result in results:
        cost = core.encoder.count_tokens(result["memory"])
        if cost <= budget:
            budget -= cost
            kept.append(result)
    return kept


def context(core: Core, query: str, *, max_tokens: int, **options: Any) -> Flow[str]:
    """A block of text for a prompt: the memories that answer the query, in the order they were said.

    At most ``max_tokens`` tokens, as the encoder counts them.
    """
    budget = whole(max_tokens, "max_tokens")
    found = yield from find(core, query, **options)
    block: str = yield partial(_block, core, found.units, budget)
    return block


def _block(core: Core, units: Sequence[MemoryUnit], budget: int) -> str:
    lines: dict[tuple[datetime, int], str] = {}
    used = core.encoder.count_tokens(_HEAD) + core.encoder.count_tokens(_TAIL)
    for unit in units:
        line = f"[{unit.event_at.date().isoformat()}]\n{quoted(unit.text)}"
        cost = core.encoder.count_tokens(line) + 1
        if used + cost <= budget:
            used += cost
            lines[unit.event_at, unit.key] = line
    if not lines:
        return ""
    # What was said at the same moment stays in the order in which it was stored.
    return "\n".join([_HEAD, *(lines[place] for place in sorted(lines)), _TAIL])


_HEAD = "<memories>"
_TAIL = "</memories>"


@contextmanager
def memory_of(core: Core, memory_id: str, user_id: str | None) -> Iterator[MemoryBank]:
    """The bank that holds a memory; raises UnknownMemory, also if it is another user's than the one named."""
    owner = owner_of_memory(memory_id)
    if user_id is not None:
        checked_user_id(user_id)
    with core.banks.lease_owner(owner) as bank:
        if user_id not in (None, bank.store.user_id):
            raise no_memory(memory_id)
        yield bank


def no_memory(memory_id: str) -> UnknownMemory:
    """The error for an id that names no memory."""
    return UnknownMemory(f"no memory has the id {memory_id[:100]!r}", hint="it may have been deleted; see history()")


def get(core: Core, memory_id: str, *, user_id: str | None) -> Flow[Item]:
    """One memory by its id."""

    def work() -> Item:
        with memory_of(core, memory_id, user_id) as bank, bank.store.read() as transaction:
            unit = transaction.find(memory_id)
            if unit is None:
                raise no_memory(memory_id)
            return item(unit)

    found: Item = yield work
    return found


def get_all(
    core: Core,
    *,
    user_id: str,
    granularity: Granularity | str,
    filters: Mapping[str, Any] | None,
    top_k: int | None,
    as_of: datetime | str | None,
    superseded: bool = False,
) -> Flow[ListReply]:
    """A user's memories in the order they were stored."""
    checked_user_id(user_id)
    wanted = Granularity.of(granularity)
    where = None if filters is None else compile_filter(filters)
    moment = None if as_of is None else to_micros(as_utc(as_of, "as_of"))
    limit = None if top_k is None else whole(top_k, "top_k")

    def work() -> ListReply:
        with core.banks.lease(user_id) as bank, bank.view(where=where, as_of=moment, superseded=superseded) as view:
            keys = view.columns(wanted).keys
            units = view.units(keys[:limit].tolist())
            return ListReply(results=[item(unit) for unit in units], total=len(keys))

    found: ListReply = yield work
    return found


def history(core: Core, memory_id: str, *, user_id: str | None) -> Flow[list[HistoryEntry]]:
    """What happened to one memory, oldest first; also after it was deleted (then without texts)."""

    def work() -> list[HistoryEntry]:
        with memory_of(core, memory_id, user_id) as bank, bank.store.read() as transaction:
            changes = transaction.history(memory_id)
            if not changes:
                raise no_memory(memory_id)
            unit = transaction.find(memory_id)
            return [history_entry(change, unit) for change in changes]

    found: list[HistoryEntry] = yield work
    return found


def stats(core: Core, *, user_id: str | None) -> Flow[dict[str, Any]]:
    """Counts of one user's memories, or of the whole store."""
    if user_id is not None:
        checked_user_id(user_id)

    def work() -> dict[str, Any]:
        if user_id is None:
            return {"users": sum(1 for _ in core.store.owners()), "open_users": len(core.banks)}
        with core.banks.lease(user_id) as bank, bank.store.read() as transaction:
            counts: dict[str, Any] = {"user_id": user_id, **transaction.counts()}
            encoder = bank.store.encoder()
            return {**counts, "encoder": encoder[0] if encoder else None}

    found: dict[str, Any] = yield work
    return found


def users(core: Core) -> Flow[list[str]]:
    """The ids of all users, sorted."""
    found: list[str] = yield lambda: sorted(core.store.users())
    return found


def verify(core: Core, *, user_id: str | None) -> Flow[Verified]:
    """Check files and indexes of one user, or of all; problems are reported, not raised."""

    def check_one(name: str) -> Verified:
        try:
            with core.banks.lease(name) as bank:
                problems = _problems(core, bank)
        except StoreError as error:
            problems = [str(error)]
        return Verified(ok=not problems, users=1, problems={name: problems} if problems else {})

    def check_all() -> Verified:
        problems: dict[str, list[str]] = {}
        count = 0
        for owner in core.store.owners():
            count += 1
            try:
                with core.banks.lease_owner(owner) as bank:
                    if found := _problems(core, bank):
                        problems[bank.store.user_id] = found
            except NotFound:
                count -= 1  # forgotten meanwhile
            except StoreError as error:
                problems[f"file {owner}"] = [str(error)]
        return Verified(ok=not problems, users=count, problems=problems)

    report: Verified = yield check_all if user_id is None else partial(check_one, checked_user_id(user_id))
    return report


def _problems(core: Core, bank: MemoryBank) -> list[str]:
    """What is wrong with a user's file, or with the open indexes derived from it."""
    if found := bank.store.check():
        return found
    if bank.store.encoder() is None:  # nothing was ever stored, so there is nothing to index
        return []
    if core.has_encoder:  # looking at files is no reason to load one
        bank.check_encoder()
    problems = []
    with bank.store.read() as transaction:
        bank.refresh(transaction)
        fresh = MemoryBank(bank.store, lambda: bank.space)
        fresh.refresh(transaction)
        same_graph = _same(bank.edges(transaction), fresh.edges(transaction))
    for granularity, shelf in fresh.shelves.items():
        here, there = bank.shelves[granularity], shelf
        if any(a.tolist() != b.tolist() for a, b in zip(here.columns(), there.columns(), strict=True)):
            problems.append(f"the open index of {granularity} units differs from the file")
        elif (here.current(None) != there.current(None)).any():
            problems.append(f"the open index of {granularity} units does not know which of them hold")
        elif not (here.index.matrix == there.index.matrix).all():
            problems.append(f"the open vectors of {granularity} units differ from the file")
    if not same_graph:
        problems.append("the open association graph differs from the file")
    return problems


def _same(one: Edges | None, other: Edges | None) -> bool:
    if one is None or other is None:
        return one is other
    arrays = zip(one[:2], other[:2], strict=True)
    return one.made_with == other.made_with and all(a.tolist() == b.tolist() for a, b in arrays)
