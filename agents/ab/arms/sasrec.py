"""SASRec: the next choice from the order of the earlier ones, by a transformer (Kang and McAuley, ICDM 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from memagent.agents.ab.arms.scoring import Scores, Training, Weights
from memagent.agents.ab.arms.torch_training import arrays_of, filled, one_thread, seeded, train
from memagent.agents.ab.ratings import by_user
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from memagent.agents.ab.arms.sasrec_model import Transformer


@dataclass(frozen=True, slots=True, kw_only=True)
class SASRec:
    """Hyper-parameters. ``length``: the latest choices that are looked at.

    Unlike the paper, whose loss sets one drawn item against each true one, the loss is cross-entropy over all items
    (Klenitskiy and Vasilev, RecSys 2023): catalogues here are small enough.
    """

    factors: int = 64
    blocks: int = 2
    heads: int = 2
    length: int = 50
    dropout: float = 0.3
    epochs: int = 60
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0

    kind: ClassVar[str] = "sasrec"

    def fit(self, training: Training, *, seed: int, checkpoint: Path | None = None) -> Weights:
        """The model's parameters; raises InvalidInput for ratings without times."""
        if training.ratings.times is None or not len(training.ratings):
            raise InvalidInput("sasrec learns from the order of choices, and these have no times", hint="leave it out")
        import torch

        model = self._model(training, seed)
        windows = np.concatenate([self._windows(items) for items in _sequences(training).values()])

        def batches(random: np.random.Generator) -> Iterator[torch.Tensor]:
            order = random.permutation(len(windows))
            for first in range(0, len(order), self.batch):
                rows = torch.from_numpy(windows[order[first : first + self.batch]])
                yield model.loss(rows[:, :-1], rows[:, 1:])

        with seeded(seed):
            train(
                model,
                batches,
                epochs=self.epochs,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                seed=seed,
                checkpoint=checkpoint,
            )
        return arrays_of(model)

    def scores(self, weights: Weights, training: Training) -> Scores:
        """Log-odds of each item as the next choice."""
        import torch

        model = self._model(training, 0)
        filled(model, weights)
        histories = {training.dataset.user_ids[code]: items for code, items in _sequences(training).items()}

        def of(user: str) -> NDArray[np.float32]:
            latest = histories[user][-self.length :]
            padded = np.concatenate([np.zeros(self.length - len(latest), dtype=np.int64), latest + 1])
            with one_thread(), torch.inference_mode():
                odds: NDArray[np.float32] = model(torch.from_numpy(padded[None]))[0, -1].numpy()
            return odds

        return of

    def _model(self, training: Training, seed: int) -> Transformer:
        from memagent.agents.ab.arms.sasrec_model import Transformer

        with seeded(seed):
            return Transformer(
                items=training.items,
                factors=self.factors,
                blocks=self.blocks,
                heads=self.heads,
                length=self.length,
                dropout=self.dropout,
            )

    def _windows(self, items: NDArray[np.int64]) -> NDArray[np.int64]:
        """Pieces of ``length + 1`` choices (codes from 1, filled up with 0 in front), overlapping by one."""
        ends = range(len(items), 0 if len(items) == 1 else 1, -self.length)
        pieces = [items[max(0, end - self.length - 1) : end] + 1 for end in ends]
        return np.stack([np.pad(piece, (self.length + 1 - len(piece), 0)) for piece in pieces])


def _sequences(training: Training) -> dict[int, NDArray[np.int64]]:
    """Each user's items, oldest first; of equal times in the order of the rows."""
    ratings = training.ratings
    times = np.zeros(len(ratings), dtype=np.int64) if ratings.times is None else ratings.times
    found = {}
    for user, rows in by_user(ratings.users):
        found[user] = ratings.items[rows[np.argsort(times[rows], kind="stable")]]
    return found
