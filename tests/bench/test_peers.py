"""The comparison with other memory systems: its processes and their turns. The peers themselves are not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


class Counting:
    """Remembers what it was asked to do."""

    durable = True

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, object]] = []

    def add_all(self, user: str, texts: list[str]) -> None:
        self.calls.append(("add_all", user, texts))

    def add(self, user: str, text: str) -> None:
        self.calls.append(("add", user, text))

    def search(self, user: str, query: str) -> int:
        self.calls.append(("search", user, query))
        return len(query)

    def close(self) -> None:
        """Nothing is held."""


class InProcess:
    """A worker without a process; ``log`` is shared by several."""

    def __init__(self, name: str, log: list[str]) -> None:
        from peers_worker import answer

        self.system, self.durable, self._answer = name, True, answer
        self._held, self._log = Counting(), log

    def ask(self, **work: Any) -> dict[str, Any]:
        self._log.append(f"{self.system}:{len(work['calls'])}")
        return self._answer(self._held, json.loads(json.dumps(work)))


def test_each_line_of_work_is_done_and_every_call_timed() -> None:
    from peers_worker import answer

    system = Counting()
    assert answer(system, {"do": "add_all", "user": "ann", "texts": ["a", "b"]})["seconds"] >= 0
    assert len(answer(system, {"do": "add", "calls": [["ann", "c"], ["bo", "d"]]})["seconds"]) == 2
    searched = answer(system, {"do": "search", "calls": [["ann", "xy"], ["bo", "xyz"]]})
    assert (len(searched["seconds"]), searched["counts"]) == (2, [2, 3])
    assert system.calls == [
        ("add_all", "ann", ["a", "b"]),
        ("add", "ann", "c"),
        ("add", "bo", "d"),
        ("search", "ann", "xy"),
        ("search", "bo", "xyz"),
    ]


def test_systems_take_turns_of_ten_with_one_call_in_each_not_counted() -> None:
    from against_peers import in_turns

    log: list[str] = []
    numbers = count()
    made: Iterator[tuple[str, str]] = (("ann", "x" * next(numbers)) for _ in count())
    found = in_turns([InProcess("one", log), InProcess("two", log)], "search", 13, made)  # type: ignore[list-item]
    assert log == ["one:11", "two:11", "one:4", "two:4"]
    assert found["one"].counts == found["two"].counts == [*range(1, 11), 12, 13, 14]
    assert len(found["one"].seconds) == 13


def row(**changes: float) -> dict[str, Any]:
    fields = {"memories": 10, "users": 1, "bulk_add": 100.0, "single_add": 2.0, "search": 2.0, "search_p95": 3.0}
    return {**fields, "results": 5.0, "least": 5, "durable": True, **changes}


def test_limits_are_those_of_the_default_and_int8_stands_beside_them() -> None:
    from against_peers import _checks

    rows = {"memagent": row(), "memagent, int8": row(single_add=20.0), "mem0": row(bulk_add=10.0, single_add=8.0)}
    checks = {check.what: check for check in _checks(rows)}
    assert [check.holds for check in checks.values()] == [True, True, False, True]
    assert checks["bulk add, times as fast"].note == "int8: 10.0 x"
    assert checks["single add, times as fast"].note == "int8: 0.4 x, does not hold"


def test_the_table_fits_80_columns() -> None:
    from against_peers import _table
    from peers_worker import SYSTEMS
    from rich.console import Console

    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(_table({name: row(bulk_add=1234.5, search_p95=1234.5) for name in SYSTEMS}))
    assert "…" not in captured.get()
    assert "1,234" in captured.get()


@pytest.mark.slow
@pytest.mark.parametrize("system", ["memagent", "memagent, int8", "memagent, dense"])
def test_a_process_of_its_own_stores_and_finds(tmp_path: Path, system: str) -> None:
    from against_peers import Worker

    worker = Worker(Path(sys.executable), system, tmp_path)
    try:
        assert worker.durable
        worker.ask(do="add_all", user="ann", texts=["I keep bees.", "I sail."])
        worker.ask(do="add", calls=[["ann", "I paint."]])
        assert worker.ask(do="search", calls=[["ann", "What do I keep?"]])["counts"] == [3]
    finally:
        worker.close()


def test_nothing_is_told_where_nobody_watches() -> None:
    code = "import progress; progress.tell('working'); progress.clear()"
    done = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
