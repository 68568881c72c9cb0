from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from memagent import Memory
from memagent.memory import background, core
from memagent.memory.core import Core
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

ENCODER = HashingEncoder(32)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PAUSE", 0.1)


class StoppedClock:
    """A clock that stands still, however long a test is kept from going on: between two calls there is no pause."""

    def __init__(self) -> None:
        self.now = time.monotonic()

    def monotonic(self) -> float:
        return self.now

    def pause(self) -> None:
        """Let the memory be unused for long enough."""
        self.now += 2 * background._PAUSE


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> StoppedClock:
    made = StoppedClock()
    for module in (core, background):
        monkeypatch.setattr(module, "time", made)
    return made


def eventually(condition: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def derivers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "memagent-deriver"]


def summaries(memory: Memory, user_id: str = "ann") -> int:
    return int(memory.stats(user_id=user_id)["summary_units"])


def test_a_session_closed_by_the_next_one_is_summarised_in_a_pause(clock: StoppedClock) -> None:
    with Memory(":memory:", encoder=ENCODER) as memory:
        memory.add("I adopted a beagle called Rex.", user_id="ann", session_id="s")
        assert derivers() == []
        memory.add("I live near the harbour.", user_id="ann", session_id="t")
        assert summaries(memory) == 0
        clock.pause()
        assert eventually(lambda: summaries(memory) == 1)
        assert memory.get_all(user_id="ann", granularity="summary")["results"][0]["session_id"] == "s"
        clock.pause()
        assert eventually(lambda: derivers() == [])
        memory.add("My sister came to visit.", user_id="ann", session_id="u")
        clock.pause()
        assert eventually(lambda: summaries(memory) == 2)
    assert derivers() == []


def test_sessions_added_at_once_are_summarised_in_a_pause(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER) as memory:
        memory.add_many([{"messages": f"I saw bird number {number} today."} for number in range(5)], user_id="ann")
        assert eventually(lambda: summaries(memory) == 5)
        memory.export(tmp_path / "a", user_id="ann")
        memory.delete_all(user_id="ann")
        memory.import_(tmp_path / "a", user_id="bob")
        assert summaries(memory, "bob") == 5


def test_nothing_is_summarised_while_the_memory_is_in_use(clock: StoppedClock) -> None:
    with Memory(":memory:", encoder=ENCODER) as memory:
        memory.add_many([{"messages": "I adopted a beagle called Rex."}], user_id="ann")
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            clock.now += 0.8 * background._PAUSE
            memory.search("beagle", user_id="ann")
            time.sleep(0.02)
            assert summaries(memory) == 0
        clock.pause()
        assert eventually(lambda: summaries(memory) == 1)


def test_what_was_cut_off_is_taken_up_with_the_next_closed_session(tmp_path: Path, clock: StoppedClock) -> None:
    with Memory(tmp_path, encoder=ENCODER) as memory:
        memory.add_many([{"messages": "I adopted a beagle called Rex."}], user_id="ann")
    with Memory(tmp_path, encoder=ENCODER) as memory:
        assert summaries(memory) == 0
        memory.add_many([{"messages": "I live near the harbour."}], user_id="ann")
        clock.pause()
        assert eventually(lambda: summaries(memory) == 2)


def test_without_background_nothing_happens_by_itself() -> None:
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        memory.add_many([{"messages": "I adopted a beagle called Rex."}], user_id="ann")
        time.sleep(0.3)
        assert derivers() == []
        assert summaries(memory) == 0
        assert memory.flush(user_id="ann") == 2


class Held(HashingEncoder):
    """An encoder that says when it is at work for a summary, and goes on when it may."""

    def __init__(self) -> None:
        super().__init__(32)
        self.at_work, self.free = threading.Event(), threading.Event()

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        if threading.current_thread().name == "memagent-deriver":
            self.at_work.set()
            assert self.free.wait(60)
        return super().encode_documents(texts)


def test_closing_waits_for_the_session_at_hand_only(tmp_path: Path) -> None:
    encoder = Held()
    memory = Memory(tmp_path, encoder=encoder)
    memory.add_many([{"messages": f"I saw bird number {number} today."} for number in range(50)], user_id="ann")
    assert encoder.at_work.wait(60)
    closing = threading.Thread(target=memory.close)
    closing.start()
    assert eventually(lambda: memory._deriver._stopping)
    encoder.free.set()
    closing.join()
    assert derivers() == []
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        assert summaries(memory) == 1
        assert memory.verify()["ok"]


def test_closing_waits_for_a_thread_that_has_done_its_work_and_is_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    work = background.Deriver._work

    def end_slowly(deriver: background.Deriver) -> None:
        work(deriver)
        time.sleep(0.2)

    monkeypatch.setattr(background.Deriver, "_work", end_slowly)
    with Memory(":memory:", encoder=ENCODER) as memory:
        memory.add_many([{"messages": "I adopted a beagle called Rex."}], user_id="ann")
        assert eventually(lambda: not memory._deriver._working)
    assert derivers() == []


def test_closing_does_not_wait_for_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PAUSE", 300.0)
    memory = Memory(":memory:", encoder=ENCODER)
    memory.add_many([{"messages": "I adopted a beagle called Rex."}], user_id="ann")
    began = time.monotonic()
    memory.close()
    assert time.monotonic() - began < 60


class Failing(HashingEncoder):
    """An encoder that cannot embed a summary about poison."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        if threading.current_thread().name == "memagent-deriver" and any("poison" in text for text in texts):
            raise RuntimeError("out of memory")
        return super().encode_documents(texts)


def test_a_failure_is_logged_and_the_others_are_still_served(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="memagent"), Memory(":memory:", encoder=Failing(32)) as memory:
        for user_id in ("ann", "bob"):
            memory.add_many(
                [{"messages": "I sell poison at night."}, {"messages": "I keep bees by day."}], user_id=user_id
            )
        assert eventually(lambda: summaries(memory) == summaries(memory, "bob") == 1)
        assert "out of memory" in caplog.text
        assert {record.levelname for record in caplog.records} == {"WARNING"}
        assert memory.flush(user_id="ann") == 2  # in this thread the encoder works
        assert summaries(memory) == 2


def test_a_user_forgotten_meanwhile_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="memagent"), Memory(":memory:", encoder=ENCODER) as memory:
        memory.add_many([{"messages": "I adopted a beagle called Rex."}], user_id="ann")
        memory.add_many([{"messages": "I keep bees by day."}], user_id="bob")
        memory.forget_user(user_id="ann")
        assert eventually(lambda: summaries(memory, "bob") == 1)
        assert memory.users() == ["bob"]
    assert caplog.text == ""


def test_a_session_reopened_meanwhile_is_left_alone(clock: StoppedClock) -> None:
    with Memory(":memory:", encoder=ENCODER) as memory:
        memory.add("I adopted a beagle called Rex.", user_id="ann", session_id="s")
        memory.add("I live near the harbour.", user_id="ann", session_id="t")
        assert derivers()
        memory.add("Rex is afraid of thunder.", user_id="ann", session_id="s")
        clock.pause()
        assert eventually(lambda: derivers() == [])
        assert summaries(memory) == 0


def test_a_memory_that_is_dropped_without_being_closed_goes(tmp_path: Path) -> None:
    def dropped() -> weakref.ref[Core]:
        memory = Memory(tmp_path, encoder=ENCODER)
        memory.add_many([{"messages": "I adopted a beagle called Rex."}], user_id="ann")
        assert eventually(lambda: summaries(memory) == 1)
        return weakref.ref(memory._core)

    core = dropped()
    assert eventually(lambda: derivers() == [])
    gc.collect()
    assert core() is None
