"""What the store does on a read-only and on a full disk; run by test_odd_disks.py in a mount namespace of its own.

python odd_disks.py CHECK DIRECTORY
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored_turns import checked_turns, open_memory, turns

from memagent import Memory
from memagent.errors import StoreError, StoreFull, StoreReadOnly, UnknownMemory, UnknownUser, UserForgotten
from memagent.stores.sqlite import SQLiteStore

PAGE = 4096


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def made_read_only(directory: Path) -> None:
    mount("--bind", directory, directory)
    mount("-o", "remount,ro,bind", directory)
    try:
        (directory / "probe").touch()
    except OSError:
        return
    raise AssertionError("the directory is not read-only")


def read_only(base: Path) -> None:
    """A file that was closed cleanly can be searched; nothing can be changed."""
    root = base / "memory"
    with open_memory(root) as memory:
        memory.add("the otter sleeps", user_id="ann", session_id="s")
        key = memory.add("the walrus sings", user_id="ann", session_id="s")["results"][0]["id"]
    before = checked_turns(root)
    made_read_only(root)
    with open_memory(root) as memory:
        assert memory.search("walrus", user_id="ann", top_k=1)["results"][0]["id"] == key
        assert memory.search("walrus", user_id="ann", top_k=1, retriever="bm25")["results"][0]["id"] == key
        calls: list[Callable[[], object]] = [
            lambda: memory.add("more", user_id="ann"),
            lambda: memory.add("a new user", user_id="bob"),
            lambda: memory.update(key, "other"),
            lambda: memory.delete(key),
            lambda: memory.delete_all(user_id="ann"),
            lambda: memory.close_session("s", user_id="ann"),
            lambda: memory.forget_user(user_id="ann"),
            lambda: memory.export(root / "export.jsonl", user_id="ann"),
            lambda: memory.backup(root / "backup.db", user_id="ann"),
        ]
        for call in calls:
            with pytest.raises(StoreReadOnly):
                call()
        with pytest.raises(UnknownUser):
            memory.search("anything", user_id="bob")
        memory.export(base / "export.jsonl", user_id="ann")
        memory.backup(base / "backup.db", user_id="ann")
        assert memory.verify()["ok"]
        assert turns(memory) == before
        assert memory.users() == ["ann"]


def read_only_with_a_log(base: Path) -> None:
    """A file whose last writer was killed is read with its log, or says that it cannot be; never without."""
    root = base / "memory"
    with open_memory(root) as memory:
        memory.add("closed cleanly", user_id="ann")
    killed_after(root, "never closed")
    shutil.copytree(root, base / "copy")
    shared_memory = next((base / "copy").rglob("*.db-shm"))
    shared_memory.unlink()
    for directory in (root, base / "copy"):
        made_read_only(directory)
    with open_memory(root) as memory:
        assert len(memory.search("closed", user_id="ann")["results"]) == 2
        assert memory.verify()["ok"]
        with pytest.raises(StoreReadOnly):
            memory.add("more", user_id="ann")
    with open_memory(base / "copy") as memory:
        with pytest.raises(StoreReadOnly, match="not closed cleanly"):
            memory.search("closed", user_id="ann")
        assert "not closed cleanly" in str(memory.verify()["problems"])


def killed_after(root: Path, text: str) -> None:
    """Add a text in a process that ends without closing anything."""
    child = os.fork()
    if not child:
        open_memory(root).add(text, user_id="ann")
        os._exit(0)
    os.waitpid(child, 0)


def read_only_here(base: Path) -> None:
    """Through a read-only mount one sees what is written through another: by this process, by others, and anew."""
    root, mounted = base / "memory", base / "mounted"
    with open_memory(root) as memory:
        memory.add("the first", user_id="ann")
    mounted.mkdir()
    mount("--bind", root, mounted)
    mount("-o", "remount,ro,bind", mounted)
    with open_memory(mounted) as here:
        assert found(here) == ["the first"]
        with open_memory(root) as there:
            for text in ("the second", "the third"):
                there.add(text, user_id="ann")
                assert found(here) == sorted(turns(there).values())
            there.forget_user(user_id="ann")
            with pytest.raises((UserForgotten, UnknownUser)):
                found(here)
            there.add("ann anew", user_id="ann")
        assert found(here) == ["ann anew"]
        for number in range(5):
            with open_memory(root) as there:
                there.add(f"note {number}", user_id="ann")
                expected = sorted(turns(there).values())
            assert found(here) == expected, number
        killed_after(root, "never closed")
        assert found(here) == sorted([*expected, "never closed"])
        assert here.verify()["ok"]
        assert [path.suffix for path in mounted.rglob("*.new")] == []


def found(memory: Memory) -> list[str]:
    """What a search finds of ann, sorted."""
    results = memory.search("the first", user_id="ann", top_k=100)["results"]
    return sorted(unit["memory"] for unit in results)


def small_disk(base: Path, size: str) -> Path:
    disk = base / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk)
    return disk


def full(base: Path) -> None:
    """Whatever finds no space says so, changes nothing, and succeeds when there is space again."""
    disk = small_disk(base, "2m")
    root = disk / "memory"
    rng = random.Random(5)
    failed = 0
    for free in [0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 50, 60]:
        shutil.rmtree(root, ignore_errors=True)
        with open_memory(root) as memory:
            first = memory.add("first " * 200, user_id="ann", session_id="s")["results"][0]["id"]
            memory.add("second", user_id="ann", session_id="s")
        for name, call in full_calls(first):
            failed += on_full_disk(disk, root, free * PAGE + rng.randrange(PAGE), name, call)
    assert failed > 60, failed


def full_calls(key: str) -> list[tuple[str, Callable[[Memory], object]]]:
    return [
        ("search", lambda memory: memory.search("second", user_id="ann")),
        ("add", lambda memory: memory.add("third " * 2000, user_id="ann", session_id="s")),
        ("new user", lambda memory: memory.add("bob is new", user_id="bob")),
        ("update", lambda memory: memory.update(key, "changed " * 300)),
        ("close", lambda memory: memory.close_session("s", user_id="ann")),
        ("delete", lambda memory: memory.delete(key)),
        ("forget", lambda memory: memory.forget_user(user_id="ann")),
    ]


def on_full_disk(disk: Path, root: Path, free: int, name: str, call: Callable[[Memory], object]) -> bool:
    """Make a call with so many bytes free; whether it failed."""
    before = sorted(checked_turns(root).values())
    with open_memory(root) as memory:
        if free % 2:
            turns(memory)  # the file is open already
        fill(disk, leave=free)
        try:
            call(memory)
            failed = False
        except StoreFull:
            failed = True
        except StoreError as error:
            raise AssertionError(f"{name} with {free} bytes free: {error!r}") from error
        if failed and name == "forget":
            # Reading the texts, to drop them from caches, may need space; erasing the files does not.
            SQLiteStore(root).forget("ann")
            (disk / "ballast").unlink()
            return True
        if failed and name != "delete":
            assert in_another_process(root, before), f"a failed {name} has changed something"
        (disk / "ballast").unlink(missing_ok=True)
        if failed:
            try:
                call(memory)
            except UnknownMemory:
                assert name == "delete"
        report = memory.verify()
        assert report["ok"], report
    return failed


def fill(disk: Path, *, leave: int) -> None:
    """Write until only so many bytes are free."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while (left := free_bytes(disk) - leave) >= PAGE:
                ballast.write(bytes(min(left, PAGE)))
        except OSError:
            return


def free_bytes(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def in_another_process(root: Path, expected: list[str]) -> bool:
    """Whether these texts are stored, as seen from a copy (a look at a full disk may itself find no space)."""
    copy = root.parent.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-r", root, copy], check=True)
    return sorted(checked_turns(copy).values()) == expected


def filled_up(base: Path) -> None:
    """Adding until the disk is full: everything acknowledged stays, and forgetting one user helps the others."""
    root = small_disk(base, "4m") / "memory"
    stored: dict[str, str] = {}
    with open_memory(root) as memory:
        memory.add("bob's words " * 400, user_id="bob")
        for number in range(10_000):
            text = f"number {number} " + "and so on " * (number % 40)
            try:
                (result,) = memory.add(text, user_id="ann")["results"]
            except StoreFull:
                break
            stored[result["id"]] = text
        assert 20 < number < 9_999
        with pytest.raises(StoreFull):
            memory.add("once more " * 2000, user_id="ann")
        assert turns(memory) == stored
        last = memory.search(f"number {number - 1}", user_id="ann", retriever="bm25", top_k=1)["results"][0]
        assert last["memory"] == stored[last["id"]]
        memory.forget_user(user_id="bob")
        (result,) = memory.add("there is space again", user_id="ann")["results"]
        stored[result["id"]] = "there is space again"
        assert memory.verify()["ok"]
    assert checked_turns(root) == stored


if __name__ == "__main__":
    checks = {
        "read_only": read_only,
        "read_only_with_a_log": read_only_with_a_log,
        "read_only_here": read_only_here,
        "full": full,
        "filled_up": filled_up,
    }
    checks[sys.argv[1]](Path(sys.argv[2]))
