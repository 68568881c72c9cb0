"""From a JSON value to the answer's type: what a model gets nearly right is mended, and each mending is named.

``key name`` (``Is Relevant`` for ``is_relevant``), ``wrong type`` (a number for a text, one item for a list of one,
``"Yes."`` for one of the values allowed, null for what has a default), ``encoded twice`` (JSON in a string),
``wrapped`` (the answer inside another object), ``extra keys``. Nothing is made up: a missing field stays missing.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from memagent.errors import MalformedReply
from memagent.llm.loose_json import NotJson, read_value

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")

_ROUNDS = 4
_SHOWN = 4  # problems that the model is told of at once
_UNWRAPPINGS = 3
_MISSING = object()
_WRAPPERS = {"answer", "result", "results", "output", "response", "reply", "value", "json", "data"}
_EXPECTED = re.compile(r"'((?:[^'\\]|\\.)*)'|(?<![\w.])(-?\d+)(?![\w.])")
_COUNT = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(?:/\s*\d+|out of\s+\d+|points?|%|\.)?\s*\Z", re.IGNORECASE)
_LEADING = re.compile(r"\W*(\w+)")
_ALTERNATIVES = re.compile(r"\W*(\w+)\s*(?:/|\||\bor\b)\W*(\w+)", re.IGNORECASE)
_BULLET = re.compile(r"\s*(?:[-*+\u2022\u2013\u00b7]|\(?\d{1,3}[.)])\s+(?=\S)")
_NOTHING = {"none", "null", "na"}
_TELLING = 3  # characters of a value from which on it is not often another word
_FEW_WORDS = 4  # of an item in a list that is written with commas
_REASONS = {"missing": "missing field", "literal_error": "unknown value", "enum": "unknown value"}
_INVALID = ("value_error", "assertion_error", "greater_than", "less_than", "too_short", "too_long", "string_pattern")


def fit(schema: type[M], value: object) -> tuple[M, frozenset[str]]:
    """``value`` as the answer's type, and what was mended. Raises :class:`MalformedReply` with the reason."""
    repairs: set[str] = set()
    tried = _unwrapped(schema, value, repairs)
    for _ in range(_ROUNDS):
        made, problems = _validated(schema, tried)
        if made is not None:
            return made, frozenset(repairs)
        mended = copy.deepcopy(tried)
        done = {name for problem in problems if (name := _mend(mended, problem))}
        if not done:
            break
        repairs |= done
        tried = mended
    raise _malformed(problems)


def field_names(schema: type[Any]) -> dict[str, bool]:
    """The names (and aliases) of the top fields, and whether each must be there."""
    found: dict[str, bool] = {}
    for name, field in schema.model_fields.items():
        for known in {name, field.alias or name}:
            found[known] = field.is_required()
    return found


def is_root(schema: type[Any]) -> bool:
    """Whether the answer itself is a list or a plain value (a pydantic RootModel)."""
    return bool(getattr(schema, "__pydantic_root_model__", False))


def listed(text: str) -> list[str] | None:
    """The items of a list that is written without JSON, each on a line that begins with a bullet or a number."""
    lines = [line for line in text.splitlines() if line.strip()]
    marks = [_BULLET.match(line) for line in lines]
    items = [line[mark.end() :].strip() for line, mark in zip(lines, marks, strict=True) if mark]
    return items if lines and len(items) == len(lines) else None


def same_name(name: str) -> str:
    """What two spellings of a key have in common: ``Is Relevant`` and ``is_relevant``."""
    return re.sub(r"[\W_]+", "", name).casefold()


def _validated(schema: type[M], value: object) -> tuple[M | None, list[ErrorDetails]]:
    from pydantic import ValidationError

    try:
        return schema.model_validate(value), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _malformed(problems: Sequence[ErrorDetails]) -> MalformedReply:
    kind = problems[0]["type"]
    reason = _REASONS.get(kind) or ("invalid value" if any(part in kind for part in _INVALID) else "wrong type")
    lines = [f"{_place(problem['loc'])}: {problem['msg']}" for problem in problems[:_SHOWN]]
    return MalformedReply("; ".join(lines), reason=reason)


def _place(loc: Sequence[str | int]) -> str:
    return ".".join(map(str, loc)) or "the answer"


# From the object that the model wrote to the one that holds the fields.


def _unwrapped(schema: type[Any], value: object, repairs: set[str]) -> object:
    """The object that holds the answer's fields. Raises MalformedReply when none does."""
    if is_root(schema):
        return value
    names = field_names(schema)
    found: object = value
    for _ in range(_UNWRAPPINGS):
        found = _decoded(found, repairs)
        if not isinstance(found, Mapping):
            break
        if not found and not any(names.values()):
            return {}
        if known := _renamed(found, names, repairs):
            return known
        found = _inner(found)
        if found is not None:
            repairs.add("wrapped")
    repairs.add("wrapped")
    if alone := _alone(found, names):
        return alone
    only = only_field(schema)
    if only and found is not None and not isinstance(found, Mapping):
        return {only: found}
    wanted = ", ".join(name for name, required in names.items() if required) or ", ".join(names)
    raise MalformedReply(f"there is no JSON object with the keys {wanted}", reason="wrong keys")


def _alone(found: object, names: Mapping[str, bool]) -> dict[str, Any] | None:
    """The object in a list of one, if it has the fields."""
    if isinstance(found, list) and len(found) == 1 and isinstance(found[0], Mapping):
        return _renamed(found[0], names, set())
    return None


def only_field(schema: type[Any]) -> str | None:
    """The one field that an answer must have; None if there are several or none."""
    required = [field.alias or name for name, field in schema.model_fields.items() if field.is_required()]
    return required[0] if len(required) == 1 and not is_root(schema) else None


def _inner(found: Mapping[Any, Any]) -> object:
    """The answer inside an object that has none of its fields; None if it is not plain which part it is."""
    if isinstance(found.get("properties"), Mapping):  # filled in where the schema has its fields
        return found["properties"]
    objects = [part for part in found.values() if isinstance(part, Mapping)]
    if len(objects) == 1:
        return objects[0]
    key, value = next(iter(found.items())) if len(found) == 1 else ("", None)
    plain = same_name(str(key)) in _WRAPPERS and isinstance(value, str | bool | int | float | list)
    return value if plain or (isinstance(value, str) and value.lstrip()[:1] == "{") else None


def _decoded(value: object, repairs: set[str]) -> object:
    """What a string holds, if that is JSON; otherwise the value itself."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            inner, _, _ = read_value(value, len(value) - len(value.lstrip()))
        except NotJson:
            return value
        repairs.add("encoded twice")
        return inner
    return value


def _renamed(found: Mapping[Any, Any], names: Mapping[str, bool], repairs: set[str]) -> dict[str, Any] | None:
    """The object with its keys spelt as the fields are; None if it has none of them."""
    spelt = {same_name(name): name for name in names}
    made: dict[str, Any] = {}
    hits = 0
    for key, value in found.items():
        name = key if key in names else spelt.get(same_name(str(key)), key)
        hits += name in names
        if name != key and name not in found:
            repairs.add("key name")
            made[name] = value
        else:
            made[str(key)] = value
    return made if hits else None


# One problem that pydantic names, mended in place.


def _mend(root: Any, problem: ErrorDetails) -> str | None:
    """Mend what one problem is about; returns the mending's name, None if it cannot be mended."""
    *path, last = problem["loc"] or (None,)
    holder = _at(root, path)
    if problem["type"] == "missing":
        return _mend_missing(holder, str(last))
    given = _item(holder, last)
    if given is _MISSING:  # the place names a branch of a union, which is no place in the value
        return None
    if problem["type"] == "extra_forbidden":
        del holder[last]
        return "extra keys"
    if given is None and isinstance(holder, dict):
        del holder[last]  # the default takes its place, or the field is missing
        return "wrong type"
    mended = _converted(given, problem)
    if mended is _MISSING:
        return None
    holder[last] = mended
    return "encoded twice" if isinstance(given, str) and isinstance(mended, dict) else "wrong type"


def _at(root: Any, path: Sequence[Any]) -> Any:
    for step in path:
        root = _item(root, step)
    return root


def _item(holder: Any, step: Any) -> Any:
    if isinstance(holder, dict):
        return holder.get(step, _MISSING)
    if isinstance(holder, list) and isinstance(step, int) and -1 < step < len(holder):
        return holder[step]
    return _MISSING


def _mend_missing(holder: Any, name: str) -> str | None:
    if not isinstance(holder, dict):
        return None
    for key in list(holder):
        if same_name(str(key)) == same_name(name):
            holder[name] = holder.pop(key)
            return "key name"
    return None


def _converted(given: Any, problem: ErrorDetails) -> Any:
    """The value as the type that the problem asks for; ``_MISSING`` when it is not plainly the same."""
    kind = problem["type"]
    for prefix, convert in _CONVERSIONS.items():
        if kind.startswith(prefix):
            return convert(given, problem)
    return _MISSING


def _to_text(given: Any, _problem: ErrorDetails) -> Any:
    if isinstance(given, bool | int | float):
        return json.dumps(given)
    if isinstance(given, list) and given and all(isinstance(part, str) for part in given):
        return "\n".join(given)
    return _MISSING


def _to_list(given: Any, _problem: ErrorDetails) -> Any:
    if isinstance(given, str):
        inner = _decoded(given.strip(), set())
        if isinstance(inner, list):
            return inner
        return listed(given) or _by_commas(given)
    return _MISSING if isinstance(given, list) else [given]


def _by_commas(text: str) -> list[str]:
    """``m1, m3`` in its parts; a sentence with commas is one item, "none" and nothing are no item."""
    if not text.strip() or same_name(text) in _NOTHING:
        return []
    parts = [part.strip() for part in re.split("[,;]", text.strip())]
    short = all(part and len(part.split()) <= _FEW_WORDS and part[-1] not in ".!?" for part in parts)
    return parts if short and len(parts) > 1 else [text]


def _to_object(given: Any, _problem: ErrorDetails) -> Any:
    inner = _decoded(given, set())
    if isinstance(inner, list) and len(inner) == 1:
        inner = inner[0]
    return inner if isinstance(inner, dict) else _MISSING


def _to_whole_number(given: Any, _problem: ErrorDetails) -> Any:
    found = _COUNT.match(given) if isinstance(given, str) else None
    return int(found[1]) if found and found[1].lstrip("-").isdigit() and len(found[1]) < 18 else _MISSING


def _to_number(given: Any, _problem: ErrorDetails) -> Any:
    found = _COUNT.match(given) if isinstance(given, str) and "%" not in given else None
    return float(found[1]) if found else _MISSING


def _to_yes_or_no(given: Any, _problem: ErrorDetails) -> Any:
    found = _LEADING.match(given) if isinstance(given, str) else None
    word = found[1].lower() if found else ""
    meant = {"yes": True, "true": True, "no": False, "false": False}
    return _MISSING if _is_the_choice_itself(given, meant) else meant.get(word, _MISSING)


def _to_choice(given: Any, problem: ErrorDetails) -> Any:
    """The one allowed value that the given one spells otherwise, or begins with (``Yes, because ...``)."""
    expected = problem.get("ctx", {}).get("expected", "")
    allowed: list[Any] = [
        re.sub(r"\\(.)", r"\1", text) if text or not number else int(number)
        for text, number in _EXPECTED.findall(str(expected))
    ]
    if isinstance(given, bool):
        words = ["yes", "true"] if given else ["no", "false"]
    elif isinstance(given, str | int):
        unclear = _is_the_choice_itself(given, map(str, allowed)) or _names_several(str(given), map(str, allowed))
        leading = None if unclear else _LEADING.match(str(given))
        words = [str(given), leading[1] if leading else ""]
    else:
        return _MISSING
    for word in words:
        fitting = [value for value in allowed if same_name(str(value)) == same_name(word) != ""]
        if len(fitting) == 1:
            return fitting[0]
    return _MISSING


def _is_the_choice_itself(given: Any, allowed: Iterable[str]) -> bool:
    """Whether a model repeats what there is to choose from (``CORRECT/WRONG``, ``yes or no``) and does not choose."""
    found = _ALTERNATIVES.match(given) if isinstance(given, str) else None
    return found is not None and {same_name(found[1]), same_name(found[2])} <= {same_name(word) for word in allowed}


def _names_several(given: str, allowed: Iterable[str]) -> bool:
    """Whether it has several of the values in it, spelt as they are: ``CORRECT, no, WRONG``.

    Short ones such as ``no`` and ``a`` are also words of sentences.
    """
    said = set(re.findall(r"\w+", given))
    return sum(len(value) >= _TELLING and value in said for value in set(allowed)) > 1


_CONVERSIONS: dict[str, Callable[[Any, ErrorDetails], Any]] = {
    "string_type": _to_text,
    "list_type": _to_list,
    "tuple_type": _to_list,
    "set_type": _to_list,
    "frozen_set_type": _to_list,
    "dict_type": _to_object,
    "model_type": _to_object,
    "model_attributes_type": _to_object,
    "int_": _to_whole_number,
    "float_": _to_number,
    "bool_": _to_yes_or_no,
    "literal_error": _to_choice,
    "enum": _to_choice,
}
