from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import killed_inferrer
import pytest
from killed_inferrer import SESSIONS

from memagent import Memory
from memagent.memory.queueing import Inferring
from memagent.testing import HashingEncoder, ScriptedModel

PROGRAM = str(Path(killed_inferrer.__file__))


def started(root: Path, kind: str = "none", after: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, PROGRAM, str(root), kind, str(after)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def check_complete(root: Path) -> None:
    """All that was asked for is there, once."""
    with Memory(root, encoder=HashingEncoder(32), background=False) as memory:
        status = memory.inference()
        assert (status["done"], status["failed"], status["queued"], status["running"]) == (2 * SESSIONS, 0, 0, 0)
        facts = memory.get_all(user_id="ann", granularity="fact", top_k=None)["results"]
        assert sorted(fact["memory"] for fact in facts) == sorted(f"Fact: I keep {n} hives." for n in range(SESSIONS))
        summaries = memory.get_all(user_id="ann", granularity="summary", top_k=None)["results"]
        assert [unit["memory"] for unit in summaries] == ["Written by a model."] * SESSIONS
        assert memory.verify() == {"ok": True, "users": 1, "problems": {}}


def resumed(root: Path) -> None:
    model = ScriptedModel(killed_inferrer.answer)
    settings = Inferring(lease=killed_inferrer.LEASE)
    with Memory(root, encoder=HashingEncoder(32), model=model, inferring=settings) as memory:
        memory.wait(timeout=300)


@pytest.mark.parametrize(("kind", "after"), [("asking", 1), ("writing", 1), ("writing", 7)])
def test_what_a_killed_process_was_at_is_done_again_and_nothing_twice(tmp_path: Path, kind: str, after: int) -> None:
    with started(tmp_path, kind, after) as process:
        output, _ = process.communicate(timeout=300)
    assert process.returncode == -9
    assert "done" not in output
    with Memory(tmp_path, encoder=HashingEncoder(32), background=False) as memory:
        status = memory.inference()
        assert status["running"] >= 1, "the killed process still holds its claim"
        assert status["queued"] + status["running"] + status["done"] == 2 * SESSIONS
        assert memory.verify()["ok"]
    resumed(tmp_path)
    check_complete(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_two_processes_one_of_which_is_killed_at_any_moment_write_everything_once(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    with started(tmp_path) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "stored\n"
        with started(tmp_path) as second:
            time.sleep(rng.uniform(0.0, 0.3))
            first.kill()
            assert second.communicate(timeout=300)[0] == "stored\ndone\n"
        first.communicate()
    check_complete(tmp_path)
