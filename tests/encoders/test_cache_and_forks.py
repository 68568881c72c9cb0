from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from forked import Child

from memagent import Memory, forks
from memagent.encoders.cache import CachedEncoder
from memagent.errors import StoreUnavailable
from memagent.sqlite_cache import SqliteCache
from memagent.testing import HashingEncoder

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


def opened(path: Path) -> CachedEncoder:
    return CachedEncoder(HashingEncoder(32), path)


def entries(path: Path) -> int:
    with opened(path) as cached:
        return cached.stats().entries


@pytest.mark.parametrize("close_first", [True, False])
def test_parent_and_child_go_on_with_a_cache_and_lose_nothing(tmp_path: Path, close_first: bool) -> None:
    cached = opened(tmp_path / "c.sqlite")
    cached.encode_documents(["before"])
    child = Child(
        lambda: cached.encode_documents(["child one"]), lambda: cached.encode_documents(["child two"]), cached.close
    )
    child.step()
    cached.encode_documents(["parent"])
    if close_first:
        cached.close()  # which empties and removes the log, if the child has no lock on it
    child.step()
    child.step()
    child.end()
    cached.close()
    assert entries(tmp_path / "c.sqlite") == 4


def test_a_fork_while_threads_encode_is_safe(tmp_path: Path) -> None:
    cached = opened(tmp_path)
    stop = threading.Event()
    counts = [0] * 3

    def encode(thread: int) -> None:
        while not stop.is_set():
            cached.encode_documents([f"thread {thread} text {counts[thread]}"])
            counts[thread] += 1

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(6):
            time.sleep(0.02)
            child = Child(lambda number=number: cached.encode_documents([f"child {number}"]))  # type: ignore[misc]
            child.step()
            child.end()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    cached.close()
    assert entries(tmp_path) == sum(counts) + 6


def test_a_fork_while_a_change_drops_cached_vectors_does_not_have_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "_PATIENCE", 120.0)
    cached = opened(tmp_path / "c.sqlite")
    memory = Memory(tmp_path / "store", encoder=cached, background=False)
    keys = [memory.add(f"note {number}", user_id="ann")["results"][0]["id"] for number in range(12)]
    deleting = threading.Thread(target=lambda: [memory.delete(key) for key in keys])
    deleting.start()
    slowest = 0.0
    while deleting.is_alive():
        began = time.monotonic()
        child = os.fork()
        if not child:
            os._exit(0)
        slowest = max(slowest, time.monotonic() - began)
        os.waitpid(child, 0)
    deleting.join()
    assert slowest < forks._PATIENCE / 2
    memory.close()
    cached.close()


def test_a_child_forked_in_the_midst_of_a_call_refuses_that_file_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "_PATIENCE", 0.1)
    cached = opened(tmp_path / "c.sqlite")

    def in_child() -> None:
        for call in (lambda: cached.encode_documents(["a"]), lambda: opened(tmp_path / "c.sqlite")):
            with pytest.raises(StoreUnavailable, match="forked"):
                call()
        assert opened(tmp_path / "d.sqlite").encode_documents(["a"]).shape == (1, 32)

    with cached._file._opened():
        child = Child(in_child)
        child.step()
        child.end()
    assert cached.encode_documents(["a"]).shape == (1, 32)
    cached.close()


def test_a_cache_whose_connection_cannot_be_closed_is_not_locked_by_a_fork(tmp_path: Path) -> None:
    cached = opened(tmp_path / "c.sqlite")
    cached.encode_documents(["one"])
    assert cached._file._connection is not None
    cached._file._connection.close()  # every use of it raises now
    assert not cached._file.pause(1.0)
    assert cached.stats().entries == 1
    cached.close()


def test_a_reply_cache_whose_connection_cannot_be_closed_is_not_locked_by_a_fork(tmp_path: Path) -> None:
    schema = "CREATE TABLE t (x)"
    cache = SqliteCache(tmp_path / "c.sqlite", what="a cache", application_id=77, version=1, schema=schema)
    cache.use(lambda connection: connection.execute("INSERT INTO t VALUES (1)").fetchall())
    assert cache._connection is not None
    cache._connection.close()
    assert not cache.pause(1.0)
    assert cache.use(lambda connection: connection.execute("SELECT x FROM t").get) == 1
    cache.close()


class Handle:
    """Counts pauses; some fail."""

    def __init__(self, *, fails: bool) -> None:
        self.fails = fails
        self.paused = 0

    def pause(self, timeout: float) -> bool:
        if self.fails:
            raise ZeroDivisionError
        self.paused += 1
        return True

    def resume(self, *, in_child: bool) -> None:
        self.paused -= 1

    def abandon(self) -> None:
        return None


def test_a_pause_that_raises_keeps_no_other_handle_from_being_paused() -> None:
    handles = [Handle(fails=number % 2 == 0) for number in range(8)]
    for handle in handles:
        forks.FORKS.register(handle)
    try:
        with pytest.raises(ZeroDivisionError):
            forks.FORKS._before()
        assert [handle.paused for handle in handles] == [0, 1] * 4
    finally:
        forks.FORKS._in_parent()
        for handle in handles:
            handle.fails = False  # whenever they are collected
    assert [handle.paused for handle in handles] == [0] * 8
