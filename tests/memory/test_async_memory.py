from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from memagent import AsyncMemory, Memory
from memagent.errors import InvalidInput, InvalidMessage, UnknownUser
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

ENCODER = HashingEncoder(32)


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


# the two faces are one


def test_both_faces_have_the_same_verbs() -> None:
    assert public(AsyncMemory).keys() == public(Memory).keys()
    assert len(public(Memory)) == 25


@pytest.mark.parametrize("name", sorted(public(Memory)))
def test_a_verb_has_the_same_signature_and_description_on_both_faces(name: str) -> None:
    here, there = public(Memory)[name], public(AsyncMemory)[name]
    assert inspect.signature(here) == inspect.signature(there)
    assert inspect.getdoc(here) == inspect.getdoc(there)
    assert inspect.iscoroutinefunction(there)
    assert not inspect.iscoroutinefunction(here)


def test_the_faces_are_made_alike() -> None:
    here = dict(inspect.signature(Memory).parameters)
    there = dict(inspect.signature(AsyncMemory).parameters)
    workers = there.pop("workers")
    assert here == there
    assert workers.default > 0


@pytest.mark.parametrize("workers", [0, -1, "8", None])
def test_a_number_of_workers_that_cannot_be_is_refused(workers: Any) -> None:
    with pytest.raises(InvalidInput, match="workers"):
        AsyncMemory(":memory:", encoder=ENCODER, workers=workers)


def test_every_verb_works_awaited(tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncMemory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
            added = (await memory.add("I keep bees in a garden.", user_id="ann", session_id="s"))["results"][0]["id"]
            await memory.add_many([{"session_id": "t", "messages": "I adopted a beagle."}], user_id="ann")
            assert len((await memory.close_session("s", user_id="ann"))["results"]) == 2
            assert await memory.flush(user_id="ann") == 2
            assert (await memory.search("bees", user_id="ann", max_tokens=6))["results"][0]["id"] == added
            assert "bees" in await memory.context("bees", user_id="ann")
            assert (await memory.get(added))["memory"] == "I keep bees in a garden."
            assert (await memory.get_all(user_id="ann"))["total"] == 2
            await memory.update(added, "I keep hens.")
            assert len(await memory.history(added)) == 2
            await memory.export(tmp_path / "a", user_id="ann")
            await memory.import_(tmp_path / "a", user_id="bob")
            await memory.backup(tmp_path / "b", user_id="ann")
            assert await memory.users() == ["ann", "bob"]
            assert (await memory.stats(user_id="bob"))["turn_units"] == 2
            assert (await memory.verify())["ok"]
            assert await memory.reindex(user_id="ann") == 6
            await memory.delete(added)
            assert (await memory.delete_all(user_id="ann"))["deleted"] == 1
            assert (await memory.forget_user(user_id="bob"))["sessions"] == 2

    asyncio.run(use())


def test_both_faces_answer_the_same(tmp_path: Path) -> None:
    async def ask() -> Any:
        async with AsyncMemory(tmp_path, encoder=ENCODER, background=False) as memory:
            return await memory.search("bees", user_id="ann"), await memory.get_all(user_id="ann")

    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        memory.add(["I keep bees.", "I keep hens."], user_id="ann")
        expected = (memory.search("bees", user_id="ann"), memory.get_all(user_id="ann"))
    assert asyncio.run(ask()) == expected


def test_errors_reach_the_caller_as_they_are() -> None:
    async def use() -> None:
        async with AsyncMemory(":memory:", encoder=ENCODER, background=False) as memory:
            with pytest.raises(UnknownUser):
                await memory.search("x", user_id="ann")
            with pytest.raises(InvalidMessage):
                await memory.add("", user_id="ann")
            with pytest.raises(InvalidMessage, match="session 0"):
                await memory.add_many([{"messages": ""}], user_id="ann")
            with pytest.raises(InvalidInput):
                await memory.search("x", user_id="ann", top_k=0)

    asyncio.run(use())


# loops


def test_one_memory_serves_two_loops_one_after_the_other() -> None:
    memory = AsyncMemory(":memory:", encoder=ENCODER, background=False)

    async def note(text: str) -> int:
        await memory.add(text, user_id="ann")
        return len((await memory.search("note", user_id="ann"))["results"])

    assert asyncio.run(note("first note")) == 1
    assert asyncio.run(note("second note")) == 2
    asyncio.run(memory.close())


def test_one_memory_serves_two_loops_at_once() -> None:
    memory = AsyncMemory(":memory:", encoder=ENCODER, background=False)

    async def notes(name: str) -> None:
        await asyncio.gather(*(memory.add(f"{name} {number}", user_id="ann") for number in range(10)))

    threads = [threading.Thread(target=lambda name=name: asyncio.run(notes(name))) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asyncio.run(memory.get_all(user_id="ann"))["total"] == 20
    asyncio.run(memory.close())


def test_fifty_calls_at_once_lose_nothing(tmp_path: Path) -> None:
    async def use() -> None:
        async with AsyncMemory(tmp_path, encoder=ENCODER) as memory:
            await memory.add({"role": "user", "content": "question"}, user_id="ann", session_id="s")
            adds = [memory.add(f"note {number}", user_id="ann") for number in range(25)]
            replies = [
                memory.add({"role": "assistant", "content": f"reply {number}"}, user_id="ann", session_id="s")
                for number in range(25)
            ]
            searches = [memory.search("question", user_id="ann") for _ in range(50)]
            answers = await asyncio.gather(*adds, *replies, *searches)
            assert all(answer["results"] for answer in answers)
            turns = (await memory.get_all(user_id="ann"))["results"]
            assert len(turns) == 26
            assert sorted(turns[0]["memory"].split("\n")[1:]) == sorted(f"[assistant]: reply {n}" for n in range(25))
            assert (await memory.verify())["ok"]

    asyncio.run(use())


class Waiting(HashingEncoder):
    """An encoder that waits for something in each of its calls, and says when it has begun and ended."""

    def __init__(self, wait: Callable[[], object]) -> None:
        super().__init__(32)
        self.wait = wait
        self.begun = threading.Event()
        self.done = threading.Event()
        self.threads: set[int] = set()

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        self.threads.add(threading.get_ident())
        self.begun.set()
        self.wait()
        vectors = super().encode_documents(texts)
        self.done.set()
        return vectors

    def count_tokens(self, text: str) -> int:
        self.threads.add(threading.get_ident())
        return super().count_tokens(text)


class Slow(Waiting):
    """An encoder that takes its time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(lambda: time.sleep(seconds))


def test_the_loop_goes_on_while_texts_are_encoded_and_counted() -> None:
    async def use() -> None:
        ticks = 0
        waits: list[bool] = []

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        def wait_for_ticks() -> None:
            wanted, end = ticks + 5, time.monotonic() + 60
            while ticks < wanted and time.monotonic() < end:
                time.sleep(0.001)
            waits.append(ticks >= wanted)

        ticker = asyncio.create_task(tick())
        encoder = Waiting(wait_for_ticks)
        async with AsyncMemory(":memory:", encoder=encoder, background=False) as memory:
            await memory.add(["a", "b"], user_id="ann")
            await memory.add_many([{"session_id": "s", "messages": "I keep bees by day."}], user_id="ann")
            await memory.search("a", user_id="ann", max_tokens=5)
            await memory.context("a", user_id="ann")
            await memory.update((await memory.get_all(user_id="ann"))["results"][0]["id"], "c")
        ticker.cancel()
        assert len(waits) >= 5
        assert all(waits)
        assert threading.get_ident() not in encoder.threads

    asyncio.run(use())


# cancellation


@pytest.mark.parametrize("after", [0.0, 0.02, 0.1, 0.3])
def test_a_cancelled_add_stores_all_or_nothing(tmp_path: Path, after: float) -> None:
    async def use() -> None:
        encoder = Slow(0.05)
        memory = AsyncMemory(tmp_path, encoder=encoder, background=False)
        await memory.add("before", user_id="ann")
        task = asyncio.create_task(memory.add(["one", "two", "three"], user_id="ann"))
        await asyncio.sleep(after)
        task.cancel()
        try:
            await task
            cancelled = False
        except asyncio.CancelledError:
            cancelled = True
        await memory.close()
        with Memory(tmp_path, encoder=ENCODER, background=False) as plain:
            texts = [unit["memory"] for unit in plain.get_all(user_id="ann")["results"]]
            assert texts in (["before"], ["before", "one", "two", "three"])
            assert cancelled or len(texts) == 4
            assert plain.verify()["ok"]

    asyncio.run(use())


def test_an_add_cancelled_while_encoding_stores_nothing() -> None:
    async def use() -> None:
        go_on = threading.Event()
        encoder = Waiting(lambda: go_on.wait(60))
        async with AsyncMemory(":memory:", encoder=encoder, background=False) as memory:
            task = asyncio.create_task(memory.add("one", user_id="ann"))
            while not encoder.begun.is_set():
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go_on.set()
            assert await asyncio.to_thread(encoder.done.wait, 60)
            await asyncio.sleep(0.05)
            assert await memory.users() == []
            await memory.add("two", user_id="ann")
            assert (await memory.get_all(user_id="ann"))["total"] == 1

    asyncio.run(use())


def test_a_timeout_around_a_search_is_harmless() -> None:
    async def use() -> None:
        async with AsyncMemory(":memory:", encoder=Slow(0.2), background=False) as memory:
            await memory.add("one", user_id="ann")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await memory.search("one", user_id="ann")
            assert len((await memory.search("one", user_id="ann"))["results"]) == 1

    asyncio.run(use())


# closing


def test_a_closed_memory_says_so() -> None:
    async def use() -> None:
        memory = AsyncMemory(":memory:", encoder=ENCODER)
        await memory.add("one", user_id="ann")
        await memory.close()
        await memory.close()
        for call in (
            memory.add("two", user_id="ann"),
            memory.users(),
            memory.stats(),
            memory.search("x", user_id="ann"),
        ):
            with pytest.raises(InvalidInput, match="closed"):
                await call

    asyncio.run(use())


def test_a_call_under_way_when_the_memory_is_closed_finishes_or_says_so() -> None:
    async def use() -> None:
        memory = AsyncMemory(":memory:", encoder=Slow(0.05), background=False)
        tasks = [asyncio.create_task(memory.add(f"note {number}", user_id="ann")) for number in range(20)]
        await asyncio.sleep(0.08)
        await memory.close()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, dict) or "closed" in str(outcome)
            assert not isinstance(outcome, RuntimeError)

    asyncio.run(use())


def test_closing_ends_all_threads() -> None:
    async def use() -> None:
        memory = AsyncMemory(":memory:", encoder=ENCODER)
        await memory.add("one", user_id="ann")
        await memory.add("two", user_id="ann")
        await memory.close()

    asyncio.run(use())
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("memagent")] == []
