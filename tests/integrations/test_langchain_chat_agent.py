"""The chat agent of examples/ remembers within a thread, across threads and across processes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from chat_doubles import Scripted
from fake_server import Fake, serving
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

import memagent
from memagent import Memory
from memagent.llm.chat_models import chat_model
from memagent.testing import HashingEncoder

ROOT = Path(memagent.__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "chat_agent.py"


def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chat_agent", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # the graph looks its state's annotations up there
    spec.loader.exec_module(module)
    return module


def test_a_thread_goes_on_and_another_thread_remembers() -> None:
    chat = example()
    model = Scripted()
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        agent = chat.build(memory, model, InMemorySaver())
        for thread, text in (("monday", "My beagle is called Rex."), ("monday", "He is afraid of thunder.")):
            assert "".join(chat.say(agent, "ann", thread, text)) == "I see."
        assert [str(m.text) for m in model.seen[-1]][1:] == [
            "My beagle is called Rex.",
            "I see.",
            "He is afraid of thunder.",
        ]
        "".join(chat.say(agent, "ann", "tuesday", "What is my beagle afraid of?"))
        assert "[user]: He is afraid of thunder." in str(model.seen[-1][-1].text)
        "".join(chat.say(agent, "bob", "wednesday", "What is my beagle afraid of?"))
        assert "<memories>" not in str(model.seen[-1])


def test_of_a_long_thread_the_model_sees_the_end() -> None:
    chat = example()
    model = Scripted()
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        agent = chat.build(memory, model, InMemorySaver())
        for number in range(4):
            "".join(chat.say(agent, "ann", "monday", f"{number} " + "word " * 1000))
        assert len(model.seen[-1]) < 8
        assert str(model.seen[-1][-1].text).startswith("3 ")


@pytest.mark.model
def test_another_process_goes_on_with_the_thread_and_remembers_other_threads(tmp_path: Path) -> None:
    def reply(body: dict[str, Any]) -> str:
        asked.append(body["messages"])
        return "I see."

    def talk(thread: str, text: str) -> str:
        chat, folder = example(), tmp_path / "chat-agent"
        folder.mkdir(exist_ok=True)
        with Memory(folder / "memory") as memory, SqliteSaver.from_conn_string(str(folder / "threads.db")) as threads:
            return "".join(chat.say(chat.build(memory, chat_model(fake.url), threads), "ann", thread, text))

    def talk_elsewhere(thread: str, text: str) -> str:
        done = subprocess.run(
            [sys.executable, str(EXAMPLE), "--user", "ann", "--thread", thread, "--model", fake.url],
            input=f"{text}\n\n",
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    asked: list[Any] = []
    with serving(Fake(reply=reply)) as fake:
        assert talk("monday", "My beagle is called Rex.") == "I see."
        assert talk_elsewhere("monday", "He is afraid of thunder.") == "I see.\n"
        assert [message["role"] for message in asked[-1]] == ["system", "user", "assistant", "user"]
        talk("tuesday", "What is my beagle afraid of?")
    last = asked[-1][-1]["content"]
    assert "[user]: He is afraid of thunder." in last
    assert last.endswith("What is my beagle afraid of?")
