"""Filters of LangGraph stores, over the values of items.

    {"status": "active"}                               equality
    {"price": {"$gte": 10, "$lt": 20}}                 $eq $ne $gt $gte $lt $lte $in $nin $contains $icontains
    {"address": {"city": "Lisbon"}}                    a field of a field
    {"$or": [{"a": 1}, {"b": 2}]}                      $and $or $not; several fields in one filter mean $and

A field that is missing is None: it is equal to None, and ``$ne`` and ``$nin`` hold for it. Otherwise operators mean
what they do in :mod:`memagent.bank.filters`: a flag is no number, a comparison of values without an order is false.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from memagent.bank.filters import OPERATORS, nested_deeper, same_value
from memagent.errors import InvalidFilter

Test: TypeAlias = Callable[[Any], bool]

_DEPTH = 50
_NAMES = ", ".join(f"${name}" for name in OPERATORS)
_COMBINATIONS = ("$and", "$or", "$not")


def compile_filter(filters: object) -> Test:
    """A test of one item's value; raises InvalidFilter, naming the valid operators."""
    if nested_deeper(filters, _DEPTH):
        raise InvalidFilter(f"a filter is nested more than {_DEPTH} deep", hint="flatten it")
    return _fields(filters)


def _fields(filters: object) -> Test:
    if not isinstance(filters, Mapping):
        raise InvalidFilter(f"a filter is a dict, not {type(filters).__name__}", hint='for example {"topic": "food"}')
    return _all([_field(name, condition) for name, condition in filters.items()])


def _all(tests: Sequence[Test]) -> Test:
    """Whether all tests hold. One test is that test: filters look at every item below a prefix."""
    return tests[0] if len(tests) == 1 else lambda value: all(test(value) for test in tests)


def _field(name: object, condition: Any) -> Test:
    if not isinstance(name, str):
        raise InvalidFilter(f"a filter field is a text, not {name!r:.100}", hint="use the names of a value's fields")
    if name in _COMBINATIONS:
        return _combination(name, condition)
    if name.startswith("$"):
        raise InvalidFilter(
            f"{name!r:.100} does not combine filters", hint=f"use {', '.join(_COMBINATIONS)}, or the name of a field"
        )
    test = _condition(name, condition)
    return lambda value: isinstance(value, dict) and test(value.get(name))


def _combination(name: str, condition: Any) -> Test:
    parts = [_fields(part) for part in (condition if isinstance(condition, list | tuple) else [condition])]
    if not parts:
        raise InvalidFilter(
            f"{name} needs at least one filter", hint=f'for example {{"{name}": [{{"topic": "food"}}]}}'
        )
    if name == "$and":
        return _all(parts)
    if name == "$or":
        return lambda value: any(part(value) for part in parts)
    return lambda value: not any(part(value) for part in parts)


def _condition(field: str, condition: Any) -> Test:
    if not isinstance(condition, Mapping):
        _refuse_foreign(field, condition)
        return _equality(condition)
    operations = [name for name in condition if isinstance(name, str) and name.startswith("$")]
    if not operations:
        return _fields(condition)
    if len(operations) < len(condition):
        raise InvalidFilter(f"the filter on {field!r:.100} mixes operators and fields", hint="use $and for both")
    return _all([_operation(field, name, condition[name]) for name in operations])


def _equality(wanted: Any) -> Test:
    """Equality as :func:`same_value` has it; the usual kinds by a shorter way, for every item below a prefix."""
    if wanted is None or isinstance(wanted, bool):
        return lambda value: value is wanted
    if isinstance(wanted, str):
        return lambda value: bool(value == wanted)
    if isinstance(wanted, int | float):
        return lambda value: value == wanted and not isinstance(value, bool)
    return lambda value: same_value(value, wanted)


def _operation(field: str, name: str, wanted: Any) -> Test:
    if name[1:] not in OPERATORS:
        raise InvalidFilter(f"unknown filter operator {name!r:.100} on {field!r:.100}", hint=f"use one of {_NAMES}")
    if name in ("$in", "$nin") and (isinstance(wanted, str | bytes | Mapping) or not isinstance(wanted, Sequence)):
        raise InvalidFilter(f"{name!r} on {field!r:.100} needs a list", hint=f'for example {{"{name}": ["a", "b"]}}')
    _refuse_foreign(field, wanted)
    test = OPERATORS[name[1:]]
    return lambda value: test(value, wanted)


def _refuse_foreign(field: str, wanted: Any) -> None:
    """Raise InvalidFilter for what no JSON value can be equal to."""
    parts = wanted.values() if isinstance(wanted, Mapping) else wanted if isinstance(wanted, list | tuple) else ()
    if not (wanted is None or isinstance(wanted, str | int | float | Mapping | list | tuple)):
        raise InvalidFilter(
            f"{field!r:.100} is compared with {type(wanted).__name__}, which no stored value can be",
            hint="use texts, numbers, flags, None, lists or dicts",
        )
    for part in parts:
        _refuse_foreign(field, part)
