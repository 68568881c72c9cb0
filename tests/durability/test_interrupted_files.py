from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from failing_files import FileOperations
from stored_turns import checked_turns, fast_directory, open_memory, turns

from memagent import Memory
from memagent.errors import StoreError, UnknownUser
from memagent.stores.sqlite_user import owner_of

KILLED = 9
MANY = 10_000


def prepared(root: Path) -> None:
    """Two users; of ann a log that was not emptied."""
    with open_memory(root) as memory:
        memory.add("the otter belongs to bob", user_id="bob")
        memory.add("the walrus belongs to ann", user_id="ann")
    child = os.fork()
    if not child:
        open_memory(root).add("the second walrus of ann", user_id="ann")
        os._exit(0)
    os.waitpid(child, 0)


def killed_at(root: Path, at: int, call: Callable[[Memory], object]) -> bool:
    """Make a call in another process that dies at file operation number ``at``; False if it did not come so far."""
    child = os.fork()
    if not child:
        try:
            with FileOperations().watched(at, lambda: os._exit(KILLED)):
                call(open_memory(root))
            os._exit(0)
        except BaseException:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, KILLED), "the call failed before it was killed"
    return code == KILLED


def files(root: Path) -> set[str]:
    """The names, without endings, of all files."""
    return {path.name.partition(".")[0] for path in root.rglob("*") if path.is_file()}


def content(root: Path) -> bytes:
    """The bytes of all files; no connection of this process may be open."""
    return b"".join(path.read_bytes() for path in root.rglob("*") if path.is_file())


def check_forgotten(root: Path) -> None:
    """Nothing of ann is left, everything of bob."""
    assert files(root) == {owner_of("bob")}
    assert b"walrus" not in content(root)
    assert list(checked_turns(root, "bob").values()) == ["the otter belongs to bob"]


def test_a_killed_forgetting_leaves_all_of_the_user_or_is_finished_by_the_next_look() -> None:
    outcomes = []
    for at in range(MANY):
        with fast_directory() as root:
            prepared(root)
            if not killed_at(root, at, lambda memory: memory.forget_user(user_id="ann")):
                break
            with open_memory(root) as memory:
                there = "ann" in memory.users()
            outcomes.append(there)
            if there:
                assert len(checked_turns(root, "ann")) == 2
                with open_memory(root) as memory:
                    memory.forget_user(user_id="ann")
            check_forgotten(root)
    assert outcomes == sorted(outcomes, reverse=True), "once the user is gone, a later kill does not bring it back"
    assert set(outcomes) == {True, False}


@pytest.mark.parametrize("look", ["open", "create", "forget", "verify", "by id"])
def test_whoever_comes_next_finishes_a_forgetting(look: str) -> None:
    gone = 0
    for at in range(MANY):
        with fast_directory() as root:
            prepared(root)
            with open_memory(root) as memory:
                identifier = next(iter(turns(memory, "ann")))
            if not killed_at(root, at, lambda memory: memory.forget_user(user_id="ann")):
                break
            if (root / "users" / owner_of("ann")[:2] / f"{owner_of('ann')}.db").exists():
                continue
            gone += 1
            with open_memory(root) as memory:
                finish(memory, root, look, identifier)
            if look == "create":
                assert list(checked_turns(root, "ann").values()) == ["ann begins anew"]
                assert b"walrus" not in content(root)
            elif ".lock" not in {path.suffix for path in root.rglob(f"{owner_of('ann')}*")}:
                check_forgotten(root)
    assert gone > 5


def forget_again(memory: Memory, root: Path) -> None:
    """Repeat a forgetting that was cut off: it is finished and reported, unless nothing at all was left to do."""
    if any(owner_of("ann") in path.name for path in root.rglob("*")):
        assert memory.forget_user(user_id="ann")["user_id"] == "ann"
    else:
        with pytest.raises(UnknownUser):
            memory.forget_user(user_id="ann")


def finish(memory: Memory, root: Path, look: str, identifier: str) -> None:
    """Come across the user."""
    if look == "create":
        memory.add("ann begins anew", user_id="ann")
    elif look == "verify":
        assert memory.verify()["ok"]
    elif look == "open":
        with pytest.raises(UnknownUser):
            memory.search("walrus", user_id="ann")
    elif look == "forget":
        forget_again(memory, root)
    else:
        with pytest.raises(LookupError):
            memory.get(identifier)


def test_a_killed_first_call_leaves_no_user_or_a_whole_one() -> None:
    for at in range(MANY):
        with fast_directory() as root:
            if not killed_at(root, at, lambda memory: memory.add("first", user_id="ann")):
                break
            with open_memory(root) as memory:
                assert memory.users() in ([], ["ann"])
                if memory.users() == []:
                    assert files(root) == set()
            assert list(checked_turns(root, "ann").values()) in ([], ["first"])
            with open_memory(root) as memory:
                memory.add("again", user_id="ann")
            assert "again" in checked_turns(root, "ann").values()
    assert at > 10


def fail() -> None:
    raise OSError(errno.EIO, "a disk error made by a test")


@pytest.mark.parametrize("user_id", ["ann", "new"])
def test_a_failing_file_operation_of_add_is_reported_and_leaves_nothing(user_id: str) -> None:
    operations = FileOperations()
    failed = 0
    for at in range(MANY):
        with fast_directory() as root:
            prepared(root)
            before = sorted(checked_turns(root, user_id).values())
            with open_memory(root) as memory:
                try:
                    with operations.watched(at, fail):
                        memory.add("the call", user_id=user_id)
                except StoreError:
                    failed += 1
                    assert sorted(checked_turns(root, user_id).values()) == before
                    memory.add("the call", user_id=user_id)
                assert sorted(checked_turns(root, user_id).values()) == sorted([*before, "the call"])
            if len(operations.names) <= at:
                break
    assert failed > 3


def test_a_failing_file_operation_of_forget_can_be_repeated() -> None:
    operations = FileOperations()
    failed = 0
    for at in range(MANY):
        with fast_directory() as root:
            prepared(root)
            with open_memory(root) as memory:
                try:
                    with operations.watched(at, fail):
                        memory.forget_user(user_id="ann")
                except StoreError:
                    failed += 1
                    forget_again(memory, root)
            came = len(operations.names) > at
            with open_memory(root) as memory:
                assert memory.users() == ["bob"]
            check_forgotten(root)
        if not came:
            break
    assert failed > 5


def test_a_failing_file_operation_while_looking_is_reported() -> None:
    operations = FileOperations()
    for at in range(MANY):
        with fast_directory() as root:
            prepared(root)
            with open_memory(root) as memory:
                for call in (memory.users, memory.verify, lambda: memory.search("walrus", user_id="ann")):
                    try:
                        with operations.watched(at, fail):
                            call()
                    except StoreError:
                        call()
                assert sorted(turns(memory, "ann").values()) == [
                    "the second walrus of ann",
                    "the walrus belongs to ann",
                ]
            if at > 60:
                break
