"""What each prompt sends, compared with the files in ``snapshots/``.

A changed prompt shows as a changed file in review. To write the files anew:

    MEMAGENT_UPDATE_SNAPSHOTS=1 pytest tests/prompts/test_prompt_snapshots.py

A prompt whose text changes gets a higher version, and with it a new file: results are told apart by the version.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sample_prompts import SAMPLES

from memagent.prompts.prompt import Prompt

FOLDER = Path(__file__).parent / "snapshots"
UPDATE = os.environ.get("MEMAGENT_UPDATE_SNAPSHOTS") == "1"
TEXT = "[user]: I moved to Lisbon yesterday.\n[assistant]: ¡Qué bien! 很好"


def shown(prompt: Prompt[object]) -> str:
    """Everything that a prompt is, to be read."""
    schema = json.dumps(prompt.schema(), indent=1, ensure_ascii=False)
    settings = f"max_tokens {prompt.max_tokens}, temperature {prompt.temperature:g}, choices {list(prompt.choices)}"
    return "\n".join(
        [f"== {prompt.label}: {settings}", "== system", prompt.system, "== user", prompt.user, "== answer", schema, ""]
    )


def file_of(prompt: Prompt[object]) -> Path:
    return FOLDER / f"{prompt.name}-{prompt.version}.txt"


@pytest.mark.parametrize("name", SAMPLES)
def test_a_prompt_sends_what_its_snapshot_shows(name: str) -> None:
    prompt = SAMPLES[name](TEXT)
    assert prompt.name == name
    file = file_of(prompt)
    if UPDATE:
        file.write_text(shown(prompt), encoding="utf-8")
    assert file.exists(), f"no snapshot of {prompt.label}: see the head of this file"
    assert file.read_text(encoding="utf-8") == shown(prompt), "raise the prompt's version, then update the snapshots"


def test_there_is_no_snapshot_of_a_prompt_that_is_gone() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {file_of(make(TEXT)).name for make in SAMPLES.values()}
