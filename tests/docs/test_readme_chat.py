"""The README's chat with a vLLM server, with a process that plays vLLM; tests/vllm has it with a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import fake_vllm
import pytest
from readme import ROOT, chat_with_a_server

from memagent import Memory

pytestmark = pytest.mark.model


def test_the_chat_of_the_readme_remembers(tmp_path: Path) -> None:
    with Memory(tmp_path / "store") as memory:
        memory.add("I adopted a beagle called Rex.", user_id="ann")
    site = fake_vllm.install(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-c", chat_with_a_server()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])},
        input="My dog is afraid of thunder.\nWhat frightens Rex?\n\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "> You said: My dog is afraid of thunder.\n> You said: What frightens Rex?\n> "
    with Memory(tmp_path / "store") as memory:
        said = [item["memory"] for item in memory.get_all(user_id="ann")["results"]]
    assert any("You said: What frightens Rex?" in text for text in said)
