from __future__ import annotations

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import memagent

HERE = Path(__file__).parent


@cache
def namespace() -> list[str]:
    """A command that runs another one where it may mount; empty if that is not permitted here."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    for command in ([unshare, "--mount"], [unshare, "--map-root-user", "--mount"]):
        tried = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
        if tried.returncode == 0:
            return command
    return []


@pytest.mark.parametrize("check", ["read_only", "read_only_with_a_log", "read_only_here", "filled_up", "full"])
def test_a_disk_that_cannot_be_written_loses_nothing(check: str, tmp_path: Path) -> None:
    if not namespace():
        pytest.skip("mounting is not permitted here, not even in a namespace of its own")
    environment = {**os.environ, "PYTHONPATH": str(Path(memagent.__file__).parents[1])}
    command = [*namespace(), sys.executable, str(HERE / "odd_disks.py"), check, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
