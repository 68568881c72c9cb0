"""What is stored, seen from outside, and places to store it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memagent import Memory
from memagent.stores.port import MemoryStore
from memagent.stores.sqlite import SQLiteStore
from memagent.testing import HashingEncoder

USER = "ann"


@contextmanager
def fast_directory() -> Iterator[Path]:
    """A directory in memory where there is one: for tests in which nothing depends on a real disk."""
    shared = Path("/dev/shm")
    directory = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() and os.access(shared, os.W_OK) else None))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def open_memory(root: Path, *, store: MemoryStore | None = None, timeout: float = 5.0) -> Memory:
    """A memory with a small encoder; its summaries are written when sessions are closed, not in the background."""
    return Memory(root, encoder=HashingEncoder(32), background=False, store=store or SQLiteStore(root, timeout=timeout))


def turns(memory: Memory, user_id: str = USER) -> dict[str, str]:
    """All turns by id; nothing for an unknown user."""
    if user_id not in memory.users():
        return {}
    return {unit["id"]: unit["memory"] for unit in memory.get_all(user_id=user_id, top_k=None)["results"]}


def checked_turns(root: Path, user_id: str = USER) -> dict[str, str]:
    """All turns as a new memory finds them, after checking that its files are sound."""
    with open_memory(root) as memory:
        report = memory.verify()
        assert report["ok"], report
        return turns(memory, user_id)
