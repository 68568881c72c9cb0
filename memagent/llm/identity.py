"""What names a chat model and its settings: part of the key of its cached replies, and written into result files."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

_SECRET = re.compile(r"api_?key|authorization|secret|password|credential|cookie|access_?token|headers", re.IGNORECASE)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
# Fields of any chat model that change no reply.
_NO_MATTER = re.compile(
    r"cache$|callback|verbose$|tags$|metadata|retries|timeout|client|proxy|base_url|api_base|endpoint|limiter|tokenizer"
)


def identity_of(chat: BaseChatModel) -> str:
    """The model's class, name and settings, as JSON; without keys, and without the place of its server."""
    name = getattr(chat, "model_name", None) or getattr(chat, "model", None)
    told = chat.asdict()
    if not told.keys() - {"_type"}:  # a class that names nothing of itself: its fields do
        told = {**told, **_plain_fields(chat)}
    known = _unsecret({"class": type(chat).__name__, "model": name, **told})
    return _ADDRESS.sub("", json.dumps(known, sort_keys=True, default=str))


def _plain_fields(chat: BaseChatModel) -> dict[str, Any]:
    """The settings that are plain values."""
    names = (name for name, field in type(chat).model_fields.items() if not field.exclude)
    values = {name: getattr(chat, name) for name in names if not _NO_MATTER.search(name)}
    return {name: value for name, value in values.items() if isinstance(value, str | int | float | list | dict)}


def _unsecret(value: Any) -> Any:
    """The value without what is called a key, a password or the like, however deep."""
    if isinstance(value, Mapping):
        return {str(key): "" if _SECRET.search(str(key)) else _unsecret(inner) for key, inner in value.items()}
    return [_unsecret(inner) for inner in value] if isinstance(value, list | tuple) else value
