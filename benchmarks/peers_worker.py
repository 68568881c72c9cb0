"""One memory system in a process of its own, driven over pipes: a JSON line in, a JSON line out.

against_peers.py starts a worker for each system, in the peers' environment, and lets one work at a time. The first line
out says that the system is ready and whether it is ``durable``. Then:

- ``{"do": "add_all", "user": ..., "texts": [...]}``: store many texts; ``{"seconds": ...}``.
- ``{"do": "add", "calls": [[user, text], ...]}``: single additions; ``{"seconds": [...]}``, one of each.
- ``{"do": "search", "calls": [[user, query], ...]}``: searches; ``{"seconds": [...], "counts": [...]}``, a count the
  number of results.

A worker ends when its standard input does.

    python benchmarks/peers_worker.py SYSTEM FOLDER
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, TextIO

from memagent import Memory
from memagent.bench.measure import timed
from memagent.encoders import load_encoder
from memagent.encoders.packaged import packaged_folder

_TOP_K = 5
_MODEL = str(packaged_folder())
_IN_SESSION = 10


class System(Protocol):
    """One memory system; a memory is one text of one user."""

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
    """memagent as it comes, in files, but for what is passed: hybrid, the encoder in float32."""

    durable = True

    def __init__(
        self, folder: Path, *, retriever: str = "hybrid", precision: Literal["float32", "int8"] = "float32"
    ) -> None:
        encoder = load_encoder(precision=precision)
        self._memory = Memory(folder, encoder=encoder, retriever=retriever, background=False)

    def add_all(self, user: str, texts: list[str]) -> None:
        messages = [{"role": "user", "content": text} for text in texts]
        starts = range(0, len(messages), _IN_SESSION)
        self._memory.add_many([{"messages": messages[start : start + _IN_SESSION]} for start in starts], user_id=user)

    def add(self, user: str, text: str) -> None:
        self._memory.add([{"role": "user", "content": text}], user_id=user, session_id="now")

    def search(self, user: str, query: str) -> int:
        return len(self._memory.search(query, user_id=user, top_k=_TOP_K)["results"])

    def close(self) -> None:
        self._memory.close()


class _Mem0:
    """mem0 with its FAISS store and the same model; ``infer=False`` stores texts as they are, without a model's call.

    It has no bulk addition. Its optional spaCy step is not installed, which makes it faster.
    """

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

    durable = False

    def __init__(self) -> None:
        from langgraph.store.memory import InMemoryStore

        encode = _sentence_transformer()
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

    durable = False

    def __init__(self) -> None:
        self._encode = _sentence_transformer()
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


def _sentence_transformer() -> Callable[[list[str]], Any]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(_MODEL, local_files_only=True)
    return partial(model.encode, show_progress_bar=False)


SYSTEMS: dict[str, Callable[[Path], System]] = {
    "memagent": _Memagent,
    "memagent, int8": partial(_Memagent, precision="int8"),
    "memagent, dense": partial(_Memagent, retriever="dense"),
    "mem0": _Mem0,
    "LangGraph InMemoryStore": lambda _: _LangGraph(),
    "SentenceTransformer + FAISS": lambda _: _Bare(),
}


def main() -> None:
    name, folder = sys.argv[1:]
    replies = _private_stdout()
    system = SYSTEMS[name](Path(folder))
    warm_up(system)
    _say(replies, {"durable": system.durable})
    for line in sys.stdin:
        _say(replies, answer(system, json.loads(line)))
    system.close()


def _private_stdout() -> TextIO:
    """The pipe to the coordinator; whatever a library prints goes to stderr from now on."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _say(replies: TextIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


def warm_up(system: System) -> None:
    """Have everything loaded by a user who is not measured."""
    system.add_all("warm-up", ["I moved to Lisbon in May.", "My brother lives in Porto."])
    system.add("warm-up", "I like green tea.")
    system.search("warm-up", "Where does she live?")


def answer(system: System, work: dict[str, Any]) -> dict[str, Any]:
    """Do what a line asks for, timing each call."""
    gc.collect()
    gc.disable()
    try:
        if work["do"] == "add_all":
            return {"seconds": timed(partial(system.add_all, work["user"], work["texts"]))}
        if work["do"] == "add":
            return {"seconds": [timed(partial(system.add, user, text)) for user, text in work["calls"]]}
        counts: list[int] = []
        seconds = [
            timed(lambda user=user, query=query: counts.append(system.search(user, query)))  # type: ignore[misc]
            for user, query in work["calls"]
        ]
        return {"seconds": seconds, "counts": counts}
    finally:
        gc.enable()


if __name__ == "__main__":
    main()
