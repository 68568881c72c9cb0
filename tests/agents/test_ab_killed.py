from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from ab_killed_run import slow_experiment, still

SCRIPT = Path(__file__).with_name("ab_killed_run.py")


def test_a_run_that_was_killed_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL in the middle of a block, twice, then to the end."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    expected = slow_experiment().run(whole).visits
    for parts in (2, 4):
        process = subprocess.Popen([sys.executable, str(SCRIPT), str(killed), str(parts)])
        try:
            until = time.monotonic() + 300
            while not still(killed, parts).exists() and process.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.01)
        finally:
            process.kill()
        assert process.wait() == -9
    assert not (killed / "visits.jsonl").exists()
    assert slow_experiment().run(killed).visits == expected
    files = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == files
