"""What a user does with a real vLLM: the README's chat, and an evaluation that is killed and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from readme import chat_with_a_server

import memagent.llm
from memagent import Memory
from memagent.llm import VLLMServer

pytestmark = [pytest.mark.vllm, pytest.mark.slow]


def evaluation(url: str, folder: Path) -> list[str]:
    """Six questions about the bundled histories; prompts that a window of 4,096 tokens holds."""
    return [
        *(sys.executable, "-m", "memagent", "eval", "qa", "--dataset", "demo", "--limit", "6"),
        *("--reader", url, "--judge", url, "--form", "text", "--retriever", "bm25", "--top-k", "4"),
        *("--max-tokens", "1500", "--reply-tokens", "24", "--concurrency", "2", "--timeout", "600"),
        *("--cache-dir", str(folder / "cache"), "--out", str(folder / "result.json"), "--markdown"),
    ]


def kept(folder: Path) -> int:
    """The rows that a run has kept so far."""
    partial = folder / "result.json.partial"
    return max(0, len(partial.read_text(encoding="utf-8").splitlines()) - 1) if partial.is_file() else 0


def finished(command: list[str], folder: Path) -> tuple[dict[str, Any], str]:
    """The result file of a run, and what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "result.json").read_text()), done.stdout


def test_an_evaluation_is_killed_resumed_and_then_asks_nothing(vllm_server: VLLMServer, tmp_path: Path) -> None:
    command = evaluation(f"{vllm_server.url}/v1", tmp_path)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as killed:
        while kept(tmp_path) < 2 and killed.poll() is None:
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        _, said = killed.communicate()
    assert killed.returncode == -signal.SIGKILL, said
    rows = kept(tmp_path)
    assert 2 <= rows < 6
    result, shown = finished(command, tmp_path)
    assert result["rows"][0]["n"] == 6
    assert set(result["rows"][0]["failures"]) <= {"the judge says neither yes nor no"}
    calls = result["this_run"]["calls"]
    assert 0 < calls <= 2 * (6 - rows)
    cache = result["this_run"]["prefix_cache"]["reader and judge"]
    assert cache["prompt_tokens"] > 0
    assert f"{cache['hit_rate'] * 100:.1f} % of {cache['prompt_tokens']:,} prompt tokens" in shown
    again, shown = finished(command, tmp_path)
    assert again["this_run"]["calls"] == 0
    assert "Prefix cache" not in shown
    assert again["rows"][0]["metrics"] == result["rows"][0]["metrics"]


def test_the_chat_of_the_readme(
    vllm_server: VLLMServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Memory(tmp_path / "store") as memory:
        memory.add("I adopted a beagle called Rex.", user_id="ann")
    lines = iter(["What is my beagle called?", ""])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memagent.llm, "VLLMServer", lambda model, **options: nullcontext(vllm_server))
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    exec(compile(chat_with_a_server(), "README.md", "exec"), {})
    reply = capsys.readouterr().out.strip()
    assert reply
    with Memory(tmp_path / "store") as memory:
        said = [item["memory"] for item in memory.get_all(user_id="ann")["results"]]
    assert any(reply in text for text in said)
