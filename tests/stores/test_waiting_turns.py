from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
from forked import Child

from memagent import Memory
from memagent.bank.port import BankView
from memagent.errors import InvalidInput, StoreBusy
from memagent.records import Query, Retrieval
from memagent.retrievers import make
from memagent.stores.locks import FileLock
from memagent.stores.sqlite import SQLiteStore
from memagent.testing import HashingEncoder

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def opened(path: Path | str, timeout: float = 60) -> Memory:
    return Memory(path, encoder=HashingEncoder(32), background=False, timeout=timeout)


def lock_of(root: Path) -> FileLock:
    """The lock that every writer of the store's only user takes; held here, it is as if another process had it."""
    return FileLock(next(root.rglob("*.db")).with_suffix(".lock"))


class Running:
    """Calls in threads of their own."""

    def __init__(self, *calls: Callable[[], object]) -> None:
        self.errors: list[BaseException] = []
        self.threads = [threading.Thread(target=self._guarded, args=(call,)) for call in calls]
        for thread in self.threads:
            thread.start()

    def _guarded(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            self.errors.append(error)

    def end(self) -> list[BaseException]:
        """Wait for the end; the errors."""
        for thread in self.threads:
            thread.join()
        return self.errors


def test_searches_go_on_while_writers_wait_for_another_process(tmp_path: Path) -> None:
    with opened(tmp_path) as memory:
        memory.add("I keep bees.", user_id="ann")
        with lock_of(tmp_path).held(1, what="it"):
            adding = Running(*[partial(memory.add, f"note {number}", user_id="ann") for number in range(4)])
            time.sleep(0.2)
            began = time.monotonic()
            for _ in range(10):
                assert memory.search("bees", user_id="ann")["results"][0]["memory"] == "I keep bees."
            took = time.monotonic() - began
            assert all(thread.is_alive() for thread in adding.threads)
        assert adding.end() == []
        assert took < 30
        assert memory.stats(user_id="ann")["turn_units"] == 5


def test_a_writer_waits_for_threads_and_processes_together_no_longer_than_it_may(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path, timeout=1)
    ann = store.open("ann", create=True)

    def write() -> None:
        with ann.write():
            pass

    writers = [write] * 20
    with lock_of(tmp_path).held(1, what="it"):
        began = time.monotonic()
        errors = Running(*writers).end()
        took = time.monotonic() - began
    assert [type(error) for error in errors] == [StoreBusy] * len(writers)
    assert took < 15  # one after the other they would take twenty seconds
    write()
    ann.close()


def test_a_memory_that_is_closed_while_another_process_writes_leaves_the_log_to_it(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    memory.add("I keep bees.", user_id="ann")
    with lock_of(tmp_path).held(1, what="it"):
        memory.close()
        assert list(tmp_path.rglob("*.db-wal"))
    with opened(tmp_path) as memory:
        assert memory.search("bees", user_id="ann")["results"]
    assert not list(tmp_path.rglob("*.db-wal"))


# forks


def test_a_fork_while_a_thread_waits_for_the_lock_leaves_parent_and_child_able_to_write(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    memory.add("before", user_id="ann")
    with lock_of(tmp_path).held(1, what="it"):
        adding = Running(lambda: memory.add("thread", user_id="ann"))
        time.sleep(0.2)
        child = Child(lambda: memory.add("child", user_id="ann"), memory.close)
    assert adding.end() == []
    child.step()
    child.step()
    child.end()
    assert memory.stats(user_id="ann")["turn_units"] == 3
    assert memory.verify()["ok"]
    memory.close()


def test_a_lock_does_not_outlive_its_killed_holder_in_a_forked_child(tmp_path: Path) -> None:
    lock, ready = FileLock(tmp_path / "lock"), tmp_path / "ready"
    parent = os.fork()
    if not parent:
        held = threading.Event()

        def hold() -> None:
            with lock.held(1, what="it"):
                held.set()
                time.sleep(60)

        threading.Thread(target=hold, daemon=True).start()
        held.wait()
        child = os.fork()
        if not child:
            time.sleep(60)
            os._exit(0)
        ready.write_text(str(child))
        time.sleep(60)
        os._exit(0)
    deadline = time.monotonic() + 60
    while not (ready.exists() and ready.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    try:
        with lock.held(10, what="it"):
            pass
    finally:
        os.kill(int(ready.read_text()), signal.SIGKILL)


# a call inside a call


@dataclass(frozen=True, slots=True, kw_only=True)
class Calling:
    """A retriever that makes a call of the memory before it searches."""

    call: Callable[[], object]
    seen: list[Any] = field(default_factory=list)
    name: ClassVar[str] = "calling"
    uses_vector: ClassVar[bool] = False

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        self.seen.append(self.call())
        return make("bm25").retrieve(query, bank, k)


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_search_inside_a_search_of_the_same_user_sees_the_same_state(place: str, tmp_path: Path) -> None:
    with opened(tmp_path if place == "disk" else ":memory:") as memory:
        key = memory.add("I keep bees.", user_id="ann")["results"][0]["id"]

        def look() -> object:
            found = memory.search("bees", user_id="ann")["results"]
            listed = memory.get_all(user_id="ann")["results"]
            return [
                found[0]["memory"],
                listed[0]["id"],
                memory.get(key)["memory"],
                memory.stats(user_id="ann")["turn_units"],
            ]

        calling = Calling(call=look)
        for _ in range(2):
            assert memory.search("bees", user_id="ann", retriever=calling)["results"][0]["memory"] == "I keep bees."
        assert calling.seen == [["I keep bees.", key, "I keep bees.", 1]] * 2
        memory.add("I keep hens.", user_id="ann")
        assert memory.verify()["ok"]


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_a_change_inside_a_search_of_the_same_user_is_refused_at_once(place: str, tmp_path: Path) -> None:
    with opened(tmp_path if place == "disk" else ":memory:") as memory:
        key = memory.add("I keep bees.", user_id="ann")["results"][0]["id"]
        changes: list[Callable[[], object]] = [
            lambda: memory.add("I keep hens.", user_id="ann"),
            lambda: memory.update(key, "I keep hens."),
            lambda: memory.delete(key),
        ]
        for change in changes:
            began = time.monotonic()
            with pytest.raises(InvalidInput, match="inside"):
                memory.search("bees", user_id="ann", retriever=Calling(call=change))
            assert time.monotonic() - began < 30
        other = Calling(call=lambda: memory.add("I keep hens.", user_id="bob"))
        assert memory.search("bees", user_id="ann", retriever=other)["results"]
        assert memory.stats(user_id="ann")["turn_units"] == memory.stats(user_id="bob")["turn_units"] == 1
        assert memory.verify()["ok"]


def test_reading_inside_a_change_of_the_same_user_is_refused(tmp_path: Path) -> None:
    ann = SQLiteStore(tmp_path, timeout=5).open("ann", create=True)
    with ann.write() as writer:
        writer.set_encoder("test", 4)
        with pytest.raises(InvalidInput, match="inside"), ann.read():
            pass
        with pytest.raises(InvalidInput, match="inside"), ann.write():
            pass
    assert ann.encoder() == ("test", 4)
    ann.close()
