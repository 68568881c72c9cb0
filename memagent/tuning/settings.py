"""How a model is tuned on preference pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from memagent.errors import InvalidInput, UnknownName

Device: TypeAlias = Literal["auto", "cpu"]
Schedule: TypeAlias = Literal["cosine", "linear", "constant"]


def _positive(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if not 0 < value < float("inf"):
            raise InvalidInput(f"{name} is {value}", hint="it is a number above 0")


def _whole(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if type(value) is not int or value < 1:
            raise InvalidInput(f"{name} is {value!r}", hint="it is a whole number, at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraSettings:
    """Low-rank adapters (Hu et al., 2022) in place of tuning all weights.

    ``rank`` and ``alpha`` as in the paper (the update is scaled by alpha / rank). ``targets``: the layers that get one,
    by the ends of their names; empty for all linear layers but the output layer. vLLM's default allows a rank of 16.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _whole(self, "rank", "alpha")
        if not 0 <= self.dropout < 1:
            raise InvalidInput(f"dropout is {self.dropout}", hint="it is 0 or more and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class SftSettings:
    """Supervised tuning on the chosen outputs before DPO, with the same adapter. ReasonRAG itself has none; an
    independent replication needed it to learn when to stop. Batches, length and schedule are those of the DPO.
    """

    epochs: float = 1.0
    learning_rate: float = 1e-5

    def __post_init__(self) -> None:
        _positive(self, "epochs", "learning_rate")


DEFAULT_LORA = LoraSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class DpoSettings:
    """Direct preference optimisation (Rafailov et al., 2023), sigmoid loss against the model as it was before.

    The defaults are ReasonRAG's published settings, made for tuning all weights (``lora`` None); the replication with
    adapters used beta 0.2 and a learning rate of 5e-6. ``warmup``: the share of steps in which the rate rises.
    ``max_length`` tokens of prompt and output: longer pairs are left out, never cut. ``held_out``: the share of pairs
    kept for measuring; pairs of one group stay together. ``measured``: at most so many pairs of either part are
    measured before and after. ``save_memory`` computes activations twice. ``checkpoint_steps``: a stopped run goes on
    from the last multiple of it.
    """

    beta: float = 0.3
    learning_rate: float = 1e-6
    schedule: Schedule = "cosine"
    warmup: float = 0.2
    epochs: float = 1.0
    batch_size: int = 1
    accumulation: int = 2
    max_length: int = 10_000
    held_out: float = 0.1
    lora: LoraSettings | None = DEFAULT_LORA
    sft: SftSettings | None = None
    seed: int = 0
    device: Device = "auto"
    measured: int = 256
    save_memory: bool = True
    checkpoint_steps: int = 100

    def __post_init__(self) -> None:
        _positive(self, "beta", "learning_rate", "epochs")
        _whole(self, "batch_size", "accumulation", "max_length", "measured", "checkpoint_steps")
        for name, valid in (("schedule", get_args(Schedule)), ("device", get_args(Device))):
            if getattr(self, name) not in valid:
                raise UnknownName(f"{name} is {getattr(self, name)!r}", hint=f"use one of {', '.join(valid)}")
        for name in ("warmup", "held_out"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}", hint="it is a share: 0 or more and below 1")

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DpoSettings:
        """What :meth:`to_json` has written."""
        lora, sft = value["lora"], value["sft"]
        made = LoraSettings(**{**lora, "targets": tuple(lora["targets"])}) if lora else None
        return cls(**{**value, "lora": made, "sft": SftSettings(**sft) if sft else None})


PUBLISHED = DpoSettings(lora=None)
"""ReasonRAG's released configuration, all weights tuned."""
