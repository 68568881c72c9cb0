"""Adds and searches the same memories with one system after the other.

against_peers.py runs it in the peers' environment. Takes the work as one JSON argument (``memories``, ``users``,
``searches``, ``adds``, ``folder``) and writes a line of JSON for each system: ``bulk_add`` in memories a second,
``single_add`` and ``search`` in milliseconds (medians), ``results`` the mean number of results of a search for five
and ``least`` the lowest.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any, Protocol

from memagent import Memory
from memagent.bench.texts import Grammar
from memagent.encoders.packaged import packaged_folder

_TOP_K = 5
_MODEL = str(packaged_folder())
_IN_SESSION = 10


class System(Protocol):
    """One memory system; a memory is one text of one user."""

    name: str
    durable: bool

    def add_all(self, texts: dict[str, list[str]]) -> None:
        """Store the texts of each user, in bulk where there is a way to."""

    def add(self, user: str, text: str) -> None:
        """Store one text."""

    def search(self, user: str, query: str) -> int:
        """Search for five memories; how many came back."""

    def close(self) -> None:
        """Let go of what is held."""


class _Memagent:
    """memagent as it comes, in files; ``retriever`` None is its default, hybrid."""

    durable = True

    def __init__(self, folder: Path, retriever: str | None = None) -> None:
        self.name = f"memagent, {retriever}" if retriever else "memagent"
        self._memory = Memory(folder, background=False)
        self._retriever = retriever

    def add_all(self, texts: dict[str, list[str]]) -> None:
        for user, own in texts.items():
            messages = [{"role": "user", "content": text} for text in own]
            starts = range(0, len(messages), _IN_SESSION)
            self._memory.add_many(
                [{"messages": messages[start : start + _IN_SESSION]} for start in starts], user_id=user
            )

    def add(self, user: str, text: str) -> None:
        self._memory.add([{"role": "user", "content": text}], user_id=user, session_id="now")

    def search(self, user: str, query: str) -> int:
        return len(self._memory.search(query, user_id=user, top_k=_TOP_K, retriever=self._retriever)["results"])

    def close(self) -> None:
        self._memory.close()


class _Mem0:
    """mem0 with its FAISS store and the same model; ``infer=False`` stores texts as they are, without a model's call.

    It has no bulk addition. Its optional spaCy step is not installed, which makes it faster.
    """

    name = "mem0"
    durable = True

    def __init__(self, folder: Path) -> None:
        # Imported by name: type checkers do not find it in the project's own environment.
        mem0 = import_module("mem0")
        store = {"collection_name": "memories", "path": str(folder / "faiss" / "store"), "embedding_model_dims": 384}
        self._memory = mem0.Memory.from_config(
            {
                "vector_store": {"provider": "faiss", "config": store},
                "embedder": {"provider": "huggingface", "config": {"model": _MODEL, "embedding_dims": 384}},
                # Only named, never called: its constructor wants one.
                "llm": {"provider": "openai", "config": {"api_key": "unused", "model": "unused"}},
                "history_db_path": str(folder / "history.db"),
            }
        )

    def add_all(self, texts: dict[str, list[str]]) -> None:
        for user, own in texts.items():
            for text in own:
                self.add(user, text)

    def add(self, user: str, text: str) -> None:
        self._memory.add([{"role": "user", "content": text}], user_id=user, infer=False)

    def search(self, user: str, query: str) -> int:
        return len(self._memory.search(query, filters={"user_id": user}, top_k=_TOP_K)["results"])

    def close(self) -> None:
        self._memory.close()


class _LangGraph:
    """LangGraph's InMemoryStore, a namespace for each user, embedding with SentenceTransformer; nothing is on disk."""

    name = "LangGraph InMemoryStore"
    durable = False

    def __init__(self, encode: Callable[[list[str]], Any]) -> None:
        from langgraph.store.memory import InMemoryStore

        self._store = InMemoryStore(
            index={"dims": 384, "embed": lambda texts: encode(list(texts)).tolist(), "fields": ["text"]}
        )
        self._next = 0

    def _put(self, user: str, text: str) -> Any:
        from langgraph.store.base import PutOp

        self._next += 1
        return PutOp(namespace=(user,), key=str(self._next), value={"text": text})

    def add_all(self, texts: dict[str, list[str]]) -> None:
        for user, own in texts.items():
            self._store.batch([self._put(user, text) for text in own])

    def add(self, user: str, text: str) -> None:
        self._store.batch([self._put(user, text)])

    def search(self, user: str, query: str) -> int:
        return len(self._store.search((user,), query=query, limit=_TOP_K))

    def close(self) -> None:
        """Nothing is held."""


class _Bare:
    """The floor: SentenceTransformer and one FAISS index for each user, texts in lists, nothing on disk."""

    name = "SentenceTransformer + FAISS"
    durable = False

    def __init__(self, encode: Callable[[list[str]], Any]) -> None:
        self._encode = encode
        self._users: dict[str, tuple[Any, list[str]]] = {}

    def _user(self, user: str) -> tuple[Any, list[str]]:
        import faiss

        return self._users.setdefault(user, (faiss.IndexFlatIP(384), []))

    def add_all(self, texts: dict[str, list[str]]) -> None:
        for user, own in texts.items():
            index, known = self._user(user)
            index.add(self._encode(own))
            known += own

    def add(self, user: str, text: str) -> None:
        self.add_all({user: [text]})

    def search(self, user: str, query: str) -> int:
        index, known = self._users[user]
        _, places = index.search(self._encode([query]), _TOP_K)
        return len([known[place] for place in places[0] if place >= 0])

    def close(self) -> None:
        """Nothing is held."""


def systems(folder: Path) -> Iterator[System]:
    """Every system, made when its turn comes."""
    yield _Memagent(folder / "memagent")
    yield _Memagent(folder / "memagent-dense", "dense")
    yield _Mem0(folder / "mem0")
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(_MODEL, local_files_only=True)

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, show_progress_bar=False)

    yield _LangGraph(encode)
    yield _Bare(encode)


def main() -> None:
    work = json.loads(sys.argv[1])
    grammar = Grammar()
    names = [f"user-{number}" for number in range(work["users"])]
    shares = {name: [_memory(grammar) for _ in range(work["memories"] // work["users"])] for name in names}
    queries = [(names[place % len(names)], grammar.question()) for place in range(work["searches"])]
    singles = [(names[place % len(names)], _memory(grammar)) for place in range(work["adds"])]
    for system in systems(Path(work["folder"])):
        print(json.dumps(measured(system, shares, queries, singles)), flush=True)
        system.close()


def _memory(grammar: Grammar) -> str:
    return " ".join(grammar.turn())


def measured(
    system: System,
    shares: dict[str, list[str]],
    queries: Sequence[tuple[str, str]],
    singles: Sequence[tuple[str, str]],
) -> dict[str, Any]:
    """All figures of one system; its models are loaded by a user who is not measured."""
    system.add_all({"warm-up": ["I moved to Lisbon in May.", "My brother lives in Porto."]})
    system.add("warm-up", "I like green tea.")
    system.search("warm-up", "Where does she live?")
    begun = time.perf_counter()
    system.add_all(shares)
    bulk = time.perf_counter() - begun
    adds = [_timed(lambda: system.add(user, text)) for user, text in singles]  # noqa: B023
    counts: list[int] = []
    searches = [_timed(lambda: counts.append(system.search(user, query))) for user, query in queries]  # noqa: B023
    return {
        "system": system.name,
        "durable": system.durable,
        "bulk_add": sum(map(len, shares.values())) / bulk,
        "single_add": median(adds),
        "search": median(searches),
        "search_p95": quantiles(searches, n=20)[-1],
        "results": mean(counts),
        "least": min(counts),
    }


def _timed(task: Callable[[], object]) -> float:
    begun = time.perf_counter()
    task()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main()
