"""Finding out what a server can do, by asking it: what a server says of itself is not enough.

A schema that a server ignores still gives a reply with status 200, so the schema of the probe allows one word only
that no model says by itself.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from memagent.errors import ModelUnavailable
from memagent.llm.chat import response_format
from memagent.llm.http import ServerHttp
from memagent.llm.reply import Raw, Usage
from memagent.llm.wire import Capabilities

if TYPE_CHECKING:
    from memagent.llm.cache import ReplyCache

_VERSION = 1  # of the questions
_CHAT = "/v1/chat/completions"
_WORD = "zuqofi"
_SCHEMA = {
    "type": "object",
    "properties": {"word": {"type": "string", "enum": [_WORD]}},
    "required": ["word"],
    "additionalProperties": False,
}
# A white square of 32 x 32 pixels: some models refuse smaller ones.
_PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAACAAAAAgCAAAAABWESUoAAAAFklEQVR42mP4TwAwjCoYVTCqYKQqAAA/aPwuqUTQyAAAAABJRU5ErkJggg=="
)


def probe(http: ServerHttp, model: str, *, max_model_len: int | None = None, timeout: float = 180.0) -> Capabilities:
    """What ``model`` can do on this server; three short questions. Raises ModelUnavailable or ModelTimeout."""
    guided = _ask(http, model, timeout, max_tokens=40, response_format=response_format("probe", _SCHEMA))
    scored = _ask(http, model, timeout, max_tokens=1, logprobs=True, top_logprobs=1)
    picture = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": _PICTURE}}]
    seen = _ask(http, model, timeout, max_tokens=1, messages=[{"role": "user", "content": picture}])
    return Capabilities(
        json_schema=guided is not None and _is_the_word(guided),
        logprobs=scored is not None and bool((scored.get("logprobs") or {}).get("content")),
        lora=_takes_adapters(http, timeout),
        vision=seen is not None,
        max_model_len=max_model_len,
    )


def remembered(
    http: ServerHttp, model: str, max_model_len: int | None, *, started: float, cache: ReplyCache
) -> Capabilities:
    """As :func:`probe`, once for a process of the server: ``started`` (seconds since 1970) tells it from the next."""
    facts = ["probe", _VERSION, http.url, model, max_model_len, started]
    key = hashlib.sha256(json.dumps(facts).encode()).digest()
    if kept := cache.get(key):
        return Capabilities(**json.loads(kept.text))
    found = probe(http, model, max_model_len=max_model_len)
    cache.put(key, Raw(text=json.dumps(asdict(found)), finish="stop", usage=Usage()))
    return found


def _ask(http: ServerHttp, model: str, timeout: float, **body: Any) -> dict[str, Any] | None:
    """The first choice of a reply; None when the server refuses the question, or fails on it."""
    question = {
        "model": model,
        "messages": [{"role": "user", "content": "Say hello."}],
        "temperature": 0,
        **body,
    }
    answer = http.call(_CHAT, question, timeout=timeout)
    if answer.status in (408, 429, 502, 503, 504):  # busy: says nothing about the question
        raise ModelUnavailable(f"{http.url} was too busy to be asked what it can do", hint="try again")
    try:
        choices = json.loads(answer.body)["choices"] if answer.status == 200 else []
    except (ValueError, KeyError, TypeError):
        return None
    return choices[0] if choices else None


def _is_the_word(choice: dict[str, Any]) -> bool:
    try:
        found = json.loads(choice["message"]["content"])
    except (ValueError, KeyError, TypeError):
        return False
    return bool(found == {"word": _WORD})


def _takes_adapters(http: ServerHttp, timeout: float) -> bool:
    """Whether adapters can be loaded at run time: without names the route refuses, but it is there."""
    return http.call("/v1/load_lora_adapter", {}, timeout=timeout).status in (400, 422)
