"""What mem0's calls mean here, and what its replies look like."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.errors import InvalidFilter, InvalidInput, InvalidTime

if TYPE_CHECKING:
    from memagent.memory.replies import HistoryEntry, Item

SCOPES = frozenset({"user_id", "agent_id", "run_id"})
_FIELDS = {"agent_id": "agent_id", "run_id": "session_id", "created_at": "created_at", "role": "role"}
"""mem0's names of what is no metadata, and ours."""
_UNKNOWN_FIELDS = ("actor_id", "hash", "updated_at", "id", "memory")
_LOGIC = ("AND", "OR", "NOT")
EXPIRES = "expiration_date"


class Scope(NamedTuple):
    """Whose memories a call means, and which of them."""

    user_id: str
    filters: dict[str, Any] | None


def scope_of(filters: object, default_user: str | None, *, show_expired: bool = True) -> Scope:
    """The user that mem0's filters name, and the rest of them in memagent's words.

    The user stands at the top, or in a list under ``AND``. Raises InvalidInput where none or several are named, and
    InvalidFilter for fields that mem0 has and memagent has not.
    """
    if filters is None:
        filters = {}
    if not isinstance(filters, Mapping):
        raise InvalidFilter(f"filters is {type(filters).__name__}", hint='for example filters={"user_id": "ann"}')
    users: list[object] = []
    rest = _without_user(filters, users)
    if len(set(map(str, users))) > 1:
        raise InvalidInput(f"several users are named: {users!r:.200}", hint="search one user's memory at a time")
    user = entity(users[0], "user_id") if users else default_user
    if user is None:
        raise InvalidInput(
            "no user is named: memagent keeps a file for each", hint='pass filters={"user_id": ...}, or default_user='
        )
    conditions = [translated(rest)] if rest else []
    if not show_expired:
        today = datetime.now(UTC).date().isoformat()
        conditions.append({"OR": [{"NOT": [{EXPIRES: "*"}]}, {EXPIRES: {"gte": today}}, {EXPIRES: None}]})
    return Scope(user, {"AND": conditions} if conditions else None)


def _without_user(filters: Mapping[str, Any], users: list[object]) -> dict[str, Any]:
    """The filters without the user; the user is put into ``users``."""
    rest: dict[str, Any] = {}
    for key, value in filters.items():
        if key == "user_id":
            users.append(value)
        elif key == "AND" and isinstance(value, list):
            parts = [_without_user(part, users) if isinstance(part, Mapping) else part for part in value]
            if kept := [part for part in parts if part]:
                rest[key] = kept
        else:
            rest[key] = value
    return rest


def translated(filters: Mapping[str, Any]) -> dict[str, Any]:
    """mem0's filters in memagent's words; raises InvalidFilter."""
    found: dict[str, Any] = {}
    for key, value in filters.items():
        if key in _LOGIC:
            parts = value if isinstance(value, list) else [value]
            found[key] = [translated(part) if isinstance(part, Mapping) else part for part in parts]
        elif key == "user_id":
            raise InvalidFilter("user_id stands inside OR or NOT", hint="name one user at the top of the filters")
        elif key in _UNKNOWN_FIELDS:
            raise InvalidFilter(f"{key!r} cannot be filtered by", hint="filter by metadata, agent_id, run_id or role")
        else:
            found[_FIELDS.get(key, f"metadata.{key}")] = value
    return found


def entity(value: object, what: str) -> str:
    """An id as mem0 takes it: a text or a number, without space in it; raises InvalidInput."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidInput(f"{what} is {value!r:.100}", hint=f"name one {what}, as a text")
    if not value.strip() or len(value.split()) > 1:
        raise InvalidInput(f"{what} {value!r:.100} is empty or has space in it", hint="use an id")
    if what == "user_id" and value.strip() == "*":
        raise InvalidInput('user_id "*" would mean everybody', hint="name one user; users() of the memory lists them")
    return value.strip()


def expiry(value: object) -> str | None:
    """A day as ``YYYY-MM-DD``, after which a memory is hidden; None for never. Raises InvalidTime."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise InvalidTime(f"{EXPIRES} {value!r:.100} is no day", hint="pass YYYY-MM-DD") from None


def as_given(messages: object) -> object:
    """Messages as memagent takes them; instructions to the model are left out, as mem0 does."""
    listed = [messages] if isinstance(messages, Mapping) else messages
    if not isinstance(listed, list):
        return messages
    return [m for m in listed if not (isinstance(m, Mapping) and m.get("role") == "system")]


def shown(item: Item) -> dict[str, Any]:
    """A memory as mem0 shows it, with memagent's own fields behind."""
    metadata = dict(item["metadata"])
    found: dict[str, Any] = {
        "id": item["id"],
        "memory": item["memory"],
        "hash": hashlib.md5(item["memory"].encode(), usedforsecurity=False).hexdigest(),
        "created_at": item["created_at"],
        "updated_at": item["updated_at"],
        "user_id": item["user_id"],
        "run_id": item["session_id"],
        "role": next(iter(item["roles"]), None),
    }
    found |= dict(_optional(item, metadata))
    found["metadata"] = metadata or None
    return found | {name: item[name] for name in ("event_at", "granularity", "source_ids")}


def _optional(item: Item, metadata: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if item["agent_id"] is not None:
        yield "agent_id", item["agent_id"]
    if EXPIRES in metadata:
        yield EXPIRES, metadata.pop(EXPIRES)
    for name in ("score", "score_details"):
        if name in item:
            yield name, item[name]


def shown_change(entry: HistoryEntry, place: int, created_at: str) -> dict[str, Any]:
    """A change as mem0's ``history`` shows it; its id is made of the memory's and its place."""
    return {
        "id": f"{entry['memory_id']}#{place}",
        "memory_id": entry["memory_id"],
        "old_memory": entry["old_memory"],
        "new_memory": entry["new_memory"],
        "event": entry["event"],
        "created_at": created_at,
        "updated_at": entry["at"],
        "is_deleted": entry["is_deleted"],
        "actor_id": None,
        "role": None,
    }
