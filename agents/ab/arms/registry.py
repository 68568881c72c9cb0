"""The kinds of arms, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from memagent.agents.ab.arms.factorisation import ALS, SVD
from memagent.agents.ab.arms.machines import FM, DeepFM
from memagent.agents.ab.arms.sasrec import SASRec
from memagent.agents.ab.arms.scoring import Recipe
from memagent.agents.ab.arms.simple import ItemKNN, Popularity, Random
from memagent.errors import InvalidInput, UnknownName

KINDS: Mapping[str, type[Any]] = {
    kind.kind: kind for kind in (Random, Popularity, ItemKNN, ALS, SVD, FM, DeepFM, SASRec)
}
"""``random popularity item-knn mf svd fm deepfm sasrec``."""


def recipe_of(kind: str, parameters: Mapping[str, Any] | None = None) -> Recipe:
    """A kind of arm with parameters; raises UnknownName, or InvalidInput for a value not of the default's type."""
    if kind not in KINDS:
        raise UnknownName(f"there is no arm {kind!r}", hint=f"one of {', '.join(KINDS)}")
    made = KINDS[kind]
    defaults = {field.name: field.default for field in fields(made)}
    values = {}
    for name, value in (parameters or {}).items():
        if name not in defaults:
            known = ", ".join(defaults) or "none"
            raise UnknownName(f"the arm {kind} has no parameter {name!r}", hint=f"its parameters: {known}")
        values[name] = _as_default(kind, name, value, defaults[name])
    recipe: Recipe = made(**values)
    return recipe


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
