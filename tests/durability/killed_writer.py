"""Kills a writer again and again and looks at what it left; run as a program by test_killed_writers.py.

    python killed_writer.py DIRECTORY KILLS MOST SEED OUTCOME...

It is killed KILLS times; and, since where a kill falls is luck, more often until each OUTCOME ("add: nothing": the add
under way has stored nothing) was seen, but at most MOST times.
Each writer is a fork of this process, which itself never opens a file of the store and has no threads. A writer first
checks what the one before it has left; then it notes in a journal what it is about to do and, when the call has
returned, that it was done. Journals are written with one ``write`` a line and outlive the writer. Prints one line of
JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memagent import Memory
from memagent.granularity import derive
from memagent.lexical import analyze, detect_language
from memagent.retrievers import make
from memagent.testing import HashingEncoder

USER = "ann"
MOST_CALLS = 3  # acknowledged before a writer is killed, at most, and then
LONGEST_DELAY = 0.02  # seconds
LOOKED = b"L"
MANY = 40  # turns from which on more is deleted than added


class Model:
    """What must be stored: the texts of all turns by id, and what is known to be deleted."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.session: dict[str, str] = {}
        self.deleted: list[tuple[str, str]] = []
        self.acknowledged = 0

    def apply(self, entry: dict[str, Any]) -> None:
        """An acknowledged call."""
        self.acknowledged += 1
        if entry["op"] == "delete":
            self.deleted.append((entry["id"], self.texts.pop(entry["id"])))
        elif entry["op"] == "update":
            self.deleted.append(("", self.texts[entry["id"]]))
            self.texts[entry["id"]] = entry["text"]
        elif entry["op"] in ("add", "reply"):
            self.texts[entry["id"]] = entry["text"]
            self.session[entry["id"]] = entry["session"]


def open_memory(directory: str) -> Memory:
    return Memory(directory, encoder=HashingEncoder(64), background=False)


def new_text(rng: random.Random, name: str) -> str:
    size = rng.choice([3, 3, 10, 10, 40, 400, 4000])
    return " ".join([f"mark{name}x", *(f"w{rng.randrange(500)}" for _ in range(size))])


# the writer


def write(directory: str, journal: int, pipe: int, model: Model, seed: str) -> None:
    """Random calls on one user until killed; a dot in the pipe for each that returned, and one before the first."""
    rng = random.Random(seed)
    memory = open_memory(directory)
    for number in range(1_000_000):
        os.write(pipe, b".")
        entry = next_call(rng, model, f"{seed}n{number}".replace("-", "m"))
        note(journal, {"intent": entry})
        entry |= make_call(memory, entry)
        note(journal, {"done": entry})
        model.apply(entry)


def note(journal: int, record: dict[str, Any]) -> None:
    os.write(journal, json.dumps(record).encode() + b"\n")


def next_call(rng: random.Random, model: Model, name: str) -> dict[str, Any]:
    ids = sorted(model.texts)
    kinds = ["add", "add", "add", "reply", "update", "close", "delete", *(["delete"] * 5 if len(ids) > MANY else [])]
    kind = rng.choice(kinds) if len(ids) > 3 else "add"
    target = rng.choice(ids) if ids else ""
    text = new_text(rng, name)
    if kind == "add":
        session = rng.choice([f"s{name}", model.session.get(target, f"s{name}")])
        return {"op": "add", "text": text, "session": session}
    if kind == "reply":
        return {"op": "reply", "said": text, "session": model.session[target]}
    if kind == "close":
        return {"op": "close", "session": model.session[target]}
    return {"op": kind, "id": target, **({"text": text} if kind == "update" else {})}


def make_call(memory: Memory, entry: dict[str, Any]) -> dict[str, Any]:
    """Do it; what is known only afterwards."""
    if entry["op"] == "add":
        (result,) = memory.add(entry["text"], user_id=USER, session_id=entry["session"])["results"]
        return {"id": result["id"]}
    if entry["op"] == "reply":
        said = {"role": "assistant", "content": entry["said"]}
        (result,) = memory.add(said, user_id=USER, session_id=entry["session"])["results"]
        return {"id": result["id"], "text": result["memory"]}
    if entry["op"] == "update":
        memory.update(entry["id"], entry["text"], user_id=USER)
    elif entry["op"] == "delete":
        memory.delete(entry["id"], user_id=USER)
    else:
        memory.close_session(entry["session"], user_id=USER)
    return {}


# the look


def look(directory: str, model: Model, pending: dict[str, Any] | None, seed: str) -> dict[str, Any]:
    """Check all that was acknowledged, and what became of the call that was under way."""
    rng = random.Random(seed)
    memory = open_memory(directory)
    if not model.texts and not memory.users():
        return {"texts": {}, "session": {}, "outcome": "nothing"}  # killed before the very first call was done
    found = {unit["id"]: unit for unit in memory.get_all(user_id=USER, top_k=None)["results"]}
    outcome = settle(model, pending, {key: unit["memory"] for key, unit in found.items()})
    report = memory.verify()
    assert report["ok"], report
    assert {key: unit["memory"] for key, unit in found.items()} == model.texts
    for key, unit in found.items():
        model.session[key] = unit["session_id"]
    stats = memory.stats(user_id=USER)
    assert stats["turn_units"] == len(model.texts)
    assert stats["sessions"] == stats["session_units"] == len({unit["session_id"] for unit in found.values()})
    for key in rng.sample(sorted(model.texts), min(4, len(model.texts))):
        look_for(memory, model, key)
    for key, text in model.deleted[-3:]:
        mark = text.split()[0]
        results = memory.search(mark, user_id=USER, top_k=50, retriever="bm25")["results"]
        assert all(mark not in result["memory"].split() for result in results), (key, mark)
    memory.close()
    marks = [text.split()[0] for key, text in model.deleted if key]
    content = b"".join(path.read_bytes() for path in Path(directory).rglob("*") if path.is_file())
    left = [mark for mark in marks if mark.encode() in content]
    assert not left, f"deleted texts are still in the files: {left}"
    return {"texts": model.texts, "session": model.session, "outcome": outcome}


def look_for(memory: Memory, model: Model, key: str) -> None:
    """A turn is in every index. Its whole text is no query for BM25: long turns hold all its words but the mark."""
    text = model.texts[key]
    for query, retriever, top_k in [
        (text.split()[0], "bm25", 1),  # no other turn has its mark
        (text, "dense", 2),
        (text, "hybrid", len(model.texts)),
    ]:
        results = memory.search(query, user_id=USER, top_k=top_k, retriever=retriever, explain=True)["results"]
        assert key in [result["id"] for result in results], (retriever, text[:300], str(results)[:3000])
    # Hybrid returns every turn there is: what counts is that both of its indexes know this one.
    (own,) = [result["score_details"] for result in results if result["id"] == key]
    assert own["dense"] > 1.999, own  # the weight of the nearest vector
    assert own["bm25_turn"] > 0, own


def settle(model: Model, pending: dict[str, Any] | None, found: dict[str, str]) -> str:
    """Take what became of an unacknowledged call into the model; it must be all of it, or nothing."""
    if pending is None or found == model.texts:
        return "nothing"
    new = [key for key in found if key not in model.texts]
    if pending["op"] == "add":
        assert len(new) == 1, new
        assert found[new[0]] == pending["text"]
        model.texts[new[0]] = pending["text"]
    elif pending["op"] == "reply":
        changed = [key for key in model.texts if found.get(key) != model.texts[key]]
        (key,) = changed or new
        assert found[key] == "\n".join([*filter(None, [model.texts.get(key)]), f"[assistant]: {pending['said']}"])
        model.texts[key] = found[key]
    elif pending["op"] == "update":
        assert found[pending["id"]] == pending["text"]
        model.texts[pending["id"]] = pending["text"]
    elif pending["op"] == "delete":
        assert pending["id"] not in found
        model.deleted.append((pending["id"], model.texts.pop(pending["id"])))
    return "all"


# the loop


class Killer:
    """Starts writers, each of which first checks what the one before it has left, and kills them."""

    def __init__(self, directory: str, seed: int) -> None:
        self.directory = directory
        self.rng = random.Random(seed)
        self.model = Model()
        self.outcomes: dict[str, int] = {}
        self._journal = Path(directory).with_name("journal")
        self._seen = Path(directory).with_name("seen")
        self._pending: dict[str, Any] | None = None

    def kill_one(self, seed: str) -> None:
        """One life: look, write, be killed at a random moment. Raises AssertionError for what a look finds wrong."""
        journal = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        child, pipe = forked(lambda writing: self._live(journal, writing, seed))
        if os.read(pipe, 1) == LOOKED:
            self._take_in()
            for _ in range(1 + self.rng.randint(0, MOST_CALLS)):
                os.read(pipe, 1)
            time.sleep(self.rng.random() * LONGEST_DELAY)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(journal)
        if failure := read_all(pipe).strip("."):
            raise AssertionError(f"call under way: {str(self._pending)[:300]}\n{failure}")
        whole, _, _ = self._journal.read_text().rpartition("\n")  # the kill may cut a note off: that call is under way
        for line in whole.splitlines():
            record = json.loads(line)
            self._pending = record.get("intent")
            if self._pending is None:
                self.model.apply(record["done"])

    def _live(self, journal: int, pipe: int, seed: str) -> None:
        self._seen.write_text(json.dumps(look(self.directory, self.model, self._pending, seed)))
        os.write(pipe, LOOKED)
        write(self.directory, journal, pipe, self.model, seed)

    def _take_in(self) -> None:
        """Agree with what the look has found: it has also seen that no byte is left of what is deleted."""
        seen = json.loads(self._seen.read_text())
        self.model.texts, self.model.session = seen["texts"], seen["session"]
        self.model.deleted = []
        name = f"{self._pending['op'] if self._pending else 'none'}: {seen['outcome']}"
        self.outcomes[name] = self.outcomes.get(name, 0) + 1
        self._pending = None


def forked(work: Callable[[int], None]) -> tuple[int, int]:
    """A child that does ``work`` with the writing end of a pipe; its process id and the reading end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    os.close(reading)
    try:
        work(writing)
    except BaseException as error:
        os.write(writing, "".join(traceback.format_exception(error))[-4000:].encode())
    os._exit(1)


def read_all(pipe: int) -> str:
    parts = []
    while part := os.read(pipe, 1 << 20):
        parts.append(part)
    os.close(pipe)
    return b"".join(parts).decode()


def warm_up() -> None:
    """Import and build here, without a store, what each fork would otherwise import and build for itself."""
    make("hybrid")
    analyze("warm up", detect_language("warm up"))
    derive(["My sister Vera paints birds at the lake. She sold two."], HashingEncoder(64).encode_documents)


def main() -> int:
    directory, (kills, most, seed), wanted = sys.argv[1], map(int, sys.argv[2:5]), set(sys.argv[5:])
    warm_up()
    killer = Killer(directory, seed)
    for number in range(most + 1):  # the last life only looks at what the last kill has left
        if number > kills and wanted <= set(killer.outcomes):
            break
        try:
            killer.kill_one(f"{seed}-{number}")
        except AssertionError as error:
            print(f"life {number}: {error}")
            return 1
    print(
        json.dumps(
            {
                "acknowledged": killer.model.acknowledged,
                "turns": len(killer.model.texts),
                "under way": killer.outcomes,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
