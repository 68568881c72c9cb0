"""Processes of many threads that write to one user at once, and readers beside them; run by test_many_writers.py.

    python many_writers.py DIRECTORY PROCESSES THREADS CALLS

Every process is a fork of this one, which opens nothing before. What a call has stored is noted in a common journal
when it has returned: whatever a reader finds noted before it searches, it must find. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from memagent import Memory
from memagent.granularity import derive
from memagent.lexical import analyze
from memagent.retrievers import make
from memagent.testing import HashingEncoder

USER = "ann"
REPLYING = 2  # threads of each process that also reply to one common turn
WAIT = 120.0
READERS, LOOKS = 2, 3  # each looks more often than that while there are writers


def open_memory(directory: str) -> Memory:
    return Memory(directory, encoder=HashingEncoder(64), background=False, timeout=WAIT)


class Writer:
    """One process of writing threads."""

    def __init__(self, directory: str, process: int, threads: int, calls: int) -> None:
        self.memory = open_memory(directory)
        self.directory = directory
        self.process, self.threads, self.calls = process, threads, calls
        self.journal = os.open(Path(directory).with_name("journal"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.failures: list[str] = []
        self.slowest = 0.0

    def run(self) -> None:
        workers = [threading.Thread(target=self._guarded, args=(number,)) for number in range(self.threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.memory.close()
        if self.failures:
            raise AssertionError("\n".join(self.failures))

    def _guarded(self, number: int) -> None:
        try:
            self._work(number)
        except BaseException as error:
            self.failures.append("".join(traceback.format_exception(error)))

    def _work(self, number: int) -> None:
        name = f"p{self.process}t{number}"
        kept: list[str] = []
        for call in range(self.calls):
            if call == self.calls - 1:
                self._wait_for_readers()
            began = time.monotonic()
            session = f"s{number % 3}" if call % 2 else None
            reply = self.memory.add(f"note {name}n{call} about tea", user_id=USER, session_id=session)
            self.slowest = max(self.slowest, time.monotonic() - began)
            kept += [result["id"] for result in reply["results"]]
            os.write(self.journal, kept[-1].encode() + b"\n")
        if number < REPLYING:
            said = {"role": "assistant", "content": f"answer {name}"}
            self.memory.add(said, user_id=USER, session_id="common")
        self.memory.update(kept[0], f"note {name}n0 about tea, updated", user_id=USER)

    def _wait_for_readers(self) -> None:
        """Until each has looked some times: they are to look while somebody writes, on however slow a machine."""
        deadline = time.monotonic() + WAIT
        while not all(looked(self.directory, number).exists() for number in range(READERS)):
            assert time.monotonic() < deadline, "a reader does not look"
            time.sleep(0.01)


def looked(directory: str, number: int) -> Path:
    """The file that says that a reader has looked often enough."""
    return Path(directory).with_name(f"reader {number} has looked")


def entries(journal: Path) -> set[str]:
    """What is noted. The last line may be half written, where it crosses a page of the file: it is not noted yet."""
    lines = journal.read_text().split("\n") if journal.exists() else [""]
    return set(lines[:-1])


def read(directory: str, number: int) -> None:
    """Look again and again until the writers have finished: nothing that was acknowledged may be missing."""
    memory = open_memory(directory)
    journal, done = Path(directory).with_name("journal"), Path(directory).with_name("done")
    before = 0
    looks = 0
    while not done.exists():
        noted = entries(journal)
        if not noted:
            time.sleep(0.01)
            continue
        how = "get_all" if looks % 2 == number % 2 else ("bm25", "dense", "hybrid")[looks % 3]
        if how == "get_all":
            found = memory.get_all(user_id=USER, top_k=None)["results"]
        else:
            found = memory.search("a note about tea", user_id=USER, top_k=100_000, retriever=how)["results"]
        ids = [unit["id"] for unit in found]
        assert len(ids) == len(set(ids)), "a unit comes twice"
        missing = noted - set(ids)
        assert not missing, f"acknowledged memories are missing from {how}: {sorted(missing)}"
        assert len(ids) >= before, "there are fewer than before"
        before = len(ids)
        looks += 1
        if looks > LOOKS:
            looked(directory, number).touch()
    memory.close()
    assert looks > LOOKS, f"only {looks} looks"


def check(directory: str, processes: int, threads: int, calls: int) -> dict[str, int]:
    """Everything is there once, in sound files."""
    memory = open_memory(directory)
    report = memory.verify()
    assert report["ok"], report
    units = memory.get_all(user_id=USER, top_k=None)["results"]
    expected = {
        f"note p{p}t{t}n{n} about tea" + (", updated" if n == 0 else "")
        for p in range(processes)
        for t in range(threads)
        for n in range(calls)
    }
    common = [unit["memory"] for unit in units if unit["session_id"] == "common"]
    others = [unit["memory"] for unit in units if unit["session_id"] != "common"]
    assert sorted(others) == sorted(expected)
    (turn,) = common
    answers = [f"[assistant]: answer p{p}t{t}" for p in range(processes) for t in range(min(threads, REPLYING))]
    assert sorted(turn.split("\n")) == sorted(["[user]: question", *answers])
    return {"turns": len(units)}


def fork(work: Callable[[], None], reports: Path) -> int:
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    try:
        work()
        os._exit(0)
    except BaseException as error:
        (reports / str(os.getpid())).write_text("".join(traceback.format_exception(error)))
        os._exit(1)


def main() -> int:
    directory = sys.argv[1]
    processes, threads, calls = map(int, sys.argv[2:5])
    reports = Path(directory).with_name("reports")
    reports.mkdir()
    make("hybrid")
    analyze("warm up", "en")
    derive(["My sister Vera paints birds at the lake. She sold two."], HashingEncoder(64).encode_documents)

    def first() -> None:
        with open_memory(directory) as memory:
            memory.add({"role": "user", "content": "question"}, user_id=USER, session_id="common")

    os.waitpid(fork(first, reports), 0)
    began = time.monotonic()
    readers = [fork(lambda number=number: read(directory, number), reports) for number in range(READERS)]  # type: ignore[misc]
    writers = [
        fork(lambda number=number: Writer(directory, number, threads, calls).run(), reports)  # type: ignore[misc]
        for number in range(processes)
    ]
    codes = [os.waitpid(child, 0)[1] for child in writers]
    seconds = time.monotonic() - began
    Path(directory).with_name("done").touch()
    codes += [os.waitpid(child, 0)[1] for child in readers]
    if any(codes):
        print("\n".join(path.read_text() for path in reports.iterdir()))
        return 1
    print(json.dumps({**check(directory, processes, threads, calls), "seconds": round(seconds, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
