from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from failing_calls import FailingCalls
from stored_turns import USER, checked_turns, fast_directory, open_memory, turns

from memagent import Memory
from memagent.errors import DuplicateId, InvalidInput, MemagentError, UnknownMemory
from memagent.stores.sqlite import SQLiteStore
from memagent.testing.faulty_vfs import Failure, FaultyVFS

LONG = " ".join(f"word{n}" for n in range(700))  # more than a page


@pytest.fixture(scope="module")
def calls() -> Iterator[FailingCalls]:
    failing = FailingCalls()
    yield failing
    failing.close()


@pytest.fixture(scope="module")
def faults() -> Iterator[FaultyVFS]:
    vfs = FaultyVFS("memagent-faulty")
    yield vfs
    vfs.unregister()


class Script:
    """A fixed sequence of calls, and what is stored when the first n of them have returned."""

    def __init__(self, root: Path, vfs: str | None = None) -> None:
        self.root = root
        self.vfs = vfs
        self.memory = self.opened()
        self.ids: dict[str, str] = {}
        self.expected: dict[str, str] = {}

    def opened(self) -> Memory:
        return open_memory(self.root, store=SQLiteStore(self.root, timeout=1.0, vfs=self.vfs))

    def add(self, name: str, text: str, session: str) -> None:
        said = {"role": "user", "content": text, "id": name}
        (result,) = self.memory.add(said, user_id=USER, session_id=session)["results"]
        self.ids[name] = result["id"]

    def reply(self) -> None:
        said = {"role": "assistant", "content": "a reply", "id": "m1r"}
        self.memory.add(said, user_id=USER, session_id="s1")

    def reopen(self) -> None:
        memory, self.memory = self.memory, self.opened()
        memory.close()

    def search(self) -> None:
        found = self.memory.search("first words", user_id=USER, top_k=1)["results"]
        assert [result["id"] for result in found] == [self.ids["m1"]]

    def steps(self) -> list[tuple[str, Callable[[], object], dict[str, str | None]]]:
        """Name, call, and what it changes: texts by message name (None: deleted)."""
        first, second = "[user]: first words", f"[user]: second {LONG}"
        return [
            ("add", lambda: self.add("m1", "first words", "s1"), {"m1": first}),
            ("reply", self.reply, {"m1": f"{first}\n[assistant]: a reply"}),
            ("add more", lambda: self.add("m2", f"second {LONG}", "s2"), {"m2": second}),
            ("update", lambda: self.memory.update(self.ids["m2"], "changed"), {"m2": "changed"}),
            ("close session", lambda: self.memory.close_session("s1", user_id=USER), {}),
            ("search", self.search, {}),
            ("add to delete", lambda: self.add("m3", f"third {LONG}", "s2"), {"m3": f"[user]: third {LONG}"}),
            ("delete", lambda: self.memory.delete(self.ids["m3"]), {"m3": None}),
            ("reopen", self.reopen, {}),
            ("search again", self.search, {}),
            ("add last", lambda: self.add("m4", "fourth", "s3"), {"m4": "[user]: fourth"}),
        ]

    def stored(self) -> list[str]:
        return sorted(checked_turns(self.root).values())


def _after(expected: dict[str, str], change: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in {**expected, **change}.items() if text is not None}


def _run(script: Script, arm: AbstractContextManager[None], has_failed: Callable[[], bool]) -> str | None:
    """Run the script with one failing operation; the step that failed, None if the operation never came."""
    failed: str | None = None
    with arm:
        for name, call, change in script.steps():
            after = _after(script.expected, change)
            try:
                call()
            except MemagentError:
                assert failed is None, "one failure must not make a later call fail"
                failed = name
                _check_failed_step(script, call, after)
            script.expected = after
        came = has_failed()
        script.memory.close()
    assert script.stored() == sorted(script.expected.values())
    return (failed or "unnoticed") if came else None


def _run_all(run: Callable[[Path, int], str | None]) -> dict[str, int]:
    """Let the first, second, ... operation fail until there is none left; how often each step failed."""
    outcomes: dict[str, int] = {}
    for at in range(100_000):
        with fast_directory() as root:
            outcome = run(root, at)
        if outcome is None:
            return outcomes
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    raise AssertionError("there is no end of operations")


def _check_failed_step(script: Script, call: Callable[[], object], after: dict[str, str]) -> None:
    """All of the failed call is stored or none of it, in sound files; and it succeeds when repeated."""
    stored = script.stored()
    assert stored in (sorted(script.expected.values()), sorted(after.values()))
    try:
        call()
    except (DuplicateId, UnknownMemory):
        assert stored == sorted(after.values()), "it was not done, but cannot be done again"
        script.ids = {**script.ids, **_ids_by_name(script, after)}


def _ids_by_name(script: Script, after: dict[str, str]) -> dict[str, str]:
    by_text = {text: key for key, text in turns(script.memory).items()}
    return {name: by_text[text] for name, text in after.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failure", "only"),
    [
        ("error", None),
        pytest.param("full", ("write",), marks=pytest.mark.no_cover),  # the code that the first runs: measured once
        pytest.param("torn", ("write",), marks=pytest.mark.no_cover),
    ],
    ids=["any operation fails", "a write finds no space", "a write stops half-way"],
)
def test_every_file_operation_may_fail_once(faults: FaultyVFS, failure: Failure, only: tuple[str, ...] | None) -> None:
    outcomes = _run_all(
        lambda root, at: _run(
            Script(root, faults.name), faults.failing(at, failure=failure, only=only), lambda: faults.has_failed
        )
    )
    assert set(outcomes) >= {"add", "reply", "update", "close session", "delete"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="replaces a variadic C function")
@pytest.mark.parametrize("only", [("open", "ftruncate", "mmap", "fstat"), ("fcntl",)], ids=["memory", "locks"])
def test_every_operation_on_shared_memory_and_locks_may_fail_once(calls: FailingCalls, only: tuple[str, ...]) -> None:
    outcomes = _run_all(lambda root, at: _run(Script(root), calls.failing(at, only=only), lambda: calls.has_failed))
    assert set(outcomes) >= {"add"}


def test_nothing_is_acknowledged_before_it_is_synced(faults: FaultyVFS) -> None:
    with fast_directory() as root:
        script = Script(root, faults.name)
        for name, call, _ in script.steps():
            with faults.failing(1_000_000, only=("write", "sync")):
                call()
                if "write" in faults.operations:
                    assert faults.operations[-1] == "sync", f"{name} has returned with something unwritten"
                else:
                    assert name not in ("add", "reply", "update", "delete"), f"{name} has written nothing"
        script.memory.close()


def test_the_names_of_new_files_are_synced_before_their_first_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    original = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        original(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("there is no way to ask for the name of a descriptor")
    with fast_directory() as root, open_memory(root / "deep" / "memory") as memory:
        monkeypatch.setattr(os, "fsync", fsync)
        memory.add("first", user_id=USER)
        (path,) = root.rglob("*.db")
        first = list(synced)
        memory.add("second", user_id=USER)
    assert str(path.with_suffix(".new")) in first, "the new file itself"
    assert {str(parent) for parent in path.parents[:5]} <= set(first), "every directory with a new name in it"
    assert first.index(str(path.with_suffix(".new"))) < len(first) - 3, "its directories after the renaming"
    assert synced == first, "only once"


def test_a_copy_cannot_be_written_over_the_file_itself() -> None:
    with fast_directory() as root, open_memory(root) as memory:
        memory.add("first", user_id=USER)
        (path,) = root.rglob("*.db")
        with pytest.raises(InvalidInput, match="own file"):
            memory.backup(path, user_id=USER)
        assert list(turns(memory).values()) == ["first"]
