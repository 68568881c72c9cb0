from __future__ import annotations

import logging
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from memagent import Memory
from memagent.bank.bank import MemoryBank
from memagent.errors import (
    InvalidInput,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreUnavailable,
    UnknownUser,
    UserForgotten,
)
from memagent.memory.banks import Banks
from memagent.stores.port import UserStore
from memagent.stores.sqlite import SQLiteStore
from memagent.stores.sqlite_user import SQLiteUser
from memagent.testing import HashingEncoder


def opened(path: Path, **options: Any) -> Memory:
    return Memory(path, encoder=HashingEncoder(32), background=False, **options)


def texts(memory: Memory, user_id: str = "ann") -> list[str]:
    return [unit["memory"] for unit in memory.get_all(user_id=user_id, top_k=None)["results"]]


def make(store: UserStore) -> MemoryBank:
    return MemoryBank(store, lambda: ("hashing/32", 32))


def test_two_memories_of_one_process_share_a_directory(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as two:
        for number in range(5):
            one.add(f"one {number}", user_id="ann")
            two.add(f"two {number}", user_id="ann")
            assert texts(one) == texts(two)
            assert two.search(f"one {number}", user_id="ann", top_k=1)["results"][0]["memory"] == f"one {number}"
        key = one.get_all(user_id="ann")["results"][0]["id"]
        two.update(key, "changed by two")
        assert one.get(key)["memory"] == "changed by two"
        one.delete(key)
        assert len(two.search("changed", user_id="ann", top_k=50)["results"]) == 9
        assert one.verify()["ok"]
        assert two.verify()["ok"]
        one.close()
        two.add("after the other was closed", user_id="ann")
    with opened(tmp_path) as memory:
        assert len(texts(memory)) == 10
    assert not list(tmp_path.rglob("*-wal"))


def test_more_users_than_may_be_open_are_all_served(tmp_path: Path) -> None:
    with opened(tmp_path, max_open_users=3) as memory:
        for number in range(40):
            memory.add(f"note {number}", user_id=f"user {number % 10}")
            assert memory.stats()["open_users"] <= 3
        for number in range(10):
            assert len(texts(memory, f"user {number}")) == 4
    assert not list(tmp_path.rglob("*-wal"))


def test_many_threads_and_few_open_users_get_along(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    with opened(tmp_path, max_open_users=2) as memory:

        def work(thread: int) -> None:
            try:
                for number in range(12):
                    user_id = f"user {(thread + number) % 6}"
                    memory.add(f"{thread} {number}", user_id=user_id)
                    assert memory.search(f"{thread} {number}", user_id=user_id)["results"]
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert sum(len(texts(memory, f"user {number}")) for number in range(6)) == 96


def test_a_bank_in_use_is_not_closed_by_the_opening_of_others(tmp_path: Path) -> None:
    banks = Banks(SQLiteStore(tmp_path), make, limit=1)
    with banks.lease("ann", create=True) as ann:
        for number in range(3):
            with banks.lease(f"other {number}", create=True):
                pass
        with ann.store.read() as reader:
            assert reader.revision() == 0
    assert len(banks) == 1
    banks.close()
    with pytest.raises(InvalidInput, match="closed"), banks.lease("ann"):
        pass


def test_a_slow_opening_does_not_hold_up_other_users(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path)
    store.open("bob", create=True).close()
    begun, go_on = threading.Event(), threading.Event()

    def slow(owner: UserStore) -> MemoryBank:
        if owner.user_id == "ann":
            begun.set()
            assert go_on.wait(60)
        return make(owner)

    banks = Banks(store, slow, limit=4)

    def use() -> None:
        with banks.lease("ann", create=True):
            pass

    thread = threading.Thread(target=use)
    thread.start()
    assert begun.wait(60)
    with banks.lease("bob") as bank:
        assert bank.store.user_id == "bob"
    go_on.set()
    thread.join()
    banks.close()


def test_an_opening_that_fails_can_be_tried_again(tmp_path: Path) -> None:
    banks = Banks(SQLiteStore(tmp_path), make, limit=4)
    for _ in range(3):
        with pytest.raises(UnknownUser), banks.lease("ann"):
            pass
    with banks.lease("ann", create=True) as bank:
        assert bank.store.user_id == "ann"
    assert not banks._gates
    banks.close()


def test_a_bank_is_thrown_away_after_an_error_that_may_have_left_it_half_done(tmp_path: Path) -> None:
    banks = Banks(SQLiteStore(tmp_path), make, limit=4)
    with banks.lease("ann", create=True) as first:
        pass
    for error, is_kept in (
        (InvalidInput("x"), True),
        (StoreBusy("x"), True),
        (StoreFull("x"), True),
        (StoreUnavailable("x"), False),
        (StoreCorrupt("x"), False),
        (UserForgotten("x"), False),
        (RuntimeError("x"), False),
        (KeyboardInterrupt(), False),
    ):
        with banks.lease("ann") as before:
            pass
        with pytest.raises(type(error)), banks.lease("ann"):
            raise error
        with banks.lease("ann") as after:
            assert (after is before) is is_kept
    assert first is not after
    banks.close()


def test_an_evicted_file_that_cannot_be_closed_cleanly_is_no_error_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, max_open_users=1) as memory:
        memory.add("ann's", user_id="ann")

        def fail(_: SQLiteUser) -> None:
            raise StoreUnavailable("a disk error made by a test")

        with monkeypatch.context() as patched, caplog.at_level(logging.WARNING, "memagent"):
            patched.setattr(SQLiteUser, "close", fail)
            memory.add("bob's", user_id="bob")
        assert "a disk error made by a test" in caplog.text
        assert texts(memory) == ["ann's"]


def test_a_user_who_is_forgotten_in_the_midst_of_calls_gives_not_found_only(tmp_path: Path) -> None:
    wrong: list[BaseException] = []
    stop = threading.Event()
    with opened(tmp_path) as memory:

        def use(number: int) -> None:
            while not stop.is_set():
                try:
                    memory.add(f"text {number}", user_id="ann")
                    memory.search("text", user_id="ann")
                except (UnknownUser, UserForgotten):
                    pass
                except BaseException as error:
                    wrong.append(error)
                    return

        threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(30):
            with suppress(UnknownUser, UserForgotten):
                memory.forget_user(user_id="ann")
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert memory.verify()["ok"]
        memory.add("last", user_id="ann")
        memory.forget_user(user_id="ann")
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
