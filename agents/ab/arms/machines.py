"""Factorisation machines: FM (Rendle, 2010) and DeepFM (Guo et al., 2017), on ids, profiles and genres.

Both are trained to tell what was chosen from items drawn at random (binary cross-entropy), as click models are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from memagent.agents.ab.arms.fields import Features, Fields, fields_of
from memagent.agents.ab.arms.scoring import Scores, Training, Weights
from memagent.agents.ab.arms.torch_training import arrays_of, filled, one_thread, seeded, train
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from memagent.agents.ab.arms.machine_model import Machine

_PAIRS = 50_000  # scored at once

_Shown = Callable[["NDArray[np.int64]", np.random.Generator], tuple["NDArray[np.int64]", "NDArray[np.float64]"]]
"""For some training rows (n,): the items set before their users (n, m), and the labels of these (n, m)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FM:
    """A factorisation machine. ``negatives``: items drawn for each chosen one, uniformly."""

    factors: int = 32
    negatives: int = 4
    epochs: int = 20
    batch: int = 4096
    learning_rate: float = 2e-3
    weight_decay: float = 1e-6
    features: Features = "all"

    kind: ClassVar[str] = "fm"
    layers: ClassVar[tuple[int, ...]] = ()

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """The model's parameters."""
        return _fitted(self, training, _against_drawn(self, training), seed, checkpoint)

    def scores(self, weights: Weights, training: Training) -> Scores:
        """Log-odds of all items."""
        return _scores(self, weights, training)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepFM:
    """A factorisation machine and, beside it, a network of ``layers`` on the same embeddings."""

    factors: int = 32
    layers: tuple[int, ...] = (64, 32)
    dropout: float = 0.1
    negatives: int = 4
    epochs: int = 20
    batch: int = 4096
    learning_rate: float = 2e-3
    weight_decay: float = 1e-6
    features: Features = "all"

    kind: ClassVar[str] = "deepfm"

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """The model's parameters."""
        return _fitted(self, training, _against_drawn(self, training), seed, checkpoint)

    def scores(self, weights: Weights, training: Training) -> Scores:
        """Log-odds of all items."""
        return _scores(self, weights, training)


def _model(recipe: FM | DeepFM, fields: Fields, seed: int) -> Machine:
    from memagent.agents.ab.arms.machine_model import Machine

    dropout = recipe.dropout if isinstance(recipe, DeepFM) else 0.0
    with seeded(seed):
        return Machine(fields, factors=recipe.factors, layers=recipe.layers, dropout=dropout)


def fit_on_labels(recipe: FM | DeepFM, training: Training, labels: NDArray[np.float64], *, seed: int) -> Weights:
    """The model's parameters, learned from labelled rows as click models are: row i of the training ratings has the
    label ``labels[i]``, 1 for liked or clicked and 0 for not, and nothing is drawn.

    Its scores are log-odds of the label. Raises InvalidInput for no rows, or labels of another number than rows.
    """
    if len(labels) != len(training.ratings):
        raise InvalidInput(f"{len(labels)} labels for {len(training.ratings)} rows", hint="give every row its label")

    def shown(rows: NDArray[np.int64], random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return training.ratings.items[rows, None], labels[rows, None]

    return _fitted(recipe, training, shown, seed, None)


def _against_drawn(recipe: FM | DeepFM, training: Training) -> _Shown:
    """What was chosen, label 1, and ``negatives`` items drawn for it, label 0."""
    label = np.eye(1, recipe.negatives + 1)

    def shown(rows: NDArray[np.int64], random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        drawn = random.integers(0, training.items, size=(len(rows), recipe.negatives))
        return np.concatenate([training.ratings.items[rows, None], drawn], axis=1), label.repeat(len(rows), axis=0)

    return shown


def _fitted(recipe: FM | DeepFM, training: Training, shown: _Shown, seed: int, checkpoint: Path | None) -> Weights:
    if not len(training.ratings):
        raise InvalidInput(f"{recipe.kind} has nothing to learn from", hint="give it training rows")
    import torch

    model = _model(recipe, fields_of(training, recipe.features), seed)
    users = training.ratings.users

    def batches(random: np.random.Generator) -> Iterator[torch.Tensor]:
        order = random.permutation(len(users))
        for first in range(0, len(order), recipe.batch):
            rows = order[first : first + recipe.batch]
            items, labels = shown(rows, random)
            odds = model(torch.from_numpy(users[rows]), torch.from_numpy(items))
            yield torch.nn.functional.binary_cross_entropy_with_logits(odds, torch.from_numpy(labels).to(odds.dtype))

    with seeded(seed):
        train(
            model,
            batches,
            epochs=recipe.epochs,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            seed=seed,
            checkpoint=checkpoint,
        )
    return arrays_of(model)


def _scores(recipe: FM | DeepFM, weights: Weights, training: Training) -> Scores:
    import torch

    model = _model(recipe, fields_of(training, recipe.features), 0)
    filled(model, weights)
    code_of = {user: code for code, user in enumerate(training.dataset.user_ids)}
    everything = torch.arange(training.items)[None, :]

    def of(user: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        with one_thread(), torch.inference_mode():
            odds: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = model(torch.tensor([code_of[user]]), everything)[
                0
            ].numpy()
        return odds

    return of


def pair_scores(
    recipe: FM | DeepFM, weights: Weights, training: Training, users: NDArray[np.int64], items: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The log-odds of pairs of user and item codes, (n,)."""
    import torch

    model = _model(recipe, fields_of(training, recipe.features), 0)
    filled(model, weights)
    found = []
    with one_thread(), torch.inference_mode():
        for first in range(0, len(users), _PAIRS):
            rows = slice(first, first + _PAIRS)
            odds = model(torch.from_numpy(users[rows]), torch.from_numpy(items[rows, None]))
            found.append(odds[:, 0].numpy())
    return np.concatenate(found) if found else np.empty(0, dtype=np.float32)
