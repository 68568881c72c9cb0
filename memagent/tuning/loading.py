"""Loads what is tuned: a causal language model and its tokenizer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from memagent.tuning.settings import DpoSettings

_NO_BARS = "TQDM_DISABLE"
_PACKAGES = ("peft", "trl", "datasets", "accelerate")


def check_extra() -> None:
    """Raises :class:`MissingExtra` unless all packages of the extra ``tune`` are installed."""
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingExtra(f"tuning needs {', '.join(missing)}", hint='pip install "memagent[tune]"')


def load_tokenizer(model: str | Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model. Raises InvalidInput where there is none, or it has no chat template."""
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(model))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"there is no model {str(model)!r}: {_first_line(error)}", hint="name its folder") from error
    if not tokenizer.chat_template:
        raise InvalidInput(f"the model {str(model)!r} has no chat template", hint="tune an instruction-tuned model")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(model: str | Path, settings: DpoSettings) -> PreTrainedModel:
    """The model, on the GPU if there is one and it may be used.

    Its weights are bfloat16 where adapters are tuned on a GPU, else float32, in which an update of 1e-6 still counts.
    """
    import torch
    from transformers import AutoModelForCausalLM

    gpu = on_gpu(settings)
    dtype = torch.bfloat16 if gpu and settings.lora is not None else torch.float32
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(str(model), dtype=dtype)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{str(model)!r} cannot be loaded: {_first_line(error)}", hint="name a model's folder"
        ) from error
    placed: PreTrainedModel = loaded.to("cuda" if gpu else "cpu")
    return placed


def on_gpu(settings: DpoSettings) -> bool:
    """Whether a GPU is used."""
    import torch

    return settings.device == "auto" and torch.cuda.is_available()


def add_adapter(model: PreTrainedModel, adapter: Path) -> Any:
    """The model with an adapter from a folder, to be tuned further. Raises InvalidInput if it was not made for it."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InvalidInput(
            f"the adapter {str(adapter)!r} does not fit the model: {_first_line(error)}",
            hint="name the model that it was tuned from",
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Without the libraries' progress bars, as a run has one of its own, and their warnings to one another."""
    import datasets
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    bars = os.environ.get(_NO_BARS)
    os.environ[_NO_BARS] = "1"  # all that trl's pass over the reference listens to
    shown = not datasets.are_progress_bars_disabled(), logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is deprecated and will be removed", FutureWarning)
            yield
    finally:
        if bars is None:
            del os.environ[_NO_BARS]
        else:
            os.environ[_NO_BARS] = bars
        if shown[0]:
            datasets.enable_progress_bars()
        if shown[1]:
            logging.enable_progress_bar()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
