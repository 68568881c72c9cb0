"""From the text of a reply to the answer that was asked for.

Pure functions. Replies come with prose around the JSON, in code fences, in tags that are never closed, twice, with
thoughts before them: :func:`read` looks at every plausible place and takes the last that holds an answer of the right
type, for a model corrects itself downwards.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_origin

from memagent.errors import MalformedReply
from memagent.llm.loose_json import NotJson, read_value
from memagent.llm.mending import field_names, fit, is_root, listed, only_field
from memagent.llm.thoughts import without_thoughts

if TYPE_CHECKING:
    from pydantic import BaseModel

    M = TypeVar("M", bound=BaseModel)
else:
    M = TypeVar("M")

_LONGEST = 100_000  # characters that are looked at: far more than a model's longest reply
_PLACES = 4  # tagged or fenced parts that are looked at, from the last
_FAILURES = 24  # brackets at which nothing could be read; then nothing will
_SHORT = 400  # characters of a value that comes alone, without a tag around it

_FENCE = re.compile(r"(?:```|~~~)[ \t]*([\w+-]*)[ \t]*\n?(.*?)(?:```|~~~|\Z)", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_SPECIAL = re.compile(r"<\|[^|>]{1,40}\|>|</?s>|<eos>|<end_of_turn>")
_INVISIBLE = dict.fromkeys((0xFEFF, 0x200B, 0x200C, 0x200D, 0x2060))


@dataclass(frozen=True, kw_only=True)
class Answer(Generic[M]):
    """What was read, and what was not as it should be: ``prose``, ``fence``, ``no tag``, ``unclosed tag`` and the
    repairs named in :mod:`memagent.llm.loose_json` and :mod:`memagent.llm.mending`.
    """

    value: M
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A piece of a reply that may hold the answer."""

    text: str
    repairs: frozenset[str] = frozenset()
    tagged: bool = False


def read_answer(text: str, schema: type[M], tag: str = "answer", *, truncated: bool = False) -> M:
    """The answer in a reply. Raises :class:`MalformedReply`, and nothing else, when there is none."""
    return read(text, schema, tag, truncated=truncated).value


def read(text: str, schema: type[M], tag: str | None = "answer", *, truncated: bool = False) -> Answer[M]:
    """The answer in a reply, and what had to be mended.

    ``tag``: the tags that were asked for; None when JSON alone was (guided). ``truncated``: the server said that it
    cut the reply off; then an object that is not closed is no answer. Raises :class:`MalformedReply` with a reason:
    ``empty``, ``no JSON``, ``truncated``, ``too deep``, ``wrong keys``, ``missing field``, ``wrong type``,
    ``unknown value``, ``invalid value``.
    """
    said = without_thoughts(clean(text[:_LONGEST]))
    if not said.strip():
        raise _as_error("truncated" if truncated or text.strip() else "empty", text)
    failures: list[MalformedReply] = []
    parts = list(_parts(said, tag))
    for value, repairs in _json_values(parts, schema, failures):
        if truncated and "unclosed" in repairs:
            failures.append(_as_error("truncated", text))
        elif found := _fitted(schema, value, repairs, failures):
            return found
    if not failures:  # pieces of JSON that cannot be read are not answers
        for value, repairs in _plain_values(parts, schema):
            if found := _fitted(schema, value, repairs, []):
                return found
    raise _worst(failures, text, truncated=truncated)


def _fitted(
    schema: type[M], value: object, repairs: frozenset[str], failures: list[MalformedReply]
) -> Answer[M] | None:
    try:
        made, mended = fit(schema, _clean_value(value))
    except MalformedReply as failure:
        failures.append(failure)
        return None
    except RecursionError:
        failures.append(MalformedReply("the answer is nested too deeply", reason="too deep"))
        return None
    return Answer(value=made, repairs=tuple(sorted(repairs | mended)))


def clean(text: str) -> str:
    """The text without halves of surrogate pairs, which no file can hold; whole pairs become one character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _clean_value(value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean_value(item) for item in value]
    if isinstance(value, dict):
        return {clean(str(key)): _clean_value(item) for key, item in value.items()}
    return value


def _as_error(reason: str, text: str, message: str = "") -> MalformedReply:
    message = message or {
        "empty": "the reply is empty",
        "truncated": "the reply was cut off before the answer was complete; answer more briefly",
        "no JSON": "there is no JSON object in the reply",
    }.get(reason, reason)
    return MalformedReply(message, reason=reason, text=text)


def _worst(failures: list[MalformedReply], text: str, *, truncated: bool) -> MalformedReply:
    """The failure to tell of: of values that were read the first, before those that could not be read."""
    if truncated:
        return _as_error("truncated", text)
    unread = ("no JSON", "truncated", "too deep")
    ordered = [f for f in failures if f.reason not in (*unread, "wrong keys")]
    ordered += [f for f in failures if f.reason == "truncated"] + failures
    if not ordered:
        return _as_error("no JSON", text)
    return _as_error(ordered[0].reason, text, ordered[0].message)


# The places where an answer may stand, the likeliest first.


def _parts(said: str, tag: str | None) -> Iterator[_Part]:
    tagged = list(_tagged(said, tag)) if tag else []
    for part in reversed(tagged[-_PLACES:]):
        yield from _fenced(part)
        yield part
    missing = frozenset({"no tag"} if tag else ())
    rest = _Part(text=said, repairs=missing)
    yield from _fenced(rest)
    yield rest


def _tagged(said: str, tag: str) -> Iterator[_Part]:
    name = re.escape(tag)
    opening = re.compile(rf"<\s*{name}(?:\s[^<>]*)?>", re.IGNORECASE)
    closing = re.compile(rf"<\s*/\s*{name}\s*>|<\s*{name}\s*/\s*>", re.IGNORECASE)
    repairs: frozenset[str] = frozenset()
    if not opening.search(said) and f"&lt;{tag}" in said:
        said, repairs = html.unescape(said), frozenset({"escaped tag"})
    starts = [found.span() for found in opening.finditer(said)]
    if not starts and closing.search(said):  # the opening tag was the end of the prompt
        starts = [(0, 0)]
    limits = [*(start for start, _ in starts[1:]), len(said)]
    for (start, inside), limit in zip(starts, limits, strict=False):
        end = closing.search(said, inside, limit)
        notes = set() if end else {"unclosed tag"}
        if said[:start].strip() or (end and said[end.end() :].strip()):
            notes.add("prose")
        text = said[inside : end.start() if end else limit]
        yield _Part(text=text, repairs=repairs | notes, tagged=True)


def _fenced(part: _Part) -> Iterator[_Part]:
    if "```" not in part.text and "~~~" not in part.text:
        return
    found = list(_FENCE.finditer(part.text))[-_PLACES:]
    for fence in reversed(found):
        yield _Part(text=fence[2], repairs=part.repairs | {"fence"}, tagged=part.tagged)


# The values in those places.


def _json_values(
    parts: list[_Part], schema: type[Any], failures: list[MalformedReply]
) -> Iterator[tuple[object, frozenset[str]]]:
    """The JSON values that may be meant, the likeliest first; why something could not be read goes to ``failures``."""
    cut_off = False
    for part in parts:
        if cut_off and not part.tagged:
            return  # what stands before the tag of an answer that breaks off is not that answer
        found = list(_scanned(part, failures))
        if part is parts[0] and "unclosed tag" in part.repairs:  # the last tag that was opened
            cut_off = any(failure.reason == "truncated" for failure in failures)
        yield from reversed([one for one in found if isinstance(one[0], dict)])
        bare = is_root(schema) or part.text.lstrip()[:1] in ("[", '"')
        yield from reversed([one for one in found if isinstance(one[0], list) and (bare or _of_objects(one[0]))])


def _of_objects(found: list[Any]) -> bool:
    """Whether a list in the middle of prose may be meant: ``[1]`` is more likely a reference."""
    return bool(found) and all(isinstance(item, dict) for item in found)


def _scanned(part: _Part, failures: list[MalformedReply]) -> Iterator[tuple[object, frozenset[str]]]:
    """Every JSON object and list in the text, in order."""
    text = part.text.translate(_INVISIBLE)
    own = part.repairs
    if (inner := _unquoted(text)) is not None:
        text, own = inner, own | {"encoded twice"}
    at = 0
    while len(failures) < _FAILURES and (opening := _OPENING.search(text, at)):
        try:
            value, end, repairs = read_value(text, opening.start())
        except NotJson as problem:
            reason = "truncated" if problem.cut_off else "too deep" if "deeply" in str(problem) else "no JSON"
            failures.append(_as_error(reason, "", f"the JSON cannot be read: {problem}"))
            if reason != "no JSON":  # all that follows is inside of it
                return
            at = opening.start() + 1
        else:
            prose = {"prose"} if text[: opening.start()].strip() or text[end:].strip() else set()
            yield value, own | repairs | prose
            at = end


def _unquoted(text: str) -> str | None:
    """The JSON text that stands in a JSON string; None if there is no such thing."""
    stripped = text.strip()
    if stripped[:1] != '"' or stripped[-1:] != '"':
        return None
    try:
        inner = json.loads(stripped)
    except ValueError:
        return None
    return inner if isinstance(inner, str) and inner.lstrip()[:1] in ("{", "[") else None


def _plain_values(parts: list[_Part], schema: type[Any]) -> Iterator[tuple[object, frozenset[str]]]:
    """The values that stand there without JSON: in tags or on lines of their own, or alone."""
    for part in parts:
        text = _SPECIAL.sub("", part.text).strip()
        repairs = part.repairs | {"no JSON"}
        if lines := _child_tags(text, schema) or _key_lines(text, schema):
            yield lines, repairs
        elif (only := only_field(schema)) and (value := _alone(part, text, schema, only)) not in ("", None):
            yield {only: value}, repairs


def _alone(part: _Part, text: str, schema: type[Any], only: str) -> object:
    """What a text without any JSON is as the value of the one field there is; None if it is not plainly one.

    A text must stand in the tags, and a list must be written as one: a sentence may as well be a refusal.
    """
    kind = next(field.annotation for name, field in schema.model_fields.items() if only in (name, field.alias))
    if get_origin(kind) in (list, tuple, set, frozenset):
        return listed(text)
    if kind is str:
        return _scalar(text) if part.tagged else None
    plain = get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, bool | int | float | Enum))
    return _scalar(text) if plain and len(text) <= _SHORT else None


def _scalar(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.strip("*_`\"' \t\n")


def _child_tags(text: str, schema: type[Any]) -> dict[str, object] | None:
    """``<verdict>yes</verdict>`` for each field."""
    made: dict[str, object] = {}
    for name in field_names(schema):
        opening = rf"<{re.escape(name)}>"  # the innermost, for a field may be called like the tag around all
        found = re.findall(rf"{opening}((?:(?!{opening}).)*?)</{re.escape(name)}>", text, re.DOTALL | re.IGNORECASE)
        if found:
            made[name] = _scalar(found[0].strip()) if len(found) == 1 else [_scalar(one.strip()) for one in found]
    return made if _complete(made, schema) else None


def _key_lines(text: str, schema: type[Any]) -> dict[str, object] | None:
    """``Verdict: yes`` on a line for each field; of several the last, for a model corrects itself downwards."""
    made: dict[str, object] = {}
    for name in field_names(schema):
        spelt = re.escape(name).replace("_", "[_ -]?")
        found = re.findall(rf"^[\W_]*{spelt}[\"'*_`]*\s*[:=]\s*[*_]*(.+)$", text, re.MULTILINE | re.IGNORECASE)
        if found:
            made[name] = _scalar(found[-1].strip().rstrip(","))
    return made if _complete(made, schema) else None


def _complete(made: dict[str, object], schema: type[Any]) -> bool:
    return bool(made) and all(name in made for name, required in field_names(schema).items() if required)
