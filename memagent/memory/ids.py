"""Ids of memories, messages and sessions."""

from __future__ import annotations

import os
import time

from memagent.errors import InvalidInput, UnknownMemory


def new_ulid() -> str:
    """26 characters that sort by the millisecond they were made in (https://github.com/ulid/spec)."""
    from ulid import ULID

    # Not ULID(), which counts up within a millisecond: a parent and a child it has just forked would count alike,
    # and its lock may be held at the fork by a thread that the child does not have.
    return str(ULID((time.time_ns() // 1_000_000).to_bytes(6, "big") + os.urandom(10)))


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
