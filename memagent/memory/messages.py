"""What callers pass as messages, made uniform."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from memagent.bank.filters import nested_deeper
from memagent.errors import DuplicateId, InvalidInput, InvalidMessage
from memagent.memory.documents import SESSION as DOCUMENTS
from memagent.memory.ids import new_ulid
from memagent.records import Attachment, Message, Session, as_utc

MessagesInput: TypeAlias = "str | Mapping[str, Any] | Message | Sequence[Mapping[str, Any] | Message | Any]"
SessionInput: TypeAlias = "Session | Mapping[str, Any]"

MAX_MESSAGE_BYTES = 1 << 20
MAX_LABEL_BYTES = 1 << 13
MAX_METADATA_BYTES = 1 << 20
MAX_DEPTH = 50
_LANGCHAIN_ROLES = {"human": "user", "ai": "assistant"}
_SHAPES = "pass a text, a dict with 'role' and 'content', a LangChain message, or a list of these"


def as_messages(
    value: object, *, at: datetime, limit: int = MAX_MESSAGE_BYTES, within: str = ""
) -> tuple[Message, ...]:
    """Messages from any accepted shape, with ids and times; empty ones (no text, no attachment) are left out.

    ``at`` is when those without a time of their own were said. ``limit`` is in bytes of UTF-8 a message. ``within``
    says in error messages where they are. Raises InvalidMessage, InvalidTime or DuplicateId.
    """
    parts: Iterable[object]
    if isinstance(value, list | tuple):
        parts = value
    elif isinstance(value, str | Mapping | Message) or hasattr(value, "content"):
        parts = (value,)
    else:
        raise InvalidMessage(f"{within}messages cannot be {type(value).__name__}", hint=_SHAPES)
    messages = [_message(part, f"{within}message {position}", at, limit) for position, part in enumerate(parts)]
    kept = tuple(message for message in messages if message.content.strip() or message.attachments)
    if not kept:
        raise InvalidMessage(f"{within}there is nothing to remember: no message has any text", hint=_SHAPES)
    refuse_duplicates(kept)
    return kept


def refuse_duplicates(messages: Iterable[Message]) -> None:
    """Raise DuplicateId if two messages have the same id."""
    ids = [message.id for message in messages]
    if len(set(ids)) < len(ids):
        raise DuplicateId("two messages of one call have the same id", hint="give each message its own id, or none")


def _message(part: object, where: str, at: datetime, limit: int) -> Message:
    if isinstance(part, str):
        return _checked(Message(role="user", content=part, event_at=at, bare=True, id=new_ulid()), where, limit)
    if isinstance(part, Message):
        moment = as_utc(part.event_at, f"the time of {where}")
        return _checked(replace(part, event_at=moment, id=part.id or new_ulid()), where, limit)
    fields = part if isinstance(part, Mapping) else _from_object(part, where)
    content, attachments = _content(fields.get("content"), where)
    given = fields.get("timestamp", fields.get("event_at"))
    identifier = fields.get("id")
    message = Message(
        role=fields.get("role") or "",
        content=content,
        event_at=at if given is None else as_utc(given, f"the time of {where}"),
        name=fields.get("name"),
        attachments=(*attachments, *_tool_calls(fields.get("tool_calls"))),
        id=new_ulid() if identifier is None else identifier,
    )
    return _checked(message, where, limit)


def _checked(message: Message, where: str, limit: int) -> Message:
    if not _is_text(message.role) or not message.role.strip():
        raise InvalidMessage(f"{where} has no role", hint="for example {'role': 'user', 'content': '...'}")
    if not _is_text(message.content):
        raise InvalidMessage(f"the content of {where} is {type(message.content).__name__}", hint="pass a text")
    if message.name is not None and not _is_text(message.name):
        raise InvalidMessage(f"the name in {where} is not a text", hint="leave it out, or pass a text")
    if not _is_text(message.id) or not message.id:
        raise InvalidMessage(f"the id in {where} is not a text", hint="leave it out, or pass a text")
    try:
        size = len(message.content.encode())
        labels = (message.role, message.name or "", message.id, *_texts_of(message.attachments))
        longest = max(len(text.encode()) for text in labels)
    except UnicodeEncodeError:
        raise InvalidMessage(f"{where} holds a lone surrogate", hint="decode the text properly first") from None
    if size > limit:
        raise InvalidMessage(
            f"{where} has {size:,} bytes of text, more than the limit of {limit:,}",
            hint="split it, or raise max_message_bytes",
        )
    if longest > MAX_LABEL_BYTES:
        raise InvalidMessage(
            f"{where} has a role, name, id or attachment of {longest:,} bytes, more than {MAX_LABEL_BYTES:,}",
            hint="texts belong into the content",
        )
    return replace(message, role=message.role.strip(), name=message.name or None)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _texts_of(attachments: Iterable[Attachment]) -> Iterator[str]:
    for attachment in attachments:
        yield attachment.kind
        yield attachment.reference


def _from_object(part: object, where: str) -> Mapping[str, Any]:
    """The fields of a LangChain message, or of an answer of OpenAI's client."""
    role = getattr(part, "role", None)
    if role is None and isinstance(kind := getattr(part, "type", None), str):
        kind = kind.removesuffix("MessageChunk").lower()
        role = _LANGCHAIN_ROLES.get(kind, kind)
    if role is None or not hasattr(part, "content"):
        raise InvalidMessage(f"{where} is {type(part).__name__}", hint=_SHAPES)
    return {
        "role": role,
        "content": part.content,
        "name": getattr(part, "name", None),
        "id": getattr(part, "id", None),
        "tool_calls": getattr(part, "tool_calls", None),
    }


def _tool_calls(calls: object) -> Iterator[Attachment]:
    """What tools a message calls, by name: OpenAI's calls name a ``function``, LangChain's have the name themselves."""
    for call in calls if isinstance(calls, list | tuple) else ():
        function = _field(call, "function") or call
        name = _field(function, "name")
        yield Attachment(kind="tool_call", reference=name[:2048] if isinstance(name, str) else "")


def _field(value: object, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _content(value: object, where: str) -> tuple[str, tuple[Attachment, ...]]:
    """The text of a message and what else it holds, from OpenAI's content parts or a plain text."""
    if value is None:
        return "", ()
    if isinstance(value, str):
        return value, ()
    if not isinstance(value, list | tuple):
        raise InvalidMessage(f"the content of {where} is {type(value).__name__}", hint="pass a text or a list of parts")
    texts: list[str] = []
    attachments: list[Attachment] = []
    for part in value:
        if isinstance(part, str):
            texts.append(part)
        elif not isinstance(part, Mapping):
            raise InvalidMessage(f"a content part of {where} is {type(part).__name__}", hint="pass texts or dicts")
        elif isinstance(part.get("text"), str):
            texts.append(part["text"])
        else:
            attachments.append(_attachment(part))
    return "\n".join(texts), tuple(attachments)


def _attachment(part: Mapping[str, Any]) -> Attachment:
    kind = str(part.get("type", "unknown"))
    detail = part.get(kind, part)
    reference = detail.get("url") or detail.get("file_id") or "" if isinstance(detail, Mapping) else detail or ""
    # An image given inline is megabytes of base64; that it was there is what is worth keeping.
    return Attachment(kind=kind, reference="inline" if str(reference).startswith("data:") else str(reference)[:2048])


def as_sessions(values: Iterable[object], *, now: datetime, limit: int = MAX_MESSAGE_BYTES) -> list[Session]:
    """Sessions from what :func:`as_session` takes; no message id may come twice."""
    sessions = [
        as_session(value, now=now, limit=limit, within=f"session {place}: ") for place, value in enumerate(values)
    ]
    refuse_duplicates(message for session in sessions for message in session.messages)
    return sessions


def as_session(value: object, *, now: datetime, limit: int = MAX_MESSAGE_BYTES, within: str = "") -> Session:
    """A session from a Session or a dict with ``messages``.

    The dict may have ``session_id``, ``timestamp``, ``agent_id`` and ``metadata`` too.
    """
    if isinstance(value, Session):
        messages = as_messages(value.messages, at=now, limit=limit, within=within)
        return Session(
            messages=messages,
            id=as_label(value.id, "session_id"),
            agent_id=as_label(value.agent_id, "agent_id"),
            metadata=as_metadata(value.metadata),
        )
    if not isinstance(value, Mapping) or "messages" not in value:
        raise InvalidInput(
            f"{within or 'a session is '}{type(value).__name__} without messages",
            hint="pass memagent.Session(...) or {'session_id': ..., 'messages': [...]}",
        )
    moment = value.get("timestamp")
    return Session(
        messages=as_messages(
            value["messages"], at=now if moment is None else as_utc(moment), limit=limit, within=within
        ),
        id=as_label(value.get("session_id", value.get("id")), "session_id"),
        agent_id=as_label(value.get("agent_id"), "agent_id"),
        metadata=as_metadata(value.get("metadata")),
    )


def as_label(value: object, what: str) -> str | None:
    """A session or agent id: a text that is not empty, or None."""
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{what} must be a text that is not empty, not {value!r}", hint="leave it out for none")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{what} holds a lone surrogate", hint="decode it properly first") from None
    if value == DOCUMENTS:
        raise InvalidInput(f"{what} cannot be {value!r}", hint="documents are kept under it; choose another one")
    return value


def as_metadata(value: object) -> dict[str, Any]:
    """Metadata as it will be read back; raises InvalidInput for what JSON cannot hold (NaN included)."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidInput("metadata is a dict with texts as keys", hint="for example metadata={'topic': 'food'}")
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        size = len(text.encode())
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        raise InvalidInput(
            f"metadata cannot be stored as JSON: {error}", hint="use texts, numbers, lists and dicts"
        ) from None
    stored: dict[str, Any] = json.loads(text)
    if size > MAX_METADATA_BYTES or nested_deeper(stored, MAX_DEPTH):
        raise InvalidInput(
            f"metadata has {size:,} bytes, at most {MAX_METADATA_BYTES:,} and {MAX_DEPTH} levels can be stored",
            hint="keep large things elsewhere and their address here",
        )
    return stored
