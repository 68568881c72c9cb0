"""The trainers of trl as they are used here: nothing is reported, printed or sent anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.tuning.loading import on_gpu, quiet
from memagent.tuning.pairs import PreferencePair

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from memagent.tuning.settings import DpoSettings, LoraSettings

Progress = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model that was trained, and what its trainer logged: a dict for each logged step."""

    model: Any
    log: tuple[dict[str, float], ...]


def train_sft(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[PreferencePair],
    folder: Path,
    settings: DpoSettings,
    *,
    progress: Progress | None = None,
) -> Trained:
    """Tune on the chosen outputs, each once for each prompt; the prompt itself is not learnt."""
    from datasets import Dataset
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    if settings.sft is None:
        return Trained(model=model, log=())
    unique = {(pair.instruction, pair.input, pair.chosen): pair.messages() for pair in pairs}
    rows = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in unique.values()]
    arguments = SFTConfig(
        **_common(folder, settings, settings.sft.epochs, settings.sft.learning_rate), completion_only_loss=True
    )

    class Quiet(SFTTrainer):
        def _send_telemetry(self) -> None:
            """Nothing is sent."""

        def create_model_card(self, *_args: Any, **_named: Any) -> None:
            """The card would say nothing about this model."""

    with quiet():
        trainer = Quiet(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=_peft(settings.lora),
        )
        return _run(trainer, folder, "sft", progress)


def train_dpo(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[PreferencePair],
    folder: Path,
    settings: DpoSettings,
    *,
    progress: Progress | None = None,
) -> Trained:
    """Tune on pairs against the model as it comes in, which may have an adapter already."""
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    adapted = hasattr(model, "peft_config")
    arguments = DPOConfig(
        **_common(folder, settings, settings.epochs, settings.learning_rate),
        beta=settings.beta,
        loss_type=["sigmoid"],
        disable_dropout=settings.lora is None or settings.lora.dropout == 0,  # an adapter's own is disabled with it
        # Without an adapter to switch off, a second model in memory would be the reference.
        precompute_ref_log_probs=settings.lora is None,
    )

    class Quiet(DPOTrainer):
        def _send_telemetry(self) -> None:
            """Nothing is sent."""

        def create_model_card(self, *_args: Any, **_named: Any) -> None:
            """The card would say nothing about this model."""

    with quiet():
        trainer = Quiet(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([pair.messages() for pair in pairs]),
            processing_class=tokenizer,
            peft_config=None if adapted else _peft(settings.lora),
        )
        return _run(trainer, folder, "dpo", progress)


def save_tuned(model: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Save the adapter alone, in peft's format, or the whole model with its tokenizer."""
    if hasattr(model, "peft_config"):
        model.save_pretrained(str(folder), selected_adapters=["default"])
        (folder / "README.md").unlink(missing_ok=True)  # an empty form
        return
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint that is whole: its state is written last."""
    found = []
    for place in folder.glob("checkpoint-*"):
        try:
            json.loads((place / "trainer_state.json").read_text("utf-8"))
            found.append((int(place.name.rpartition("-")[2]), place))
        except (OSError, ValueError):
            continue
    return max(found, default=(0, None))[1]


def _common(folder: Path, settings: DpoSettings, epochs: float, learning_rate: float) -> dict[str, Any]:
    gpu = on_gpu(settings)
    return {
        "output_dir": str(folder),
        "num_train_epochs": epochs,
        "learning_rate": learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "max_length": settings.max_length,
        "activation_checkpointing": settings.save_memory,
        "bf16": gpu,
        "use_cpu": not gpu,
        "dataloader_pin_memory": gpu,
        "seed": settings.seed,
        "save_strategy": "steps",
        "save_steps": settings.checkpoint_steps,
        "save_total_limit": 2,
        "logging_steps": 1,
        "disable_tqdm": True,
        "report_to": [],
    }


def _peft(lora: LoraSettings | None) -> Any:
    from peft import LoraConfig

    if lora is None:
        return None
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        bias="none",
        task_type="CAUSAL_LM",
    )


def _run(trainer: Any, folder: Path, name: str, progress: Progress | None) -> Trained:
    from transformers import PrinterCallback, TrainerCallback

    class Told(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if progress:
                progress(name, state.global_step, state.max_steps)

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Told())
    checkpoint = last_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    return Trained(model=trainer.accelerator.unwrap_model(trainer.model), log=tuple(log))
