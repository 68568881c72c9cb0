"""Refusing hyper-parameters and queries that cannot be used, in the same words everywhere."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from memagent.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memagent.records import Query, Vector


def check_choice(field: str, value: object, valid: Sequence[str]) -> None:
    """Raise :class:`UnknownName` with the valid values unless ``value`` is one of them."""
    if value not in valid:
        raise UnknownName(f"{field} is {value!r}", hint=f"use one of {', '.join(map(repr, valid))}")


def check_number(field: str, value: object, low: float = 0.0, high: float = math.inf) -> None:
    """Raise :class:`InvalidInput` unless ``value`` is a finite number from ``low`` to ``high``."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high:
        return
    limits = f"from {low:g} to {high:g}" if high < math.inf else f"of at least {low:g}"
    raise InvalidInput(f"{field} is {value!r}", hint=f"pass a number {limits}")


def check_count(field: str, value: object) -> None:
    """Raise :class:`InvalidInput` unless ``value`` is a whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidInput(f"{field} is {value!r}", hint="pass a whole number of at least 1")


def check_mmr(mmr_lambda: object, pool: object) -> None:
    """Check the two settings of maximal marginal relevance."""
    if mmr_lambda is not None:
        check_number("mmr_lambda", mmr_lambda, 0.0, 1.0)
    check_count("pool", pool)


def needed_vector(query: Query, retriever: str) -> Vector:
    """The query's vector; raises :class:`InvalidInput` if it has none."""
    if query.vector is None:
        raise InvalidInput(f"retriever {retriever!r} needs the query's vector", hint="encode the query text")
    return query.vector
