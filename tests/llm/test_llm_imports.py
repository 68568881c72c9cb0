from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import memagent
import memagent.llm

ROOT = Path(memagent.__file__).resolve().parents[1]
HEAVY = ("torch", "transformers", "langchain", "langchain_core", "langchain_openai", "openai", "langgraph", "numpy")


def loaded(code: str, names: tuple[str, ...], tmp_path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-B", "-c", f"{code}; import sys; print(*(set({names!r}) & set(sys.modules)))"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout.split()


def test_the_package_loads_nothing_by_itself(tmp_path: Path) -> None:
    assert loaded("import memagent.llm", (*HEAVY, "pydantic", "apsw", "asyncio"), tmp_path) == []


def test_a_prompt_and_a_scripted_model_need_no_model_library(tmp_path: Path) -> None:
    code = (
        "from memagent.llm import Prompt, drive; from memagent.testing import ScriptedModel; "
        "print(ScriptedModel(['Hi']).ask(Prompt(name='n', version=1, system='', user='?')).value)"
    )
    assert loaded(code, (*HEAVY, "pydantic"), tmp_path) == ["Hi"]


@pytest.mark.parametrize("name", memagent.llm.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(memagent.llm, name) is not None
    assert name in dir(memagent.llm)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Modle"):
        _ = memagent.llm.Modle
