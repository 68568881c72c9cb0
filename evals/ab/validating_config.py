"""The file that describes a validation: that of an experiment, and what each angle needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from memagent.agents.ab.calibration import TARGETS
from memagent.evals.ab.config import ArmOf, Config

HeldOut: TypeAlias = Literal["validation", "test"]

ANGLES = ("model", "data", "features", "taste", "activity", "alignment", "errors", "off-policy")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sharing(_Part):
    """Data: which arms (by kind, or as in ``arms``) learn from which shares of the training rows."""

    arms: Annotated[list[ArmOf], Field(min_length=1)] = [ArmOf(kind="svd")]
    shares: list[float] = [0.5, 0.75, 1.0]

    @field_validator("arms", mode="before")
    @classmethod
    def _short_arms(cls, arms: Any) -> Any:
        return [{"kind": arm} if isinstance(arm, str) else arm for arm in arms] if isinstance(arms, list) else arms


class Featuring(_Part):
    """Features: the machine whose fields are taken away."""

    kind: Literal["fm", "deepfm"] = "deepfm"
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int = 0


class Mixing(_Part):
    """Taste: lists of ``items``, positives from these held-out parts."""

    items: Annotated[int, Field(ge=2)] = 20
    users: Annotated[int, Field(ge=1)] = 1000
    parts: Annotated[list[HeldOut], Field(min_length=1)] = ["validation", "test"]


class Calibrated(_Part):
    """Activity: in lists of ``arm`` (default: the one with the highest nDCG@20), budgets from up to ``users``.

    ``folds``: count every user once, with budgets from the other folds, instead of one half with those of the other.
    """

    arm: str | None = None
    users: Annotated[int, Field(ge=1)] = 1000
    folds: Annotated[int, Field(ge=2)] | None = None
    targets: dict[int, float] = Field(default_factory=lambda: dict(TARGETS))


class Aligned(_Part):
    """Alignment: yes or no to about ``items``, 1 liked to m unrated ones."""

    items: Annotated[int, Field(ge=2)] = 20
    users: Annotated[int, Field(ge=1)] = 1000
    ratios: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = [1, 2, 3, 9]
    parts: Annotated[list[HeldOut], Field(min_length=1)] = ["validation", "test"]


class Erring(_Part):
    """Errors: so many A/A tests of so many users, and so many experiments for each planted difference."""

    arm: str | None = None
    users: Annotated[int, Field(ge=2)] = 200
    repetitions: Annotated[int, Field(ge=1)] = 2000
    planted: Annotated[int, Field(ge=1)] = 1000


class Logged(_Part):
    """Off-policy: made-up logs, and Open Bandit where ``path`` names its folder (with random/ and bts/)."""

    path: Path | None = None
    campaigns: Annotated[list[str], Field(min_length=1)] = ["men", "women"]
    repetitions: Annotated[int, Field(ge=2)] = 1000
    clip: Annotated[float, Field(gt=0)] = 10.0


class Validation(Config):
    """An experiment whose users are validated; ``arms`` take part in the angle "model"."""

    title: str = "Validation of simulated users"
    arms: Annotated[list[ArmOf], Field(min_length=1)] = Field(
        default_factory=lambda: [ArmOf(kind=kind) for kind in ("random", "popularity", "item-knn", "svd")]
    )
    shares: Sharing = Sharing()
    features: Featuring = Featuring()
    taste: Mixing = Mixing()
    activity: Calibrated = Calibrated()
    alignment: Aligned = Aligned()
    errors: Erring = Erring()
    off_policy: Logged = Logged()
