from __future__ import annotations

import gc
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from memagent import Memory
from memagent.errors import InvalidInput
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder(32)


def open_databases(root: Path) -> int:
    """How many database files of this store the process has open."""
    count = 0
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with suppress(FileNotFoundError):  # the one that lists the directory is closed already
            target = descriptor.readlink()
            count += target.suffix == ".db" and root in target.parents
    return count


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="counts open files in /proc")


@needs_proc
def test_as_many_files_are_open_as_users_are_allowed(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False, max_open_users=2) as memory:
        for turn in range(3):
            for number in range(12):
                memory.add(f"note {turn} of {number}", user_id=f"user {number}")
                assert open_databases(tmp_path) <= 2
        for number in range(12):
            found = memory.search("note", user_id=f"user {number}")["results"]
            assert {item["memory"] for item in found} == {f"note {turn} of {number}" for turn in range(3)}
            assert open_databases(tmp_path) <= 2
        assert memory.stats() == {"users": 12, "open_users": 2}
        assert len(memory.users()) == 12
        assert memory.verify()["ok"]
        assert open_databases(tmp_path) <= 2
    assert open_databases(tmp_path) == 0


@needs_proc
def test_failed_calls_leave_no_file_open(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        memory.add("a", user_id="ann")
    with Memory(tmp_path, encoder=HashingEncoder(64), background=False) as other:
        for _ in range(20):
            with pytest.raises(Exception, match="encoder"):
                other.search("a", user_id="ann")
        gc.collect()
        assert open_databases(tmp_path) <= 1


def test_many_threads_share_few_places(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    with Memory(tmp_path, encoder=ENCODER, background=False, max_open_users=2) as memory:

        def work(worker: int) -> None:
            try:
                for number in range(12):
                    user_id = f"user {(worker + number) % 6}"
                    memory.add(f"note of {worker}", user_id=user_id)
                    assert all("note" in item["memory"] for item in memory.search("note", user_id=user_id)["results"])
            except BaseException as error:
                errors.append(error)
                raise

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert sum(memory.get_all(user_id=user)["total"] for user in memory.users()) == 8 * 12
        assert memory.stats()["open_users"] == 2


def test_users_in_ram_are_never_closed() -> None:
    with Memory(":memory:", encoder=ENCODER, background=False, max_open_users=1) as memory:
        for number in range(5):
            memory.add(f"note {number}", user_id=f"user {number}")
        for number in range(5):
            assert memory.get_all(user_id=f"user {number}")["results"][0]["memory"] == f"note {number}"


def test_two_memories_in_ram_are_two_worlds() -> None:
    with (
        Memory(":memory:", encoder=ENCODER, background=False) as one,
        Memory(":memory:", encoder=ENCODER, background=False) as other,
    ):
        one.add("a", user_id="ann")
        assert other.users() == []


@needs_proc
def test_a_memory_closed_inside_its_own_search_lets_go_of_all_files(tmp_path: Path) -> None:
    memory = Memory(tmp_path, encoder=ENCODER, background=False)
    for user_id in ("ann", "bob", "eve"):
        memory.add("a note", user_id=user_id)
    with memory._core.banks.lease("bob") as bank, bank.view() as view:
        memory.close()
        assert view is not None
        assert open_databases(tmp_path) >= 1
        with pytest.raises(InvalidInput, match="closed"):
            memory.search("note", user_id="ann")
    assert open_databases(tmp_path) == 0
    memory.close()
