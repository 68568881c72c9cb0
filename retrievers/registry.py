"""Retrievers by name, and their parameters from text.

A retriever is registered by its class or by the place of its class (``package.module:Class``), so that
the command line can list and check names without importing any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from importlib import import_module
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from memagent.errors import InvalidInput, UnknownName
from memagent.records import Granularity

if TYPE_CHECKING:
    from memagent.retrievers.port import Retriever

_places: dict[str, str | type] = {
    "adaptive": "memagent.retrievers.adaptive:Adaptive",
    "bm25": "memagent.retrievers.bm25:Bm25",
    "dense": "memagent.retrievers.dense:Dense",
    "hybrid": "memagent.retrievers.hybrid:Hybrid",
    "rf-mem": "memagent.retrievers.rf_mem:RFMem",
    "memgas": "memagent.retrievers.memgas:MemGAS",
}

_TRUTH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def register(name: str, kind: str | type) -> None:
    """Make a retriever known as ``name``: its class, or ``package.module:Class``, imported at first use.

    Raises :class:`InvalidInput` if another one has the name.
    """
    if _places.setdefault(name, kind) != kind:
        raise InvalidInput(f"retriever name {name!r} is taken", hint=f"choose a name other than {', '.join(names())}")


def names() -> tuple[str, ...]:
    """The names of all retrievers, sorted."""
    return tuple(sorted(_places))


def kind_of(name: str) -> type:
    """The class registered as ``name``; raises :class:`UnknownName` with the valid names."""
    try:
        place = _places[name]
    except (KeyError, TypeError):
        valid = ", ".join(map(repr, names()))
        raise UnknownName(f"unknown retriever {name!r}", hint=f"use one of {valid}") from None
    if isinstance(place, type):
        return place
    module, _, attribute = place.partition(":")
    kind: type = getattr(import_module(module), attribute)
    return kind


def parameters(name: str) -> dict[str, Any]:
    """The parameters of a retriever: field name to type."""
    kind = kind_of(name)
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind) if field.init}


def granularities(name: str) -> frozenset[Granularity]:
    """What a retriever can rank: all granularities, unless its class names those it can in ``granularities``."""
    ranked: frozenset[Granularity] = getattr(kind_of(name), "granularities", frozenset(Granularity))
    return ranked


def make(name: str, /, **params: Any) -> Retriever:
    """A retriever by name, with its parameters as values or as texts (from a command line).

    Raises :class:`UnknownName` for a name or parameter that does not exist, :class:`InvalidInput` for a
    value that does not fit; both name what is valid.
    """
    values = {field: parse_param(name, field, value) for field, value in params.items()}
    retriever: Retriever = kind_of(name)(**values)
    return retriever


def parse_param(name: str, field: str, value: Any) -> Any:
    """``value`` as parameter ``field`` of retriever ``name``; a text is read by the field's type.

    ``none`` or an empty text is None where None is allowed. Raises as :func:`make` does.
    """
    known = parameters(name)
    if field not in known:
        valid = ", ".join(map(repr, known)) or "no parameters"
        raise UnknownName(f"retriever {name!r} has no parameter {field!r}", hint=f"it has {valid}")
    kind = known[field]
    try:
        return _cast(value, kind)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"{name}.{field} is {value!r}", hint=f"pass {_readable(kind)}") from None


def _cast(value: Any, kind: Any) -> Any:
    """``value`` as a ``kind``; raises TypeError or ValueError if it cannot be one."""
    origin = get_origin(kind)
    if origin is Literal:
        return _matching(value, get_args(kind))
    if origin in (Union, UnionType):
        return _cast_union(value, get_args(kind))
    if kind in _READERS:
        return _READERS[kind](value)
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise TypeError


def _matching(value: Any, choices: tuple[Any, ...]) -> Any:
    for choice in choices:
        if value in (choice, str(choice)):
            return choice
    raise ValueError


def _cast_union(value: Any, kinds: tuple[Any, ...]) -> Any:
    if NoneType in kinds and (value is None or (isinstance(value, str) and value.lower() in {"", "none"})):
        return None
    for kind in kinds:
        if kind is not NoneType:
            try:
                return _cast(value, kind)
            except (TypeError, ValueError, OverflowError):
                continue
    raise ValueError


def _boolean(value: Any) -> bool:
    if isinstance(value, str):
        if value.lower() not in _TRUTH:
            raise ValueError
        return _TRUTH[value.lower()]
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


_READERS: dict[Any, Callable[[Any], Any]] = {bool: _boolean, int: _whole, float: _number, str: _text}
_WORDS: dict[Any, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _readable(kind: Any) -> str:
    """The type in words, for an error message."""
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return " or ".join("'none'" if part is NoneType else _readable(part) for part in get_args(kind))
    return _WORDS.get(kind, getattr(kind, "__name__", str(kind)))
