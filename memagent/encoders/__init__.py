"""Text to vectors: the port, the encoders behind it, and the way to get one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from memagent.errors import EncoderError, UnknownName

if TYPE_CHECKING:
    from memagent.encoders.model import ModelFolder
    from memagent.encoders.port import Encoder

__all__ = ["load_encoder"]

_TRACEABLE = {"bert", "camembert", "distilbert", "electra", "mpnet", "roberta", "xlm-roberta"}
"""Architectures whose export is known to give torch's vectors (each is tested)."""

_LARGEST_EXPORT = 1_500_000_000
"""Bytes of weights; an ONNX file in one piece ends at 2 GiB."""


def load_encoder(
    model: str | Path | None = None,
    *,
    backend: Literal["auto", "onnx", "torch"] = "auto",
    precision: Literal["float32", "int8"] = "float32",
    long_text: Literal["windows", "truncate"] = "windows",
    batch_size: int = 32,
    threads: int | None = None,
    cache_dir: str | Path | None = None,
) -> Encoder:
    """An encoder for ``model``: a folder, a Hugging Face name, or None for the packaged all-MiniLM-L6-v2.

    Nothing is loaded before the first text. ``backend="auto"`` takes ONNX Runtime for transformers it
    is known to reproduce (mean or first-token pooling), torch for everything else; float32 vectors of both
    agree to 1e-4 and carry one fingerprint. The first use of ONNX exports the model into ``cache_dir``
    (default: the user's cache folder), which takes some seconds and torch; later processes import
    neither. ``precision="int8"`` is for ONNX only. ``long_text`` says what becomes of a text longer than
    the model's window: the mean of its windows, or its beginning. ``batch_size`` limits the texts of a
    batch, which is limited by tokens too; ``threads`` is for ONNX Runtime, torch keeps its own setting.

    Raises :class:`EncoderError` when the model is missing or damaged, :class:`UnknownName` for an
    unknown option, :class:`~memagent.errors.InvalidInput` for a ``cache_dir`` that is no path.
    """
    from memagent.encoders.hub import find_model
    from memagent.encoders.model import read_model
    from memagent.files import as_path

    if backend not in {"auto", "onnx", "torch"}:
        raise UnknownName(f"unknown backend {backend!r}", hint="use one of 'auto', 'onnx', 'torch'")
    cache = None if cache_dir is None else as_path(cache_dir, "cache_dir")
    folder, name = find_model(model)
    found = read_model(folder, name=name)
    if backend == "onnx" or (backend == "auto" and _known_to_onnx(found)):
        from memagent.encoders.onnx import OnnxEncoder

        _refuse_without_graph(found)
        return OnnxEncoder(
            found,
            precision=precision,
            long_text=long_text,
            batch_size=batch_size,
            threads=threads,
            cache_dir=cache,
        )
    if precision == "int8":
        raise EncoderError(f"{name} cannot run in int8 here", hint='use precision="float32"')
    from memagent.encoders.sentence_transformers import SentenceTransformersEncoder

    return SentenceTransformersEncoder(found, long_text=long_text, batch_size=batch_size, cache_dir=cache)


def _exportable(model: ModelFolder) -> bool:
    from memagent.encoders.onnx_export import POOLINGS

    return model.plain and model.pooling in POOLINGS and (model.folder / "tokenizer.json").is_file()


def _known_to_onnx(model: ModelFolder) -> bool:
    from memagent.encoders.fingerprint import weight_files

    return (
        model.architecture in _TRACEABLE
        and _exportable(model)
        and sum(path.stat().st_size for path in weight_files(model.folder)) <= _LARGEST_EXPORT
    )


def _refuse_without_graph(model: ModelFolder) -> None:
    if not _exportable(model):
        raise EncoderError(
            f"{model.name} cannot be exported to ONNX (modules {' > '.join(model.chain)}, pooling {model.pooling})",
            hint='use backend="torch"',
        )
