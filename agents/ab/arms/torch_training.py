"""Training of torch models, epoch by epoch, from a checkpoint if there is one."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.errors import StoreCorrupt
from memagent.files import replacing

if TYPE_CHECKING:
    import torch

    from memagent.agents.ab.arms.scoring import Weights


def train(
    model: torch.nn.Module,
    batches: Callable[[np.random.Generator], Iterator[torch.Tensor]],
    *,
    epochs: int,
    learning_rate: float,
    weight_decay: float,
    seed: int,
    checkpoint: Path | None,
) -> None:
    """Adam on the losses that ``batches`` yields (each computed when it is asked for), ``epochs`` times over.

    The random numbers of an epoch come from ``seed`` and its number, so that training that goes on from a checkpoint
    ends where it would have ended. Raises StoreCorrupt for a damaged checkpoint.
    """
    import torch

    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, weight_decay=weight_decay)
    first = _resumed(model, optimiser, checkpoint)
    model.train()
    for epoch in range(first, epochs):
        torch.manual_seed(seed * 1_000_003 + epoch)  # of dropout
        with one_thread():
            for loss in batches(np.random.default_rng([seed, epoch, 29])):
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
        if checkpoint is not None:
            state = {"epoch": epoch + 1, "model": model.state_dict(), "optimiser": optimiser.state_dict()}
            with replacing(checkpoint, mode=0o666) as temporary:
                torch.save(state, temporary)
    model.eval()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes in one thread inside: sums then have one order, and results do not depend on how many cores there
    are. Models of this size gain little from more.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's own random numbers from ``seed`` inside, as they were before outside."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def arrays_of(model: torch.nn.Module) -> Weights:
    """All parameters, by name."""
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


def filled(model: torch.nn.Module, weights: Weights) -> None:
    """Put parameters back, ready for use."""
    import torch

    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    model.eval()


def _resumed(model: torch.nn.Module, optimiser: Any, checkpoint: Path | None) -> int:
    import torch

    if checkpoint is None or not checkpoint.exists():
        return 0
    if not zipfile.is_zipfile(checkpoint):
        raise StoreCorrupt(f"{checkpoint} is no checkpoint", hint="delete it; training begins again")
    try:
        state = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        return int(state["epoch"])
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise StoreCorrupt(f"{checkpoint} cannot be read: {error}", hint="delete it; training begins again") from error
