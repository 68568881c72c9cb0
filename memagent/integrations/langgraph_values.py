"""What LangGraph's operations carry, checked: namespaces, values, what is indexed of them, lifetimes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from langgraph.store.base import InvalidNamespaceError, get_text_at_path, tokenize_path

from memagent.bank.filters import nested_deeper
from memagent.errors import InvalidInput

Namespace: TypeAlias = tuple[str, ...]

MAX_DEPTH = 50
MAX_NAMESPACE_BYTES = 1 << 13
_MINUTE = 60_000_000  # microseconds
_LONGEST = 100 * 366 * 24 * 60  # minutes
_JSON = "use texts, numbers, flags, None, lists and dicts with texts as keys"


class InvalidNamespace(InvalidInput, InvalidNamespaceError):
    """A namespace is empty where it must not be, or one of its elements cannot be one."""


def as_namespace(value: object, what: str = "the namespace") -> Namespace:
    """A namespace, or part of one, element by element; raises InvalidNamespace. () is let pass."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidNamespace(f"{what} is {type(value).__name__}", hint='pass a tuple, for example ("alice", "food")')
    for label in value:
        if not isinstance(label, str):
            raise InvalidNamespace(f"{what} {value!r:.200} holds {type(label).__name__}", hint="its elements are texts")
        if not label or "." in label or "\0" in label:
            raise InvalidNamespace(
                f"{what} {value!r:.200} has the element {label[:100]!r}",
                hint="LangGraph allows no element that is empty or holds a period or a NUL character",
            )
    try:
        size = sum(len(label.encode()) for label in value)
    except UnicodeEncodeError:
        raise InvalidNamespace(f"{what} holds a lone surrogate", hint="decode it properly first") from None
    if size > MAX_NAMESPACE_BYTES:
        raise InvalidNamespace(f"{what} has {size:,} bytes, more than {MAX_NAMESPACE_BYTES:,}", hint="shorten it")
    return tuple(value)


def as_place(value: object) -> Namespace:
    """A namespace that something can be stored in; raises InvalidNamespace."""
    namespace = as_namespace(value)
    if not namespace:
        raise InvalidNamespace("the namespace is empty", hint='name whose item it is, for example ("alice",)')
    if namespace[0] == "langgraph":
        raise InvalidNamespace('a namespace cannot begin with "langgraph"', hint="LangGraph keeps it for itself")
    return namespace


def as_key(value: object) -> str:
    """The key of an item; raises InvalidInput."""
    if not isinstance(value, str):
        raise InvalidInput(f"a key is a text, not {type(value).__name__}", hint="pass str(key)")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput("a key holds a lone surrogate", hint="decode it properly first") from None
    if size > MAX_NAMESPACE_BYTES:
        raise InvalidInput(f"a key has {size:,} bytes, more than {MAX_NAMESPACE_BYTES:,}", hint="put it into the value")
    return value


def as_json(value: object, limit: int) -> str:
    """An item's value as JSON, its fields in their order; raises InvalidInput. ``limit`` is in bytes of UTF-8."""
    if not isinstance(value, Mapping):
        raise InvalidInput(f"an item's value is a dict, not {type(value).__name__}", hint='for example {"text": "..."}')
    if nested_deeper(value, MAX_DEPTH):
        raise InvalidInput(f"an item's value is nested more than {MAX_DEPTH} deep", hint="flatten it")
    _refuse_foreign(value, "the value")
    try:
        text = json.dumps(dict(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
        raise InvalidInput(f"an item's value cannot be stored as JSON: {error}", hint=_JSON) from None
    if size > limit:
        raise InvalidInput(
            f"an item's value has {size:,} bytes, more than the limit of {limit:,}",
            hint="keep large things elsewhere and their address here, or raise max_message_bytes of the memory",
        )
    return text


def _refuse_foreign(value: object, where: str) -> None:
    """Raise InvalidInput for what JSON would turn into something else, or not take."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if not isinstance(name, str):
                raise InvalidInput(f"{where} has the key {name!r:.100}, not a text", hint=_JSON)
            _refuse_foreign(part, f"{where}[{name[:40]!r}]")
        if not isinstance(value, dict) and where != "the value":
            raise InvalidInput(f"{where} is {type(value).__name__}", hint=_JSON)
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            _refuse_foreign(part, f"{where}[{place}]")
    elif value is not None and not isinstance(value, str | int | float):
        raise InvalidInput(f"{where} is {type(value).__name__}", hint=_JSON)


def as_paths(value: object, what: str) -> tuple[str, ...]:
    """Paths of the fields that an item is found by; raises InvalidInput."""
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(path, str) for path in value):
        raise InvalidInput(f"{what} is {value!r:.100}", hint=f'{what} is a list of paths, for example ["text"]')
    for path in value:
        if not path.strip():
            raise InvalidInput(f"{what} has an empty path", hint='"$" stands for the whole value')
        if path.count("[") != path.count("]") or path.count("{") != path.count("}"):
            raise InvalidInput(f"{what} has the path {path!r:.100}, whose brackets do not match", hint="close them")
    return tuple(dict.fromkeys(value))


def indexed_texts(value: Mapping[str, Any], paths: Sequence[str]) -> tuple[str, ...]:
    """The texts at these paths, each once; blank ones, and those of fields that are missing, are left out."""
    found = [
        text for path in paths for text in get_text_at_path(dict(value), path if path == "$" else tokenize_path(path))
    ]
    return tuple(dict.fromkeys(text for text in found if text.strip()))


def as_lifetime(minutes: object) -> int | None:
    """A time to live in microseconds; raises InvalidInput."""
    if minutes is None:
        return None
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 < minutes < math.inf:
        raise InvalidInput(f"ttl is {minutes!r:.100}", hint="it is a number of minutes above 0, or None for ever")
    if minutes > _LONGEST:
        raise InvalidInput(f"ttl is {minutes} minutes, more than a hundred years", hint="use None for ever")
    return max(1, round(minutes * _MINUTE))
