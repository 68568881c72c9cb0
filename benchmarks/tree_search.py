"""Does tree search keep a server busy? Many questions at once, against a server that takes a fixed time for each call.

    python benchmarks/tree_search.py [--questions 32] [--latency 0.1] [--iterations 16] [--out FILE]

The server is simulated: whatever is asked, and however much of it at once, each call takes ``--latency`` seconds. A
question's calls depend on one another, so no run can take less than its longest chain of calls; the limit is 1.3 times
that. A retriever that sleeps for ``--search`` seconds shows that searches do not hold up the other questions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from memagent.agents.reason_rag.search_settings import SearchSettings
from memagent.agents.reason_rag.searching import Document
from memagent.agents.reason_rag.tree import Case
from memagent.agents.reason_rag.tree_run import Searching, grow_trees
from memagent.evals.multihop.scripted import WorldModel
from memagent.evals.multihop.world import make_world
from memagent.llm import Model

if TYPE_CHECKING:
    from memagent.llm.reply import Raw
    from memagent.llm.request import Request

LIMIT = 1.3


class SlowWorld(WorldModel):
    """The scripted model of the made-up world, behind a server that takes its time; counts each question's calls."""

    def __init__(self, latency: float) -> None:
        super().__init__(detours=True)
        self.latency = latency
        self.calls: Counter[str] = Counter()

    async def asend(self, request: Request, timeout: float | None) -> Raw:
        """One call."""
        self.calls[request.prompt.user.partition("</question>")[0]] += 1
        await asyncio.sleep(self.latency)
        return self.send(request, timeout)


class Sleepy:
    """Finds the passage whose title is named in the query, after a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._documents = [
            Document(id=passage.id, title=passage.title, text=passage.text) for passage in make_world().passages
        ]

    def search(self, query: str, k: int) -> Sequence[Document]:
        """At most k passages."""
        time.sleep(self._seconds)
        return [document for document in self._documents if document.title in query][:k]


def measured(questions: int, latency: float, search: float, iterations: int) -> dict[str, float]:
    """What a run takes, and what its longest chain of calls takes at least."""
    server = SlowWorld(latency)
    model = Model(server, concurrency=questions)
    cases = [Case(id=one.id, question=one.text, answers=one.answers) for one in make_world().questions[:questions]]
    searching = Searching(
        policy=model,
        judge=model,
        searcher=Sleepy(search),
        settings=SearchSettings(iterations=iterations),
        concurrency=questions,
    )
    began = time.perf_counter()
    grow_trees(cases, searching)
    took = time.perf_counter() - began
    longest = max(server.calls.values())
    return {
        "questions": questions,
        "calls": sum(server.calls.values()),
        "longest_chain_calls": longest,
        "seconds": round(took, 3),
        "longest_chain_seconds": round(longest * latency, 3),
        "ratio": round(took / (longest * latency), 3),
    }


def main() -> int:
    """Measure and compare with the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds for each call")
    parser.add_argument("--search", type=float, default=0.0, help="seconds for each search")
    parser.add_argument("--iterations", type=int, default=16)
    parser.add_argument("--out", type=Path, help="a file for the figures, as JSON")
    given = parser.parse_args()
    found = measured(given.questions, given.latency, given.search, given.iterations)
    print(json.dumps(found, indent=1))
    if given.out:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    kept = found["ratio"] <= LIMIT
    print(f"{'kept' if kept else 'MISSED'}: {found['ratio']} times the longest chain, limit {LIMIT}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
