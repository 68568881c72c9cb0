"""From a model's name to a folder on this disk."""

from __future__ import annotations

import re
from pathlib import Path

from memagent.encoders.packaged import PACKAGED_NAME, packaged_folder
from memagent.errors import EncoderError, InvalidInput

_OWNER = "sentence-transformers"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_SMALL_FILES = ("*.json", "*.txt", "*.model", "*.py")
_SKIPPED = ("onnx/*", "openvino/*")


def find_model(model: str | Path | None) -> tuple[Path, str]:
    """The folder that holds ``model`` and its readable name.

    ``None`` and all-MiniLM-L6-v2 are the packaged model where that is installed; a folder is used as
    it is; anything else is a name on the Hugging Face hub, taken from the local hub cache or downloaded
    (a name without owner is looked for among sentence-transformers' own). Raises
    :class:`EncoderError` when there is no such model, :class:`InvalidInput` for what is neither name nor path.
    """
    given: object = model
    if not isinstance(given, str | Path | None):
        raise InvalidInput(f"the model is {type(given).__name__}", hint="give a saved model's folder or a hub name")
    name = PACKAGED_NAME if model is None else str(model)
    if model is not None and _is_folder(name):
        return Path(name).resolve(), Path(name).resolve().name
    if name in {PACKAGED_NAME, f"{_OWNER}/{PACKAGED_NAME}"}:
        packaged = packaged_folder()
        if packaged is not None:
            return packaged, PACKAGED_NAME
    if isinstance(model, Path) or not _NAME.fullmatch(name):
        raise EncoderError(f"there is no model folder {name!r}", hint="give a saved model's folder or a hub name")
    owned = name if "/" in name else f"{_OWNER}/{name}"
    return _snapshot(owned), owned


def _is_folder(name: str) -> bool:
    try:
        return name != "" and Path(name).is_dir()
    except OSError:  # a name too long for the file system
        return False


def _snapshot(name: str) -> Path:
    """The model's folder in the hub cache, downloaded when it is not there."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    def fetch(*patterns: str, offline: bool = False) -> Path:
        return Path(
            snapshot_download(
                name,
                allow_patterns=[*_SMALL_FILES, *patterns],
                ignore_patterns=list(_SKIPPED),
                local_files_only=offline,
            )
        )

    try:
        try:
            folder = fetch(offline=True)
        except LocalEntryNotFoundError:
            folder = fetch("*.safetensors")
        if not has_weights(folder):
            folder = fetch("*.safetensors")
        return folder if has_weights(folder) else fetch("*.bin")
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise EncoderError(
            f"cannot get the model {name!r}: {error}",
            hint="check the name and the network, or give the folder of a saved model",
        ) from error


def has_weights(folder: Path) -> bool:
    """Whether any weight file lies in the folder or a module's sub-folder."""
    return any(True for pattern in ("*.safetensors", "*.bin") for _ in folder.rglob(pattern))
