from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from forked import Child

from memagent import Memory, forks
from memagent.errors import StoreUnavailable, UserForgotten
from memagent.stores import sqlite_user, user_file
from memagent.stores.sqlite import SQLiteStore
from memagent.testing import HashingEncoder

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def opened(path: Path | str) -> Memory:
    return Memory(path, encoder=HashingEncoder(32), retriever="bm25", background=False, timeout=60)


def texts(memory: Memory) -> list[str]:
    return [unit["memory"] for unit in memory.get_all(user_id="ann", top_k=None)["results"]]


@pytest.mark.parametrize("close_first", [True, False])
def test_parent_and_child_both_go_on_with_a_memory_and_lose_nothing(tmp_path: Path, close_first: bool) -> None:
    memory = opened(tmp_path)
    memory.add("before", user_id="ann")
    child = Child(
        lambda: memory.add("child one", user_id="ann"),
        lambda: memory.add("child two", user_id="ann"),
        memory.close,
    )
    child.step()
    memory.add("parent", user_id="ann")
    assert texts(memory) == ["before", "child one", "parent"]
    if close_first:
        memory.close()  # which empties and removes the log, if the child has no lock on it
    child.step()
    if not close_first:
        assert texts(memory) == ["before", "child one", "parent", "child two"]
    child.step()
    child.end()
    memory.close()
    with opened(tmp_path) as memory:
        assert texts(memory) == ["before", "child one", "parent", "child two"]
        assert memory.verify()["ok"]


def test_a_child_that_ends_does_not_take_the_log_of_others_with_it(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    memory.add("before", user_id="ann")
    child = Child(lambda: None, memory.close)
    child.step()
    memory.close()
    killed = os.fork()
    if not killed:
        opened(tmp_path).add("acknowledged, then killed", user_id="ann")
        os._exit(9)
    os.waitpid(killed, 0)
    child.step()
    child.end()
    with opened(tmp_path) as memory:
        assert texts(memory) == ["before", "acknowledged, then killed"]


def test_a_user_forgotten_and_begun_anew_by_a_child_is_another_user_to_the_parent(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    for number in range(20):
        memory.add(f"old {number}", user_id="ann")
    assert len(memory.search("old", user_id="ann", top_k=50)["results"]) == 20

    def begin_anew() -> None:
        memory.forget_user(user_id="ann")  # nobody has the file open now: the next one may get its inode
        memory.add("new", user_id="ann")
        memory.close()

    child = Child(begin_anew)
    child.step()
    child.end()
    with suppress(UserForgotten):
        memory.search("old", user_id="ann")
    assert [r["memory"] for r in memory.search("new", user_id="ann", top_k=50)["results"]] == ["new"]
    assert memory.verify()["ok"]
    memory.close()


def test_a_new_file_with_the_number_of_the_erased_one_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SQLiteStore(tmp_path)
    old = store.open("ann", create=True)
    assert old.pause(1.0)  # as at a fork: then nothing keeps the file's number from being given to another
    old.resume(in_child=False)
    identity = old._file.identity
    store.forget("ann")
    store.open("ann", create=True).close()
    monkeypatch.setattr(user_file, "identity_of", lambda _: identity)
    monkeypatch.setattr(sqlite_user, "identity_of", lambda _: identity)
    with pytest.raises(UserForgotten), old.read():
        pass


def test_a_child_has_its_own_copy_of_a_memory_in_memory() -> None:
    with opened(":memory:") as memory:
        memory.add("before", user_id="ann")

        def add() -> None:
            memory.add("only in the child", user_id="ann")
            assert texts(memory) == ["before", "only in the child"]

        child = Child(add)
        child.step()
        child.end()
        assert texts(memory) == ["before"]


def test_a_child_writes_summaries_in_the_background_too(tmp_path: Path) -> None:
    def summaries(memory: Memory, wanted: int) -> None:
        deadline = time.monotonic() + 60
        while len(memory.get_all(user_id="ann", granularity="summary")["results"]) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    memory = Memory(tmp_path, encoder=HashingEncoder(32))
    memory.add("My sister Vera paints birds at the lake.", user_id="ann")
    memory.add("The roof of the lake house leaks again.", user_id="ann")
    summaries(memory, 1)

    def in_child() -> None:
        memory.add("Vera sold two paintings of birds in Lisbon.", user_id="ann")
        summaries(memory, 2)

    child = Child(in_child)
    child.step()
    child.end()
    summaries(memory, 2)
    memory.close()


def test_a_fork_while_threads_write_is_safe(tmp_path: Path) -> None:
    memory = opened(tmp_path)
    memory.add("before", user_id="ann")
    stop = threading.Event()
    written: list[str] = []
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            while not stop.is_set():
                name = f"thread {number} wrote {len(written)}"
                memory.add(name, user_id="ann")
                written.append(name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(8):
            time.sleep(0.02)
            child = Child(lambda number=number: memory.add(f"child {number}", user_id="ann"))  # type: ignore[misc]
            child.step()
            child.end()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not errors
    memory.close()
    with opened(tmp_path) as memory:
        assert sorted(texts(memory)) == sorted(["before", *written, *(f"child {n}" for n in range(8))])
        assert memory.verify()["ok"]


def test_a_child_forked_in_the_midst_of_a_transaction_refuses_that_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "_PATIENCE", 0.1)
    store = SQLiteStore(tmp_path, timeout=5)
    ann = store.open("ann", create=True)

    def in_child() -> None:
        for call in (ann.encoder, lambda: store.open("ann")):
            with pytest.raises(StoreUnavailable, match="forked"):
                call()
        with store.open("bob", create=True).write() as writer:
            writer.set_encoder("test", 4)

    with ann.read() as reader:
        child = Child(in_child)
        child.step()
        child.end()
        assert reader.revision() == 0
    with ann.write() as writer:
        writer.set_encoder("test", 4)
    assert ann.encoder() == store.open("bob").encoder() == ("test", 4)


def test_a_lock_that_is_held_while_the_process_forks_ends_with_its_holder(tmp_path: Path) -> None:
    from memagent.stores.locks import FileLock

    lock = FileLock(tmp_path / "lock")
    with lock.held(1, what="it"):
        child = Child(lambda: None)
    with lock.held(1, what="it"):
        pass
    child.step()
    child.end()
