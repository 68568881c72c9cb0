"""The file that describes an augmentation: that of an experiment, and who learns from what is simulated."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

from memagent.agents.ab.augmentation import LIKED, RANK_LIMIT
from memagent.evals.ab.config import ArmOf, Config

Negatives: TypeAlias = Literal["rated", "unrated"]
Seed: TypeAlias = Annotated[int, Field(ge=0)]


class Augmenting(BaseModel):
    """See :mod:`memagent.agents.ab.augmentation`.

    ``models`` learn (fm or deepfm); ``reference`` is the filter's, with its limit; ``seeds`` are of simulation and
    training. ``negatives``: what liked test rows are told from. "rated": test rows that were not liked, by a model that
    learned from labelled rows, as click models do; "unrated": items that the user has no row of, by the arm as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: Annotated[list[ArmOf], Field(min_length=1)] = [ArmOf(kind="fm"), ArmOf(kind="deepfm")]
    reference: ArmOf = ArmOf(kind="svd")
    rank_limit: Annotated[int, Field(ge=1)] = RANK_LIMIT
    liked: Annotated[float, Field(gt=1, le=5)] = LIKED
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0, 1, 2, 3, 4]
    negatives: Annotated[list[Negatives], Field(min_length=1)] = ["rated"]

    @field_validator("models", mode="before")
    @classmethod
    def _short_models(cls, models: Any) -> Any:
        return (
            [{"kind": one} if isinstance(one, str) else one for one in models] if isinstance(models, list) else models
        )

    @field_validator("reference", mode="before")
    @classmethod
    def _short_reference(cls, reference: Any) -> Any:
        return {"kind": reference} if isinstance(reference, str) else reference


class Augmented(Config):
    """An experiment whose clicks and views are added to the training rows of ``augment.models``."""

    title: str = "Learning from simulated clicks"
    augment: Augmenting = Augmenting()
