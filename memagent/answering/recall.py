"""Looks memories up for a model: units with their places, where ``Memory.search`` gives replies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memagent.answering.values import Evidence
from memagent.bank.filters import compile_filter
from memagent.errors import InvalidInput, UnknownUser
from memagent.memory.asynchronous import AsyncMemory
from memagent.memory.reading import chosen_retriever, find
from memagent.records import Granularity, as_utc
from memagent.stores.sqlite import checked_user_id

if TYPE_CHECKING:
    from memagent.memory import Memory
    from memagent.memory.flow import Flow
    from memagent.memory.reading import Found
    from memagent.retrievers.port import Retriever


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be found, as in :meth:`Memory.search <memagent.Memory.search>`."""

    question: str
    user_id: str
    top_k: int = 10
    retriever: Retriever | str | None = None
    granularity: Granularity | str = "turn"
    filters: Mapping[str, Any] | None = None
    as_of: datetime | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """The memories found, best first; ``search_ms`` without the encoding of the question.

    ``known_user`` is False if nothing is stored for the user; then nothing was searched.
    """

    evidence: tuple[Evidence, ...] = ()
    known_user: bool = True
    retriever: str = ""
    search_ms: float = 0.0
    encode_ms: float = 0.0
    trace: Mapping[str, Any]


def check_wanted(memory: Memory | AsyncMemory, wanted: Wanted) -> None:
    """Raise what :func:`recall` raises for its arguments, without searching: before a model says what to search for."""
    _not_awaited(memory)
    checked_user_id(wanted.user_id)
    chosen_retriever(memory._core, wanted.retriever)
    Granularity.of(wanted.granularity)
    if wanted.filters is not None:
        compile_filter(wanted.filters)
    if wanted.as_of is not None:
        as_utc(wanted.as_of, "as_of")


def recall(memory: Memory | AsyncMemory, wanted: Wanted) -> Recalled:
    """The memories; raises what a search raises, but for an unknown user."""
    try:
        return _recalled(_not_awaited(memory)._run(_flow(memory, wanted)))
    except UnknownUser:
        return Recalled(known_user=False, trace={})


async def arecall(memory: Memory | AsyncMemory, wanted: Wanted) -> Recalled:
    """As :func:`recall`, for an event loop; of a Memory in a thread."""
    flow = _flow(memory, wanted)
    try:
        if isinstance(memory, AsyncMemory):
            return _recalled(await memory._run(flow))
        return _recalled(await asyncio.to_thread(memory._run, flow))
    except UnknownUser:
        return Recalled(known_user=False, trace={})


def _not_awaited(memory: Memory | AsyncMemory) -> Memory:
    if isinstance(memory, AsyncMemory):
        raise InvalidInput(
            "an AsyncMemory is awaited", hint="pass a Memory; an Answerer has aanswer and astream for it"
        )
    return memory


def _flow(memory: Memory | AsyncMemory, wanted: Wanted) -> Flow[Found]:
    return find(
        memory._core,
        wanted.question,
        user_id=wanted.user_id,
        top_k=wanted.top_k,
        retriever=wanted.retriever,
        granularity=wanted.granularity,
        filters=wanted.filters,
        as_of=wanted.as_of,
    )


def _recalled(found: Found) -> Recalled:
    hits = found.retrieval.hits
    return Recalled(
        evidence=tuple(Evidence.of_unit(unit, hit.score) for unit, hit in zip(found.units, hits, strict=True)),
        retriever=found.retriever,
        search_ms=found.total_ms - found.encode_ms,
        encode_ms=found.encode_ms,
        trace=found.retrieval.trace,
    )
