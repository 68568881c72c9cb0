"""``memagent llm``, with a process that plays vLLM and a chat model that plays the embedded one."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_vllm
import pytest
from fake_server import nobody
from typer.testing import CliRunner

import memagent
from memagent.cli import app
from memagent.errors import MissingExtra

ROOT = Path(memagent.__file__).resolve().parents[1]
RUNNER = CliRunner()

Start = Any


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Begin a command in a process of its own; gives it back with the URL that it announces."""
    path = fake_vllm.install(tmp_path / "site")
    begun: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **env: str) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "memagent", *arguments],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)]), **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )
        begun.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        return process, line.strip()

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def gone(pid: int) -> bool:
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        threading.Event().wait(0.05)
    return False


@pytest.mark.model
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_model_is_served_until_it_is_stopped(start: Start, tmp_path: Path, kind: signal.Signals) -> None:
    adapter = tmp_path / "tuned"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 8}')
    arguments = ["llm", "serve", "my/model", "--port", "0", "--log", "log", "--lora", f"tuned={adapter}"]
    process, line = start(*arguments, "--", "--max-model-len=99")
    url, name = line.split()
    assert name == "my/model"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", url)
    shown = RUNNER.invoke(app, ["llm", "check", url], catch_exceptions=False).stdout
    assert "tuned, my/model" in shown
    assert re.search(r"JSON schema\W.*yes", shown)
    assert re.search(r"pictures\W.*no", shown)
    process.send_signal(kind)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "ready after" in messages
    seen = json.loads((tmp_path / "log").read_text().splitlines()[0])
    assert seen["arguments"][-1] == "--max-model-len=99"
    assert gone(seen["pid"])


@pytest.mark.model
def test_a_server_that_ends_by_itself_ends_the_command(start: Start, tmp_path: Path) -> None:
    process, _ = start("llm", "serve", "m", "--port", "0", "--log", "log")
    os.kill(json.loads((tmp_path / "log").read_text().splitlines()[0])["pid"], signal.SIGKILL)
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "error: vLLM has ended" in messages


@pytest.mark.model
def test_the_interpreter_may_come_from_the_environment(start: Start) -> None:
    process, line = start("llm", "serve", "m", MEMAGENT_VLLM_PYTHON="/bin/false")
    assert line == ""
    _, messages = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "no Python that runs" in messages


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a model, or use --embedded"),
        (["m", "--embedded"], "name a model, or use --embedded"),
        (["m", "--lora", "tuned"], "write NAME=FOLDER"),
        (["m", "--lora", "=x"], "write NAME=FOLDER"),
    ],
)
def test_what_cannot_be_served(arguments: list[str], words: str) -> None:
    done = RUNNER.invoke(app, ["llm", "serve", *arguments])
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())


@pytest.mark.model
def test_a_server_that_cannot_be_reached_is_told_in_a_line() -> None:
    with nobody() as url:
        done = RUNNER.invoke(app, ["llm", "check", url])
    assert done.exit_code == 1
    assert "cannot be reached" in done.stderr


EMBEDDED = """
import sys
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from memagent.llm import embedded

class Played(FakeListChatModel):
    responses: list[str] = ["Hi."]
    model_name: str = "tiny"

    def load(self):
        pass

embedded.EmbeddedChat = Played
from memagent.cli import main
main()
"""


@pytest.mark.model
def test_the_embedded_model_is_served_and_said_to_be_poor(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", EMBEDDED, "llm", "serve", "--embedded", "--port", "0"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        assert process.stdout is not None
        url, name = process.stdout.readline().split()
        assert name == "tiny"
        assert "tiny" in RUNNER.invoke(app, ["llm", "check", url], catch_exceptions=False).stdout
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate(timeout=120)
        assert process.returncode == 130
        assert "answers are poor" in messages
    finally:
        process.kill()
        process.communicate()


def test_an_embedded_model_that_is_not_installed_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from memagent.llm import embedded

    def missing() -> Path:
        raise MissingExtra("the embedded model is not installed", hint="install it")

    monkeypatch.setattr(embedded, "packaged_gguf", missing)
    done = RUNNER.invoke(app, ["llm", "serve", "--embedded"])
    assert done.exit_code == 2
    assert "error: the embedded model is not installed" in done.stderr


@pytest.mark.parametrize("command", ["serve", "check"])
def test_the_help_has_an_example(command: str) -> None:
    assert f"Example: memagent llm {command}" in " ".join(RUNNER.invoke(app, ["llm", command, "--help"]).stdout.split())


@pytest.mark.parametrize(
    "extra", [["--lora", "a=b"], ["--max-model-len", "99"], ["--log", "x.log"], ["--dtype=float32"]]
)
def test_the_embedded_model_passes_over_nothing(extra: list[str]) -> None:
    refused = RUNNER.invoke(app, ["llm", "serve", "--embedded", *extra])
    assert refused.exit_code == 2, refused.output
