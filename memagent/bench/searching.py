"""How long a search takes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from memagent.bench.encoder import LiveEncoder
from memagent.bench.figures import Figure, latency
from memagent.bench.measure import Task, compared

if TYPE_CHECKING:
    from memagent.bench.workshop import Workshop
    from memagent.encoders.port import Encoder
    from memagent.memory import Memory
    from memagent.records import Vectors

RETRIEVERS = ("dense", "bm25", "hybrid")
TOP_K = 5
_EXACT = "NumPy: exact search of the same vectors"


def measure_search(workshop: Workshop, encoder: Encoder) -> Iterator[Figure]:
    """Searches of users of each size, with and without encoding the query; five results."""
    for units in workshop.settings.units:
        user_id = workshop.user(units)
        workshop.tell(f"searching {units:,} turns")
        yield from _without_encoding(workshop, user_id, units)
        yield from _with_encoding(workshop, encoder, user_id, units)


def _without_encoding(workshop: Workshop, user_id: str, units: int) -> Iterator[Figure]:
    questions = workshop.questions(100)
    queries = cycle([workshop.encoder.encode_queries([text])[0] for text in questions])
    matrix = workshop.vectors(user_id)
    with workshop.opened() as memory:
        tasks = {name: _search(memory, user_id, questions, name) for name in RETRIEVERS}
        tasks["exact"] = lambda: exact_search(matrix, next(queries), TOP_K)
        times = compared(tasks, workshop.settings.calls)
    for name in RETRIEVERS:
        yield latency("search", name, times[name], units=units, against=_EXACT, other=times["exact"])


def _with_encoding(workshop: Workshop, encoder: Encoder, user_id: str, units: int) -> Iterator[Figure]:
    questions = workshop.questions(100)
    texts = cycle(questions)
    live = LiveEncoder(encoder, seed=workshop.settings.seed)
    with workshop.opened(encoder=live) as memory:
        tasks = {name: _search(memory, user_id, questions, name) for name in ("dense", "hybrid")}
        tasks["encoding"] = lambda: live.encode_queries([next(texts)])
        times = compared(tasks, workshop.settings.calls)
    for name in ("dense", "hybrid"):
        yield latency(
            "search",
            f"{name}, encoding included",
            times[name],
            units=units,
            against="encoding the query alone",
            other=times["encoding"],
        )


def _search(memory: Memory, user_id: str, questions: list[str], retriever: str) -> Task:
    texts = cycle(questions)
    return lambda: memory.search(next(texts), user_id=user_id, top_k=TOP_K, retriever=retriever)


def exact_search(matrix: Vectors, query: Vectors, k: int) -> list[int]:
    """Rows of the ``k`` highest inner products, best first."""
    scores = matrix @ query
    best = np.argpartition(-scores, min(k, len(scores) - 1))[:k]
    return [int(row) for row in best[np.argsort(-scores[best])]]
