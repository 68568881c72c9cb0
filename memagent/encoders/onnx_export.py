"""A model's ONNX files: made once, kept in the cache folder, checked before use.

One folder a model, named after its weights and pooling, holds ``float32.onnx``, ``int8.onnx``, a
note beside each (size, modification time, SHA-256) and a lock. A file that does not match its note
is made again.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.encoders.batching import padded
from memagent.encoders.files import exclusive, read_json, replace_atomically, sha256_of, stamp, write_json
from memagent.encoders.graph import INPUTS, OUTPUT, Graph
from memagent.encoders.model import ModelFolder
from memagent.encoders.runtime import onnx_runtime
from memagent.encoders.tokens import Tokens
from memagent.errors import EncoderError

if TYPE_CHECKING:
    from memagent.encoders.text_encoder import Precision
    from memagent.records import Vectors

EXPORT_FORMAT = 1
"""Raised when the exported graph changes, so that files of older versions are not used."""

POOLINGS = ("mean", "cls")
"""The poolings that can be exported."""

_OPSET = 17
_AGREEMENT = 1e-4
_INT8_COSINE = 0.9
_SAMPLES = [
    "",
    "Hello",
    "When did I say that I would move to Lyon, and why?",
    "Ünïcode: 你好, Привет, مرحبا, 🙂",
    "one two three four five six seven eight nine ten " * 60,
]


def exported(model: ModelFolder, *, precision: Precision, weights: str, cache_dir: Path, rebuild: bool = False) -> Path:
    """The model's ONNX file, made now when there is none, it is damaged, or ``rebuild`` is set.

    ``weights`` is the digest of the weights. Several processes may call this at once: one makes the
    file, the others wait for it. Raises :class:`EncoderError` when the model cannot be exported or the
    cache folder not written.
    """
    key = hashlib.sha256(f"{EXPORT_FORMAT} {weights} {model.pooling}".encode()).hexdigest()[:32]
    folder = cache_dir / "onnx" / key
    target = folder / f"{precision}.onnx"
    if not rebuild and _intact(target):
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with exclusive(folder / "lock"):
            if rebuild or not _intact(target):
                _make(model, folder, precision, rebuild=rebuild)
    except OSError as error:
        raise EncoderError(
            f"cannot write the model's ONNX file under {cache_dir}: {error.strerror or error}",
            hint='pass a cache_dir that can be written, or backend="torch"',
        ) from error
    return target


def _make(model: ModelFolder, folder: Path, precision: Precision, *, rebuild: bool) -> None:
    full = folder / "float32.onnx"
    if rebuild or not _intact(full):
        _write(full, partial(_export, model))
    if precision == "int8":
        _write(folder / "int8.onnx", partial(_quantise, model, full))


def _write(path: Path, make: Callable[[Path], None]) -> None:
    replace_atomically(path, make)
    write_json(path.with_suffix(".json"), {**stamp(path), "sha256": sha256_of(path)})


def _intact(path: Path) -> bool:
    """Whether the file is what was written; its content is read only when its modification time changed."""
    note = read_json(path.with_suffix(".json"))
    if note is None:
        return False
    try:
        now = stamp(path)
        if now["size"] != note.get("size"):
            return False
        return now["mtime_ns"] == note.get("mtime_ns") or sha256_of(path) == note.get("sha256")
    except OSError:
        return False


def _export(model: ModelFolder, path: Path) -> None:
    """Trace the model in torch and check that the result gives sentence-transformers' vectors."""
    from memagent.encoders.sentence_transformers import load_sentence_transformer

    loaded = load_sentence_transformer(model, device="cpu")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _trace(loaded[0].auto_model, model.pooling, path)
    except Exception as error:  # tracing runs the model's own code, which may raise anything
        raise EncoderError(f"cannot export {model.name} to ONNX: {error}", hint='use backend="torch"') from error
    expected = loaded.encode(_SAMPLES, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True)
    difference = float(np.abs(_sample_vectors(model, path) - expected).max())
    if not difference <= _AGREEMENT:
        raise EncoderError(
            f"the ONNX export of {model.name} differs from the model by {difference:.1e}", hint='use backend="torch"'
        )


def _trace(transformer: Any, pooling: str, path: Path) -> None:
    import torch

    class Pooled(torch.nn.Module):
        """Token ids and mask to one unit vector a row."""

        def __init__(self) -> None:
            super().__init__()
            self.transformer = transformer

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden = self.transformer(input_ids=ids, attention_mask=mask).last_hidden_state
            if pooling == "cls":
                pooled = hidden[:, 0]
            else:
                kept = mask.unsqueeze(-1).to(hidden.dtype)
                pooled = (hidden * kept).sum(1) / kept.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(pooled, dim=-1)

    transformer.set_attn_implementation("eager")
    rows, width = {0: "rows"}, {0: "rows", 1: "width"}
    # The second row is padded, so that the attention mask is part of the trace.
    mask = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
    torch.onnx.export(
        Pooled().eval(),
        (torch.ones_like(mask), mask),
        str(path),
        dynamo=False,
        opset_version=_OPSET,
        input_names=list(INPUTS),
        output_names=[OUTPUT],
        dynamic_axes={INPUTS[0]: width, INPUTS[1]: width, OUTPUT: rows},
    )


def _quantise(model: ModelFolder, full: Path, path: Path) -> None:
    """Weights to int8, one scale a column; activations are quantised as they come."""
    import onnx

    onnx_runtime()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    try:
        graph = onnx.load(full)
        # Says that shapes need no inference first; without it a warning goes to the root logger.
        graph.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
        quantize_dynamic(graph, path, weight_type=QuantType.QInt8, per_channel=True)
    except Exception as error:  # the quantiser raises whatever it meets
        raise EncoderError(f"cannot quantise {model.name}: {error}", hint='use precision="float32"') from error
    cosines = np.einsum("ij,ij->i", _sample_vectors(model, path), _sample_vectors(model, full))
    if not float(cosines.min()) >= _INT8_COSINE:
        raise EncoderError(f"{model.name} loses too much in int8", hint='use precision="float32"')


def _sample_vectors(model: ModelFolder, path: Path) -> Vectors:
    tokens = Tokens.from_file(model.folder / "tokenizer.json")
    room = None if model.max_tokens is None else model.max_tokens - tokens.specials
    sequences = [tokens.framed(ids[:room]) for ids in tokens.ids(_SAMPLES)]
    return Graph(path, threads=1).run(*padded(sequences, pad=model.pad_id))
