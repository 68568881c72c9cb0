"""What a sentence-transformers folder says about its model, read without loading it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memagent.errors import EncoderError

_POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""The switches of folders saved before sentence-transformers 6, by the name of today."""

_PLAIN_TRANSFORMER = {
    "max_seq_length",
    "do_lower_case",
    "transformer_task",
    "modality_config",
    "module_output_name",
}
"""The settings of a Transformer module whose input is text and whose output is the last hidden state."""

_NO_LIMIT = 1 << 20
"""Tokenizers without a limit state an astronomical one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A sentence-transformers model on disk.

    ``chain`` names its modules in order (``Transformer``, ``Pooling``, ...) and ``pooling`` the way
    token vectors become one; ``plain`` says that the chain is a transformer over text, one pooling and
    perhaps a normalisation, with no setting beyond those known here. ``dim`` and ``max_tokens`` (special
    tokens included) are None where only the loaded model knows them. The prompts are put before
    queries and before documents.
    """

    folder: Path
    name: str
    architecture: str
    chain: tuple[str, ...]
    pooling: str
    plain: bool
    dim: int | None
    max_tokens: int | None
    pad_id: int
    query_prompt: str
    document_prompt: str


def read_model(folder: Path, *, name: str) -> ModelFolder:
    """Read the model's configuration; raises :class:`EncoderError` when it is missing or damaged."""
    if not folder.is_dir():
        raise EncoderError(f"there is no model folder {folder}", hint="give a folder that holds a saved model")
    modules = _modules(folder)
    chain = tuple(kind for kind, _ in modules)
    config = _object(folder / "config.json", required="Transformer" in chain)
    bert = _object(folder / "sentence_bert_config.json")
    pooling = _object(folder / modules[1][1] / "config.json") if chain[1:2] == ("Pooling",) else {}
    prompts = _object(folder / "config_sentence_transformers.json").get("prompts") or {}
    mode = _pooling_mode(pooling)
    return ModelFolder(
        folder=folder,
        name=name,
        architecture=str(config.get("model_type", "")),
        chain=chain,
        pooling=mode,
        plain=chain[:2] == ("Transformer", "Pooling")
        and chain[2:] in {(), ("Normalize",)}
        and pooling.get("include_prompt", True) is True
        and _reads_text(bert),
        dim=_width(config, pooling, mode) if chain[2:] in {(), ("Normalize",)} else None,
        max_tokens=_limit(folder, config, bert) if chain[0] == "Transformer" else None,
        pad_id=_number(config.get("pad_token_id")) or 0,
        query_prompt=str(prompts.get("query") or ""),
        document_prompt=next((str(prompts[key]) for key in ("document", "passage", "corpus") if prompts.get(key)), ""),
    )


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Class name and sub-folder of each module; a bare transformer gets a mean pooling, as the library does."""
    path = folder / "modules.json"
    if not path.exists():
        if not (folder / "config.json").exists():
            raise EncoderError(f"{folder} holds no model", hint="a model folder has modules.json and config.json")
        return [("Transformer", ""), ("Pooling", "1_Pooling")]
    listed = _json(path)
    try:
        found = [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in listed]
    except (TypeError, KeyError) as error:
        raise EncoderError(f"{path} is damaged", hint="reinstall or download the model") from error
    if not found:
        raise EncoderError(f"{path} names no module", hint="reinstall or download the model")
    return found


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"cannot read {path}: {error}", hint="reinstall or download the model") from error


def _object(path: Path, *, required: bool = False) -> dict[str, Any]:
    if not path.exists() and not required:
        return {}
    value = _json(path)
    if not isinstance(value, dict):
        raise EncoderError(f"{path} is damaged: not a JSON object", hint="reinstall or download the model")
    return value


def _pooling_mode(pooling: dict[str, Any]) -> str:
    mode = pooling.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else mode or [new for old, new in _POOLINGS.items() if pooling.get(old)]
    return "+".join(modes) or "mean"


def _reads_text(bert: dict[str, Any]) -> bool:
    modality = bert.get("modality_config")
    text = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
    return (
        set(bert) <= _PLAIN_TRANSFORMER
        and not bert.get("do_lower_case")
        and modality in (None, text)
        and bert.get("transformer_task", "feature-extraction") == "feature-extraction"
    )


def _width(config: dict[str, Any], pooling: dict[str, Any], mode: str) -> int | None:
    keys = ("embedding_dimension", "word_embedding_dimension")
    width = next((pooling[key] for key in keys if key in pooling), config.get("hidden_size", config.get("dim")))
    return width * (1 + mode.count("+")) if isinstance(width, int) else None


def _limit(folder: Path, config: dict[str, Any], bert: dict[str, Any]) -> int | None:
    """Tokens seen at once, as sentence-transformers decides it: its own setting, else the smaller of two limits."""
    stated = _number(bert.get("max_seq_length"))
    if stated is not None:
        return stated
    tokenizer = _object(folder / "tokenizer_config.json")
    limits = [_number(tokenizer.get("model_max_length")), _number(config.get("max_position_embeddings"))]
    return min((limit for limit in limits if limit is not None and 0 < limit < _NO_LIMIT), default=None)


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) else None
