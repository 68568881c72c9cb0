"""Adds and searches the same memories with each system, in one process.

The systems take turns: a user's memories each, ten single additions each, ten searches each, so that what else the
machine does slows all of them alike. against_peers.py runs it in the peers' environment.

Takes the work as one JSON argument (``memories``, ``users``, ``searches``, ``adds``, ``folder``) and writes a line of
JSON for each system: ``bulk_add`` in memories a second, ``single_add`` and ``search`` in milliseconds (medians),
``results`` the mean number of results of a search for five and ``least`` the lowest.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from statistics import mean
from typing import Any, Protocol

from memagent import Memory
from memagent.bench.measure import Task, compared, timed
from memagent.bench.texts import Grammar
from memagent.encoders.packaged import packaged_folder

_TOP_K = 5
_MODEL = str(packaged_folder())
_IN_SESSION = 10


class System(Protocol):
    """One memory system; a memory is one text of one user."""

    name: str
    durable: bool

    def add_all(self, user: str, texts: list[str]) -> None:
        """Store many texts, in bulk where there is a way to."""

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

    def add_all(self, user: str, texts: list[str]) -> None:
        messages = [{"role": "user", "content": text} for text in texts]
        starts = range(0, len(messages), _IN_SESSION)
        self._memory.add_many([{"messages": messages[start : start + _IN_SESSION]} for start in starts], user_id=user)

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

    def add_all(self, user: str, texts: list[str]) -> None:
        for text in texts:
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

    def add_all(self, user: str, texts: list[str]) -> None:
        self._store.batch([self._put(user, text) for text in texts])

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

    def add_all(self, user: str, texts: list[str]) -> None:
        index, known = self._user(user)
        index.add(self._encode(texts))
        known += texts

    def add(self, user: str, text: str) -> None:
        self.add_all(user, [text])

    def search(self, user: str, query: str) -> int:
        index, known = self._users[user]
        _, places = index.search(self._encode([query]), _TOP_K)
        return len([known[place] for place in places[0] if place >= 0])

    def close(self) -> None:
        """Nothing is held."""


def systems(folder: Path) -> list[System]:
    """Every system, with its models loaded by a user who is not measured."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(_MODEL, local_files_only=True)

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, show_progress_bar=False)

    made: list[System] = [
        _Memagent(folder / "memagent"),
        _Memagent(folder / "memagent-dense", "dense"),
        _Mem0(folder / "mem0"),
        _LangGraph(encode),
        _Bare(encode),
    ]
    for system in made:
        system.add_all("warm-up", ["I moved to Lisbon in May.", "My brother lives in Porto."])
        system.add("warm-up", "I like green tea.")
        system.search("warm-up", "Where does she live?")
    return made


def main() -> None:
    work = json.loads(sys.argv[1])
    grammar = Grammar()
    names = [f"user-{number}" for number in range(work["users"])]
    shares = {name: [_memory(grammar) for _ in range(work["memories"] // work["users"])] for name in names}
    made = systems(Path(work["folder"]))
    seconds = bulk_seconds(made, shares)
    adds = compared({system.name: _adding(system, names, Grammar(1)) for system in made}, work["adds"])
    counts: dict[str, list[int]] = {system.name: [] for system in made}
    searching = {system.name: _searching(system, names, Grammar(2), counts[system.name]) for system in made}
    searches = compared(searching, work["searches"])
    for system in made:
        name = system.name
        result = {
            "system": name,
            "durable": system.durable,
            "bulk_add": sum(map(len, shares.values())) / seconds[name],
            "single_add": adds[name].p50,
            "search": searches[name].p50,
            "search_p95": searches[name].p95,
            "results": mean(counts[name]),
            "least": min(counts[name]),
        }
        print(json.dumps(result), flush=True)
        system.close()


def _memory(grammar: Grammar) -> str:
    return " ".join(grammar.turn())


def bulk_seconds(made: Sequence[System], shares: dict[str, list[str]]) -> dict[str, float]:
    """What each system takes to store everything, user by user in turns."""
    seconds = {system.name: 0.0 for system in made}
    for number, (user, texts) in enumerate(shares.items(), start=1):
        for system in made:
            seconds[system.name] += timed(partial(system.add_all, user, texts))
        print(f"stored {number} of {len(shares)} users", file=sys.stderr, flush=True)
    return seconds


def _adding(system: System, users: Sequence[str], grammar: Grammar) -> Task:
    places = count()
    return lambda: system.add(users[next(places) % len(users)], _memory(grammar))


def _searching(system: System, users: Sequence[str], grammar: Grammar, counts: list[int]) -> Task:
    places = count()
    return lambda: counts.append(system.search(users[next(places) % len(users)], grammar.question()))


if __name__ == "__main__":
    main()
