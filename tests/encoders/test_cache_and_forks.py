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


def test_a_fork_while_a_change_drops_cached_vectors_does_not_have_to_wait(tmp_path: Path) -> None:
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

    with cached._opened():
        child = Child(in_child)
        child.step()
        child.end()
    assert cached.encode_documents(["a"]).shape == (1, 32)
    cached.close()
