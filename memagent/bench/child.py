"""What is measured in a process of its own: memory, and users that nobody has opened before.

Run as ``python -m memagent.bench.child``: takes a task as JSON on stdin, answers with JSON on stdout.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from memagent.bench.encoder import PrecomputedEncoder
from memagent.bench.measure import resident_bytes, timed
from memagent.errors import MemagentError
from memagent.memory import Memory
from memagent.stores.sqlite_user import owner_of


def in_child(task: str, **arguments: Any) -> dict[str, Any]:
    """Do a task of this module in a fresh Python process; raises MemagentError if that process fails."""
    done = subprocess.run(
        [sys.executable, "-m", "memagent.bench.child"],
        input=json.dumps({"task": task, "arguments": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise MemagentError(f"the process that measures {task!r} failed: {done.stderr.strip()[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def open_user(store: str, user_id: str, question: str, repeats: int, seed: int) -> dict[str, Any]:
    """Open a user ``repeats`` times with each retriever: seconds of the first search and of the next one.

    Memory is read after the first opening by each retriever. ``uncached`` are openings after the operating system was
    asked to drop the user's file from its cache (where it can be asked), ``read`` seconds of reading the file.
    """
    encoder = PrecomputedEncoder(seed=seed)
    encoder.prepare([question])
    file = _file_of(Path(store), user_id)
    _warm_up(encoder, question)
    base = resident_bytes()
    found: dict[str, Any] = {"base": base, "file": file.stat().st_size}
    found["read"] = [timed(file.read_bytes) for _ in range(repeats)]
    for retriever in ("dense", "hybrid"):
        first, steady = [], []
        for repeat in range(repeats):
            with Memory(store, encoder=encoder, background=False) as memory:
                first.append(timed(lambda: memory.search(question, user_id=user_id, retriever=retriever)))  # noqa: B023
                steady.append(timed(lambda: memory.search(question, user_id=user_id, retriever=retriever)))  # noqa: B023
                if not repeat:
                    found[f"{retriever}_memory"] = resident_bytes() - base
        found[retriever] = {"first": first, "steady": steady}
    found["uncached"] = []
    for _ in range(repeats if hasattr(os, "posix_fadvise") else 0):
        _drop_from_cache(file)
        with Memory(store, encoder=encoder, background=False) as memory:
            found["uncached"].append(timed(lambda: memory.search(question, user_id=user_id)))
    return found


def visit_users(
    store: str, users: Sequence[str], question: str, calls: int, open_users: int, seed: int
) -> dict[str, Any]:
    """Search users that are not open, in a random order: seconds of the first search of each and of a second one.

    At least ``calls`` searches; every user once if there are more than that. Memory is read when as many users were
    visited as may be open, and at the end.
    """
    encoder = PrecomputedEncoder(seed=seed)
    encoder.prepare([question])
    _warm_up(encoder, question)
    base = resident_bytes()
    order = list(users)
    random.Random(seed).shuffle(order)
    cold: list[float] = []
    warm: list[float] = []
    full = 0
    while len(cold) < calls:
        with Memory(store, encoder=encoder, background=False, max_open_users=open_users) as memory:
            for user_id in order:
                cold.append(timed(lambda: memory.search(question, user_id=user_id)))  # noqa: B023
                warm.append(timed(lambda: memory.search(question, user_id=user_id)))  # noqa: B023
                if not full and len(cold) >= min(open_users, len(order)):
                    full = resident_bytes() - base
            end = resident_bytes() - base
    return {"cold": cold, "warm": warm, "base": base, "full": full, "end": end}


def _warm_up(encoder: PrecomputedEncoder, question: str) -> None:
    """Import and run once what every search uses."""
    with Memory(":memory:", encoder=encoder, background=False) as memory:
        memory.add("I moved to Lisbon in May.", user_id="warm-up")
        memory.search(question, user_id="warm-up")


def _file_of(store: Path, user_id: str) -> Path:
    owner = owner_of(user_id)
    return next(store.glob(f"users/*/{owner}.db"))


def _drop_from_cache(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    """Do the task that stdin names."""
    asked = json.load(sys.stdin)
    tasks: dict[str, Callable[..., dict[str, Any]]] = {"open": open_user, "users": visit_users}
    work = tasks[asked["task"]]
    json.dump(work(**asked["arguments"]), sys.stdout)


if __name__ == "__main__":
    main()
