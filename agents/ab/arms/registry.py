"""The kinds of arms, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.arms.artefacts import trained
from memagent.agents.ab.arms.factorisation import ALS, SVD
from memagent.agents.ab.arms.llm_ranker import LLMRanker, LLMRanking
from memagent.agents.ab.arms.machines import FM, DeepFM
from memagent.agents.ab.arms.port import Arm
from memagent.agents.ab.arms.sasrec import SASRec
from memagent.agents.ab.arms.scoring import Recipe, Training
from memagent.agents.ab.arms.simple import ItemKNN, Popularity, Random
from memagent.errors import InvalidInput, UnknownName
from memagent.llm.model import Model

if TYPE_CHECKING:
    from os import PathLike

KINDS: Mapping[str, type[Any]] = {
    kind.kind: kind for kind in (Random, Popularity, ItemKNN, ALS, SVD, FM, DeepFM, SASRec)
}
"""``random popularity item-knn mf svd fm deepfm sasrec``: those that are trained, and nothing else."""


def recipe_of(kind: str, parameters: Mapping[str, Any] | None = None) -> Recipe:
    """A kind of arm with parameters; raises UnknownName, or InvalidInput for a value not of the default's type."""
    if kind not in KINDS:
        raise UnknownName(f"there is no arm {kind!r} to train", hint=f"one of {', '.join(KINDS)}")
    recipe: Recipe = settings_of(KINDS[kind], parameters)
    return recipe


def arm_of(
    kind: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    training: Training,
    name: str | None = None,
    seed: int = 0,
    cache: str | PathLike[str] | None = None,
    model: Callable[[str], Model] = Model,
) -> Arm:
    """An arm, ready to recommend: of a kind that is trained (see :func:`trained`), or ``llm-ranker``.

    ``model`` makes the model that a ranker names. Raises as :func:`recipe_of` and :func:`trained` do, and InvalidInput
    for a ranker without a model.
    """
    if kind != LLMRanking.kind:
        if kind not in KINDS:
            known = ", ".join([*KINDS, LLMRanking.kind])
            raise UnknownName(f"there is no arm {kind!r}", hint=f"one of {known}")
        return trained(recipe_of(kind, parameters), training, name=name, seed=seed, cache=cache)
    settings: LLMRanking = settings_of(LLMRanking, parameters)
    if not settings.model:
        raise InvalidInput("the arm llm-ranker names no model", hint="parameters: {model: the URL of a server}")
    base = trained(recipe_of(settings.base), training, seed=seed, cache=cache)
    return LLMRanker(model(settings.model), base, training, settings, name=name)


def settings_of(made: type[Any], parameters: Mapping[str, Any] | None) -> Any:
    """A dataclass of settings with these values; raises as :func:`recipe_of`."""
    kind: str = made.kind
    defaults = {field.name: field.default for field in fields(made)}
    values = {}
    for name, value in (parameters or {}).items():
        if name not in defaults:
            known = ", ".join(defaults) or "none"
            raise UnknownName(f"the arm {kind} has no parameter {name!r}", hint=f"its parameters: {known}")
        values[name] = _as_default(kind, name, value, defaults[name])
    return made(**values)


def _as_default(kind: str, name: str, value: Any, default: Any) -> Any:
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(default):
        raise InvalidInput(
            f"{name} of the arm {kind} is {value!r}", hint=f"give a {type(default).__name__}, like {default!r}"
        )
    return value
