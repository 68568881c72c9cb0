from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stored_turns import fast_directory

import memagent

KILLS, MOST = 220, 2_000
OUTCOMES = {"add: nothing", "update: nothing", "delete: nothing", "delete: all"}
HERE = Path(__file__).parent


def program(name: str, *arguments: object) -> dict[str, object]:
    """Run a program of this directory, in a process without threads or open files; what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(Path(memagent.__file__).parents[1])}
    command = [sys.executable, str(HERE / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    printed: dict[str, object] = json.loads(done.stdout)
    return printed


@pytest.mark.slow
def test_after_a_kill_at_any_moment_everything_acknowledged_is_there_and_nothing_is_half_done() -> None:
    with fast_directory() as directory:
        found = program("killed_writer.py", directory / "store", KILLS, MOST, 20250301, *sorted(OUTCOMES))
    outcomes = found["under way"]
    assert isinstance(outcomes, dict)
    assert KILLS < sum(outcomes.values()) <= MOST + 1
    assert isinstance(found["acknowledged"], int)
    assert found["acknowledged"] > KILLS
    assert set(outcomes) >= OUTCOMES, outcomes


@pytest.mark.slow
def test_four_processes_of_sixteen_threads_lose_nothing_and_readers_see_every_commit(tmp_path: Path) -> None:
    found = program("many_writers.py", tmp_path / "store", 4, 16, 8)
    assert found["turns"] == 4 * 16 * 8 + 1
