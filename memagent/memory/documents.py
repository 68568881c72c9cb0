"""Documents: values under keys, beside what was said.

A document has an address (a path and a key) and a value (JSON). It is kept as a unit of the granularity DOCUMENT, whose
id is made of the address, whose text is what the document is found by, and whose metadata hold address and value. One
that is found by several texts has a unit for each: the first is its head, the others are its parts. One that is found
by its address only has a head without text, words and vector. All of them belong to one session, which has no turns.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, NamedTuple

from memagent.records import Granularity, MemoryUnit
from memagent.stores.port import ReadTransaction, SessionState, UnitDraft, WriteTransaction

SESSION = "memagent:documents"
"""The id of the session that documents belong to; no conversation can have it."""


class Address(NamedTuple):
    """Where a document is: ``path`` is compared element by element, never as one text."""

    path: tuple[str, ...]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentDraft:
    """What is written of one document.

    ``value``: JSON. ``texts``: what it is found by, none of them blank; () keeps it out of searches by content.
    ``lifetime``: after how many microseconds without use it expires; None never.
    """

    address: Address
    value: str
    texts: tuple[str, ...] = ()
    lifetime: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One stored document. ``score`` orders the results of one search by content."""

    address: Address
    value: str
    created_at: datetime
    updated_at: datetime
    lifetime: int | None = None
    score: float | None = None


def name_of(address: Address) -> str:
    """What ids of a document's units are made of: 32 hexadecimal digits, different for different addresses."""
    return blake2b(json.dumps([*address.path, address.key]).encode(), digest_size=16).hexdigest()


def unit_id(owner: str, name: str, part: int = 0) -> str:
    """The id of a document's head, or of one of its parts."""
    return f"{owner}-{name}{f'P{part}' if part else ''}"


def head_metadata(draft: DocumentDraft, *, now: int) -> dict[str, Any]:
    """What is kept of a document beside its text; ``now`` in microseconds since 1970 UTC."""
    return {
        "document": name_of(draft.address),
        "path": list(draft.address.path),
        "key": draft.address.key,
        "value": draft.value,
        "parts": max(0, len(draft.texts) - 1),
        "lifetime": draft.lifetime,
        "expires_at": None if draft.lifetime is None else now + draft.lifetime,
    }


def is_head(metadata: Mapping[str, Any]) -> bool:
    """Whether these are the metadata of a document's head."""
    return "value" in metadata


def is_expired(metadata: Mapping[str, Any], now: int) -> bool:
    """Whether the document with this head has expired."""
    expires_at = metadata["expires_at"]
    return expires_at is not None and expires_at <= now


def part_ids(unit: MemoryUnit) -> list[str]:
    """The ids of the parts of the document with this head."""
    owner = unit.id.rpartition("-")[0]
    return [unit_id(owner, unit.metadata["document"], part) for part in range(1, unit.metadata["parts"] + 1)]


def is_embedded(unit: MemoryUnit | UnitDraft) -> bool:
    """Whether a unit has a vector. All have, except documents that are found by their address only."""
    return unit.granularity is not Granularity.DOCUMENT or bool(unit.text)


def session_number(transaction: WriteTransaction) -> int:
    """The number of the session that documents belong to.

    It is begun if there is none yet, closed and derived from the start: nothing is ever due for it.
    """
    state = transaction.session(SESSION)
    if state is not None:
        return state.number
    number = transaction.insert_session(SESSION, agent_id=None)
    transaction.save_session(
        SessionState(
            number=number,
            id=SESSION,
            unit=0,
            closed=True,
            derived=True,
            agent_id=None,
            turns=0,
            vector_sum=None,
        )
    )
    return number


def family(transaction: ReadTransaction, units: Iterable[MemoryUnit]) -> list[MemoryUnit]:
    """All units of the documents that these belong to."""
    found: dict[str, MemoryUnit] = {}
    for unit in units:
        head = transaction.find(unit_id(unit.id.rpartition("-")[0], unit.metadata["document"]))
        if head is not None and head.id not in found:
            parts = map(transaction.find, part_ids(head))
            found |= {member.id: member for member in (head, *parts) if member is not None}
    return list(found.values())


def document(unit: MemoryUnit, score: float | None = None) -> Document:
    """The document with this head."""
    metadata = unit.metadata
    return Document(
        address=Address(tuple(metadata["path"]), metadata["key"]),
        value=metadata["value"],
        created_at=unit.created_at,
        updated_at=unit.updated_at,
        lifetime=metadata["lifetime"],
        score=score,
    )


def is_sound(identifier: str, text: str, metadata: Mapping[str, Any]) -> bool:
    """Whether a unit that comes from outside can be one of a document."""
    name, _, part = identifier.rpartition("-")[2].partition("P")
    if metadata.get("document") != name:
        return False
    if part:
        return metadata.keys() == {"document", "part"} and metadata["part"] == int(part) > 0 and bool(text.strip())
    path, key, value = metadata.get("path"), metadata.get("key"), metadata.get("value")
    if not (isinstance(path, list) and all(isinstance(label, str) for label in path) and isinstance(key, str)):
        return False
    counts = (metadata.get("parts"), metadata.get("lifetime", 0), metadata.get("expires_at", 0))
    return (
        _is_object(value)
        and type(counts[0]) is int
        and all(number is None or type(number) is int for number in counts[1:])
        and (counts[1] is None) == (counts[2] is None)
        and name_of(Address(tuple(path), key)) == name
    )


def _is_object(value: object) -> bool:
    """Whether this is the text of a JSON object."""
    try:
        return isinstance(value, str) and isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False
