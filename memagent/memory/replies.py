"""What the verbs answer: plain dicts with known keys, named after mem0's."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from memagent.memory.ingest import Stored
from memagent.records import Granularity, Hit, MemoryUnit, from_micros
from memagent.stores.port import SUPERSEDE, Change


class Item(TypedDict):
    """One memory. Times are ISO 8601 in UTC: ``event_at`` when it was said, ``created_at`` when it was stored.

    Facts have four more keys: since and until when they hold (None: not known, or they still do), the ids of the facts
    that they superseded, and the id of the one that superseded them.

    ``score`` (search only) orders one reply; ``score_details`` (with ``explain``) are its parts.
    """

    id: str
    memory: str
    user_id: str
    session_id: str
    agent_id: str | None
    granularity: str
    event_at: str
    created_at: str
    updated_at: str
    roles: list[str]
    source_ids: list[str]
    metadata: dict[str, Any]
    valid_from: NotRequired[str | None]
    valid_to: NotRequired[str | None]
    supersedes: NotRequired[list[str]]
    superseded_by: NotRequired[str | None]
    score: NotRequired[float]
    score_details: NotRequired[dict[str, float]]


class Event(TypedDict):
    """What a call did to one memory: ``event`` is ADD, UPDATE or DELETE."""

    id: str
    memory: str
    event: str
    session_id: str
    source_ids: list[str]


class Job(TypedDict):
    """Something that a language model has not written yet, and why: ``state`` is "failed", or "queued" to be retried.

    ``memory_id`` is the turn whose facts, or the session whose summary (``kind``) is meant.
    """

    user_id: str
    session_id: str
    memory_id: str
    kind: str
    state: str
    attempts: int
    reason: str


class Inference(TypedDict):
    """How far a language model is with what was added with ``infer=True``.

    ``queued``, ``running``, ``failed`` and ``done`` count jobs: one for the facts of each turn, one for the summary of
    each session; ``open`` are those of sessions that are not closed yet. ``ignored`` counts what the model answered and
    could not be used. ``problems``: jobs that failed, or will be tried again.
    """

    queued: int
    running: int
    failed: int
    done: int
    open: int
    ignored: int
    problems: list[Job]


class AddReply(TypedDict):
    """One entry for each turn that was added or completed; ``inference`` (with ``wait``) is how it ended."""

    results: list[Event]
    inference: NotRequired[Inference]


class SearchReply(TypedDict):
    """The memories found, best first; ``trace`` (with ``explain``) says why, with timings in milliseconds."""

    results: list[Item]
    trace: NotRequired[dict[str, Any]]


class ListReply(TypedDict):
    """Memories in the order they were stored; ``total`` counts all that match, also beyond ``top_k``."""

    results: list[Item]
    total: int


class ChangeReply(TypedDict):
    """The outcome of changing one memory."""

    id: str
    event: str
    message: str


class DeletedReply(TypedDict):
    """How many memories a call removed."""

    deleted: int
    message: str


class HistoryEntry(TypedDict):
    """One change of one memory. Texts are None once it was deleted.

    ``event`` is ADD, UPDATE, DELETE or, of a fact whose place another has taken, SUPERSEDE.
    """

    memory_id: str
    event: str
    old_memory: str | None
    new_memory: str | None
    at: str
    is_deleted: bool
    superseded_by: NotRequired[str | None]


class Erased(TypedDict):
    """What ``forget_user`` erased."""

    user_id: str
    units: int
    sessions: int
    messages: int
    cached_vectors: int


class Verified(TypedDict):
    """The outcome of ``verify``: ``problems`` by user id or, where that cannot be read, by file."""

    ok: bool
    users: int
    problems: dict[str, list[str]]


def item(unit: MemoryUnit, hit: Hit | None = None, *, explain: bool = False) -> Item:
    """A unit as callers see it."""
    reply = Item(
        id=unit.id,
        memory=unit.text,
        user_id=unit.user_id,
        session_id=unit.session_id,
        agent_id=unit.agent_id,
        granularity=str(unit.granularity),
        event_at=unit.event_at.isoformat(),
        created_at=unit.created_at.isoformat(),
        updated_at=unit.updated_at.isoformat(),
        roles=list(unit.roles),
        source_ids=list(unit.source_ids),
        metadata=dict(unit.metadata),
    )
    if unit.granularity is Granularity.FACT:
        reply["valid_from"] = None if unit.valid_from is None else unit.valid_from.isoformat()
        reply["valid_to"] = None if unit.valid_to is None else unit.valid_to.isoformat()
        reply["supersedes"] = list(unit.supersedes)
        reply["superseded_by"] = unit.superseded_by
    if hit is not None:
        reply["score"] = hit.score
        if explain:
            reply["score_details"] = dict(hit.parts)
    return reply


def event(stored: Stored) -> Event:
    """What became of one turn."""
    return Event(
        id=stored.id,
        memory=stored.text,
        event=stored.event,
        session_id=stored.session_id,
        source_ids=list(stored.source_ids),
    )


def history_entry(change: Change, unit: MemoryUnit | None = None) -> HistoryEntry:
    """One change as callers see it; ``unit`` is the memory as it is now."""
    entry = HistoryEntry(
        memory_id=change.unit_id,
        event=change.event,
        old_memory=change.old_text,
        new_memory=change.new_text,
        at=from_micros(change.at).isoformat(),
        is_deleted=change.event == "DELETE",
    )
    if change.event == SUPERSEDE and unit is not None:
        entry["superseded_by"] = unit.superseded_by
    return entry
