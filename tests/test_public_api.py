from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import memagent

PUBLIC = [
    "AsyncMemory",
    "Granularity",
    "Inferring",
    "MemagentError",
    "Memory",
    "Message",
    "Session",
    "__version__",
    "load_encoder",
]
HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "faiss",
    "sklearn",
    "langgraph",
    "langchain",
    "langchain_core",
    "numpy",
    "onnxruntime",
    "apsw",
    "matplotlib",
    "pydantic",
    "typer",
    "rich",
    "logging",
    "asyncio",
)
ROOT = Path(memagent.__file__).resolve().parents[1]


def python(code: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(memagent.__all__) == PUBLIC
    assert dir(memagent) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(memagent, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Memroy"):
        _ = memagent.Memroy


def test_importing_loads_no_heavy_library(tmp_path: Path) -> None:
    loaded = python(f"import memagent, sys; print(*(set({HEAVY!r}) & set(sys.modules)))", tmp_path)
    assert loaded.split() == []


def test_the_records_and_errors_need_no_library_at_all(tmp_path: Path) -> None:
    loaded = python(
        "import sys; from memagent import Granularity, MemagentError, Message, Session; "
        f"print(*(set({HEAVY!r}) & set(sys.modules)))",
        tmp_path,
    )
    assert loaded.split() == []


def test_importing_opens_nothing_but_its_own_code_and_writes_nothing(tmp_path: Path) -> None:
    code = """
import sys
opened = []
def watch(event, arguments):
    if event == "open":
        opened.append((str(arguments[0]), arguments[1]))
    elif event.startswith(("os.mkdir", "os.remove", "os.rename", "socket.", "subprocess.")):
        opened.append((event, "w"))
sys.addaudithook(watch)
import memagent
from memagent import Message
for name, mode in opened:
    if not name.endswith((".py", ".pyc")) or (mode or "r").strip("b") != "r":
        print(name, mode)
"""
    assert python(code, tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_making_a_memory_opens_and_makes_nothing(tmp_path: Path) -> None:
    code = """
import memagent
memory = memagent.Memory("store")
memory.users(), memory.stats(), memory.verify()
memory.close()
"""
    python(code, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_heavy_libraries_stay_away_from_a_memory_with_an_encoder_of_its_own(tmp_path: Path) -> None:
    code = f"""
import sys
from memagent import Memory
from memagent.testing import HashingEncoder
with Memory(":memory:", encoder=HashingEncoder(), background=False) as memory:
    memory.add("I keep bees.", user_id="ann")
    assert memory.search("bees", user_id="ann")["results"]
heavy = set({HEAVY!r}) - {{"numpy", "faiss", "apsw", "logging", "asyncio"}}
print(*(heavy & set(sys.modules)))
"""
    assert python(code, tmp_path).split() == []


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(memagent.__file__).parent / "py.typed").is_file()
