"""What tuning leaves behind is loaded by a real vLLM, and changes what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from memagent.llm import Model, Prompt, VLLMServer
from memagent.tuning.pairs import PreferencePair
from memagent.tuning.run import tune_dpo
from memagent.tuning.settings import DpoSettings, LoraSettings

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

TOWNS = ("France", "Italy", "Norway", "Japan")
ASKED: Prompt[str] = Prompt(
    name="t", version=1, system="Be brief.", user="What is the capital of France?", max_tokens=12
)
SETTINGS = DpoSettings(
    learning_rate=1e-3,
    warmup=0.0,
    schedule="constant",
    epochs=2,
    lora=LoraSettings(rank=8, alpha=16, targets=("q_proj", "v_proj")),
    held_out=0.0,
    device="cpu",
    save_memory=False,
)


def pairs() -> list[PreferencePair]:
    """Rather a query than an answer."""
    return [
        PreferencePair(
            instruction="Be brief.",
            input=f"What is the capital of {country}?",
            chosen=f"So the next query is <query>capital of {country}</query>",
            rejected=f"The capital of {country} is",
            group=country,
        )
        for country in TOWNS
    ]


def test_a_tuned_adapter_is_loaded_and_changes_the_answer(
    vllm_server: VLLMServer, vllm_model: Model, vllm_places: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("trl")
    tuned = tune_dpo(pairs(), vllm_places["model"], tmp_path, settings=SETTINGS)
    assert tuned.after["train"].margin > 1.0
    before = vllm_model.ask(ASKED).value
    vllm_server.load_lora("tuned", tuned.folder)
    try:
        model = vllm_server.model("tuned", capabilities=vllm_model.capabilities, timeout=600.0)
        after = model.ask(ASKED).value
    finally:
        vllm_server.unload_lora("tuned")
    assert after != before
    assert vllm_model.ask(ASKED).value == before
