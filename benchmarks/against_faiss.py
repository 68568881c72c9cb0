"""The memory layer without encoding, beside bare FAISS on the same vectors, and the limits set for it.

A user's turns are stored and searched through ``Memory``; ``faiss.IndexFlatIP`` holds the same vectors and does nothing
else. Both are timed in turns, so that what else the machine does slows both. Then opening, adding, hybrid search,
many users and the import are measured as ``memagent bench`` measures them.

    python benchmarks/against_faiss.py                      10,000 turns of one user, 1,000 users (about 2 minutes)
    python benchmarks/against_faiss.py --users 10000        10,000 users with 100 turns each (4 GB of disk)
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path

import faiss
from limits import Check, show
from progress import clear, tell

from memagent.bench.encoder import PrecomputedEncoder
from memagent.bench.figures import BenchSettings, Figure
from memagent.bench.measure import Timing, compared
from memagent.bench.opening import measure_open, measure_users
from memagent.bench.searching import TOP_K
from memagent.bench.starting import measure_startup
from memagent.bench.storing import measure_add
from memagent.bench.workshop import Workshop

_ALLOWED_MS = 0.3  # beside 1.5 times bare FAISS: what reading the units and making the reply may take


def main() -> int:
    options = _arguments()
    settings = BenchSettings(units=(options.units,), users=(options.users,), calls=options.calls, opens=9)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stores-", dir=options.out) as root:
        workshop = Workshop(Path(root), settings, tell)
        checks = [
            *dense_and_hybrid(workshop, options.units),
            *opening(list(measure_open(workshop))),
            *adding(measure_add(workshop, PrecomputedEncoder())),
            *starting(measure_startup(workshop)),
            *many_users(measure_users(workshop)),
        ]
    clear()
    return 0 if show(f"{options.units:,} turns of one user; {options.users:,} users with 100 turns each", checks) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, default=10_000, help="turns of one user")
    parser.add_argument("--users", type=int, default=1_000, help="users with 100 turns each")
    parser.add_argument("--calls", type=int, default=300, help="timed calls of each kind")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="the stores are made in this folder")
    return parser.parse_args()


def dense_and_hybrid(workshop: Workshop, units: int) -> list[Check]:
    """Search, in turns with bare FAISS."""
    user_id = workshop.user(units)
    questions = workshop.questions(100)
    texts = cycle(questions)
    queries = cycle([workshop.encoder.encode_queries([text]) for text in questions])
    index = faiss.IndexFlatIP(workshop.encoder.dim)
    index.add(workshop.vectors(user_id))
    workshop.tell("searching")
    with workshop.opened() as memory:

        def search(retriever: str) -> object:
            return memory.search(next(texts), user_id=user_id, top_k=TOP_K, retriever=retriever)

        times = compared(
            {
                "bare": lambda: index.search(next(queries), TOP_K),
                "dense": lambda: search("dense"),
                "hybrid": lambda: search("hybrid"),
            },
            workshop.settings.calls,
        )
    bare = times["bare"].p50
    note = f"bare FAISS {bare:.2f} ms: {times['dense'].p50 / bare:.2f} times as long; p95 {times['dense'].p95:.2f}"
    return [
        Check(what="dense search", value=times["dense"].p50, limit=1.5 * bare + _ALLOWED_MS, unit="ms", note=note),
        Check(what="hybrid search", value=times["hybrid"].p50, limit=10, unit="ms", note=_p95(times["hybrid"])),
    ]


def _p95(timing: Timing) -> str:
    return f"p95 {timing.p95:.2f}"


def opening(figures: list[Figure]) -> list[Check]:
    """Opening a user, the first search included."""
    return [
        Check(what=figure.what, value=figure.value, limit=150, unit="ms", note=f"p95 {figure.p95:.0f} of {figure.n}")
        for figure in figures
        if figure.what.startswith("opening")
    ]


def adding(figures: Iterable[Figure]) -> list[Check]:
    """Adding one turn, durable when it returns."""
    (add,) = (figure for figure in figures if figure.what == "one turn")
    note = f"p95 {add.p95:.2f}; {add.against}: {add.other:.2f} ms"
    return [Check(what="add of one turn", value=add.value, limit=5, unit="ms", note=note)]


def many_users(figures: Iterable[Figure]) -> list[Check]:
    """Searching users that are not open, and the memory of having visited all."""
    cold, memory = figures
    growth = memory.ratio or 0.0
    return [
        Check(
            what="search of a user that is not open", value=cold.value, limit=20, unit="ms", note=f"p95 {cold.p95:.1f}"
        ),
        Check(
            what="memory after visiting all users",
            value=growth,
            limit=1.25,
            unit="x",
            note=f"{memory.value:.0f} MiB; {memory.against}: {memory.other:.0f} MiB",
        ),
    ]


def starting(figures: Iterable[Figure]) -> list[Check]:
    """The import, and a whole search from the command line."""
    named = {figure.what: figure for figure in figures}
    return [
        Check(what="import memagent", value=named["import memagent"].value, limit=150, unit="ms"),
        Check(
            what="memagent search, whole process",
            value=named["memagent search, whole process"].value,
            limit=1000,
            unit="ms",
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
