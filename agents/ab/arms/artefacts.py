"""Trained arms, kept: the same recipe on the same rows is trained once."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.agents.ab.arms.scoring import Recipe, ScoringArm, Training, Weights
from memagent.errors import StoreCorrupt
from memagent.files import directory_to_use, replacing

if TYPE_CHECKING:
    from os import PathLike

_FORMAT = 1
"""Raised when training changes: what was kept by another format is not used."""


def trained(
    recipe: Recipe,
    training: Training,
    *,
    name: str | None = None,
    seed: int = 0,
    cache: str | PathLike[str] | None = None,
) -> ScoringArm:
    """The arm of a recipe. With ``cache`` its weights, and checkpoints of long training, are kept in that folder.

    Raises InvalidInput for ratings that the recipe cannot learn from, StoreCorrupt for a damaged file in the cache.
    """
    if cache is None:
        weights = recipe.fit(training, seed=seed)
    else:
        weights = _kept(recipe, training, seed, directory_to_use(cache, "cache"))
    needs_history = getattr(recipe, "needs_history", True)
    return ScoringArm(name or recipe.kind, training, recipe.scores(weights, training), needs_history=needs_history)


def artefact_key(recipe: Recipe, training: Training, seed: int) -> str:
    """A digest of all that the weights depend on."""
    settings: Any = recipe
    facts = [_FORMAT, recipe.kind, asdict(settings), seed, training.dataset.user_ids, training.dataset.profiles]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(training.dataset.catalogue.fingerprint.encode())
    digest.update(training.ratings.fingerprint().encode())
    return digest.hexdigest()[:24]


def _kept(recipe: Recipe, training: Training, seed: int, folder: Path) -> Weights:
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{recipe.kind}-{artefact_key(recipe, training, seed)}"
    path = folder / f"{stem}.npz"
    if path.exists():
        return _read(path)
    checkpoint = folder / f"{stem}.checkpoint"
    weights = recipe.fit(training, seed=seed, checkpoint=checkpoint)
    with replacing(path, mode=0o666) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **{key: np.asarray(value) for key, value in weights.items()})
    checkpoint.unlink(missing_ok=True)
    return weights


def _read(path: Path) -> Weights:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StoreCorrupt(f"{path} cannot be read: {error}", hint="delete it; it is trained again") from error
