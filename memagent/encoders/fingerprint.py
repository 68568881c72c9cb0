"""Names for vector spaces: what moves vectors goes in, where the model lies does not."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from memagent.encoders.files import remembered_digest, sha256_of
from memagent.encoders.model import ModelFolder
from memagent.encoders.packaged import PACKAGED_NAME, PACKAGED_SHA256, check_packaged
from memagent.errors import EncoderError

_OTHER_FORMATS = {"onnx", "openvino"}


def weight_files(folder: Path) -> list[Path]:
    """The weight files of every module, sorted; ``*.bin`` only where a folder has no ``*.safetensors``.

    Raises :class:`EncoderError` when there are none.
    """
    found = [
        path
        for pattern in ("*.safetensors", "*.bin")
        for path in folder.rglob(pattern)
        if not _OTHER_FORMATS & set(path.relative_to(folder).parts)
    ]
    safe = {path.parent for path in found if path.suffix == ".safetensors"}
    kept = sorted(path for path in found if path.suffix == ".safetensors" or path.parent not in safe)
    if not kept:
        raise EncoderError(f"{folder} holds no weights", hint="a model folder has a model.safetensors")
    return kept


def weights_digest(model: ModelFolder, cache_dir: Path) -> str:
    """SHA-256 of the weights: of the file itself where there is one, else of the digests of all.

    Raises :class:`EncoderError` when the packaged model's weights are not the official ones.
    """
    digests = [remembered_digest(path, cache_dir) for path in weight_files(model.folder)]
    digest = digests[0] if len(digests) == 1 else _hash(digests)
    check_packaged(model.folder, digest)
    return digest


def fingerprint(model: ModelFolder, *, weights: str, precision: str, long_text: str) -> str:
    """At most 64 ASCII characters: a readable name and 64 bits over all that moves vectors."""
    tokenizer = model.folder / "tokenizer.json"
    label = PACKAGED_NAME if weights == PACKAGED_SHA256 else f"{model.architecture or model.chain[0]}-{model.dim or 0}"
    content = {
        "weights": weights,
        "tokenizer": sha256_of(tokenizer) if tokenizer.is_file() else "",
        # Vectors leave every encoder normalised, so a Normalize module or its absence changes nothing.
        "chain": [kind for kind in model.chain if kind != "Normalize"],
        "pooling": model.pooling,
        "max_tokens": model.max_tokens,
        "prompts": [model.query_prompt, model.document_prompt],
        "precision": precision,
        "long_text": long_text,
    }
    return f"{re.sub(r'[^A-Za-z0-9._-]', '-', label)[:40]}/{_hash(content)[:16]}"


def _hash(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
