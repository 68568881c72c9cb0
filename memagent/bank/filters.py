"""Filters: which memories a search may see.

    {"topic": "food"}                                  equality
    {"price": {"gte": 10, "lt": 20}}                   eq ne gt gte lt lte in nin contains icontains
    {"topic": "*"}                                     the field is present
    {"AND": [...]}, {"OR": [...]}, {"NOT": ...}        combinations; several fields in one filter mean AND

Fields are metadata keys, and ``event_at``, ``created_at`` (times), ``session_id``, ``agent_id`` and ``role`` (holds if
any source message has it). A metadata key of one of these names is reached as ``metadata.role``. A comparison
between values that have no order (a text and a number, or flags) is false; ``ne`` and ``nin`` are the opposites of
``eq`` and ``in``, thus true of a missing field. ``icontains`` ignores case, and how accents are encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias
from unicodedata import normalize

from memagent.errors import InvalidFilter
from memagent.records import as_utc, to_micros
from memagent.stores.port import Attributes

Predicate: TypeAlias = Callable[[Attributes], bool]
_MISSING = object()
_DEPTH = 50


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def test(value: Any, wanted: Any) -> bool:
        texts = isinstance(value, str) and isinstance(wanted, str)
        return (texts or (_is_number(value) and _is_number(wanted))) and compare(value, wanted)

    return test


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same_value(value: Any, wanted: Any) -> bool:
    """Equality of JSON values. True == 1 in Python, but not to anybody who stored a flag."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, list | tuple) and isinstance(wanted, list | tuple):
        return len(value) == len(wanted) and all(map(same_value, value, wanted))
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        return value.keys() == wanted.keys() and all(same_value(value[key], wanted[key]) for key in value)
    return bool(value == wanted)


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, str):
        return isinstance(wanted, str) and wanted in value
    return isinstance(value, list | tuple) and any(same_value(item, wanted) for item in value)


def _icontains(value: Any, wanted: Any) -> bool:
    return isinstance(value, str) and isinstance(wanted, str) and _folded(wanted) in _folded(value)


def _folded(text: str) -> str:
    # Canonical caseless matching, Unicode standard, D145.
    return normalize("NFD", normalize("NFD", text).casefold())


OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": same_value,
    "ne": lambda value, wanted: not same_value(value, wanted),
    "gt": _ordered(lambda value, wanted: value > wanted),
    "gte": _ordered(lambda value, wanted: value >= wanted),
    "lt": _ordered(lambda value, wanted: value < wanted),
    "lte": _ordered(lambda value, wanted: value <= wanted),
    "in": lambda value, wanted: any(same_value(value, item) for item in wanted),
    "nin": lambda value, wanted: not any(same_value(value, item) for item in wanted),
    "contains": _contains,
    "icontains": _icontains,
}
"""What each operator says of a stored value and the value of a filter, both JSON."""
_NEGATIVE = frozenset({"ne", "nin"})
_TIMES = frozenset({"event_at", "created_at"})


def compile_filter(filters: object) -> Predicate:
    """A test for one unit's attributes; raises InvalidFilter, naming the valid operators."""
    return _compile(filters, 0)


def _compile(filters: object, depth: int) -> Predicate:
    if not isinstance(filters, Mapping):
        raise InvalidFilter(f"a filter is a dict, not {type(filters).__name__}", hint='for example {"topic": "food"}')
    if depth > _DEPTH:
        raise InvalidFilter(f"a filter is nested more than {_DEPTH} deep", hint="flatten it")
    tests = [_clause(key, value, depth) for key, value in filters.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda unit: all(test(unit) for test in tests)


def _clause(key: object, value: Any, depth: int) -> Predicate:
    if not isinstance(key, str) or not key:
        raise InvalidFilter(
            f"a filter field is a text, not {key!r}", hint="use metadata keys or event_at, session_id, role"
        )
    if key not in ("AND", "OR", "NOT"):
        return _field(key, value)
    parts = [_compile(part, depth + 1) for part in (value if isinstance(value, list | tuple) else [value])]
    if not parts:
        raise InvalidFilter(f"{key} needs at least one filter", hint=f'for example {{"{key}": [{{"topic": "food"}}]}}')
    if key == "AND":
        return lambda unit: all(part(unit) for part in parts)
    if key == "OR":
        return lambda unit: any(part(unit) for part in parts)
    return lambda unit: not any(part(unit) for part in parts)


def _field(field: str, condition: Any) -> Predicate:
    read = _reader(field)
    if isinstance(condition, str) and condition == "*":
        return lambda unit: any(value is not _MISSING for value in read(unit))
    operations = condition if isinstance(condition, Mapping) else {"eq": condition}
    if not operations:
        raise InvalidFilter(f"the condition on {field!r} is empty", hint='for example {"eq": "food"}')
    tests = [_operation(field, name, wanted, read) for name, wanted in operations.items()]
    return lambda unit: all(test(unit) for test in tests)


def _operation(field: str, name: object, wanted: Any, read: Callable[[Attributes], Sequence[Any]]) -> Predicate:
    if not isinstance(name, str) or name not in OPERATORS:
        raise InvalidFilter(f"unknown filter operator {name!r} on {field!r}", hint=f"use one of {', '.join(OPERATORS)}")
    if name in ("in", "nin") and (isinstance(wanted, str | bytes | Mapping) or not isinstance(wanted, Sequence)):
        raise InvalidFilter(f"{name!r} on {field!r} needs a list", hint=f'for example {{"{name}": ["a", "b"]}}')
    if field in _TIMES:
        wanted = [_moment(field, item) for item in wanted] if name in ("in", "nin") else _moment(field, wanted)
    elif not _is_json(wanted):
        raise InvalidFilter(
            f"{field!r} is compared with {type(wanted).__name__}, which no metadata can be",
            hint="use texts, numbers, flags, None, lists or dicts",
        )
    test = OPERATORS[name]
    if name in _NEGATIVE:
        return lambda unit: all(value is _MISSING or test(value, wanted) for value in read(unit))
    return lambda unit: any(value is not _MISSING and test(value, wanted) for value in read(unit))


def nested_deeper(value: object, levels: int) -> bool:
    """Whether lists and dicts stand in each other more than ``levels`` deep."""
    layer: list[object] = [value]
    for _ in range(levels + 1):
        inner = [part for part in layer if isinstance(part, Mapping | list | tuple)]
        layer = [item for part in inner for item in (part.values() if isinstance(part, Mapping) else part)]
        if not inner:
            return False
    return True


def _is_json(value: object) -> bool:
    if isinstance(value, list | tuple):
        return not nested_deeper(value, _DEPTH) and all(map(_is_json, value))
    if isinstance(value, Mapping):
        return not nested_deeper(value, _DEPTH) and all(map(_is_json, value.values()))
    return value is None or isinstance(value, str | int | float)


def _moment(field: str, value: Any) -> int:
    if not isinstance(value, str | datetime):
        raise InvalidFilter(
            f"{field!r} is compared with a time, not {value!r}", hint="pass an aware datetime or ISO 8601"
        )
    return to_micros(as_utc(value, field))


def _reader(field: str) -> Callable[[Attributes], Sequence[Any]]:
    """How to read a field: a unit's values for it (several for ``role``), or one marker if it has none."""
    if field == "role":
        return lambda unit: unit.roles or (_MISSING,)
    if field == "session_id":
        return lambda unit: (unit.session_id,)
    if field == "agent_id":
        return lambda unit: (_MISSING if unit.agent_id is None else unit.agent_id,)
    if field == "event_at":
        return lambda unit: (unit.event_at,)
    if field == "created_at":
        return lambda unit: (unit.created_at,)
    name = field.removeprefix("metadata.")
    return lambda unit: (unit.metadata.get(name, _MISSING),)
