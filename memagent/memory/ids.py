"""Ids of memories, messages and sessions."""

from __future__ import annotations

from ulid import ULID

from memagent.errors import InvalidInput, UnknownMemory


def new_ulid() -> str:
    """26 characters that sort by the time they were made (https://github.com/ulid/spec)."""
    return str(ULID())


def memory_id(owner: str) -> str:
    """A new id of a memory in the file ``owner``: ``<sha256 of the user id>-<ulid>``."""
    return f"{owner}-{new_ulid()}"


def owner_of_memory(identifier: object) -> str:
    """Whose file a memory is in; raises UnknownMemory for what cannot be an id of ours."""
    if not isinstance(identifier, str):
        raise InvalidInput(f"a memory id is a text, not {type(identifier).__name__}", hint="pass the 'id' of a result")
    owner = identifier.rpartition("-")[0]
    if not owner or not identifier.isascii():
        raise UnknownMemory(f"no memory has the id {identifier[:100]!r}", hint="pass the 'id' of a result")
    return owner
