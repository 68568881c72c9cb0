"""The values that travel between the layers. Nothing here imports more than the standard library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from memagent.errors import InvalidTime, UnknownName

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector: TypeAlias = NDArray[np.float32]
    """One unit vector, shape (dim,), float32."""
    Vectors: TypeAlias = NDArray[np.float32]
    """Unit vectors as rows, shape (n, dim), float32."""

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class Granularity(StrEnum):
    """How large a piece of history one memory unit holds."""

    SESSION = "session"
    """One conversation, all its turns."""
    TURN = "turn"
    """One user message and the replies to it."""
    SUMMARY = "summary"
    """A short text about one session."""
    KEYWORDS = "keywords"
    """The key phrases of one session, separated by semicolons."""
    COMBINATION = "combination"
    """Summary, keywords and text of one session, one below the other; written only when it is asked for."""
    FACT = "fact"
    """One thing that a session tells, in a sentence of its own; written by a language model."""
    DOCUMENT = "document"
    """A value under a key, which belongs to no conversation; see :mod:`memagent.memory.documents`."""

    @classmethod
    def of(cls, name: str) -> Granularity:
        """The member called ``name``; raises :class:`UnknownName` with the valid names."""
        try:
            return cls(name)
        except ValueError:
            valid = ", ".join(repr(str(member)) for member in cls)
            raise UnknownName(f"unknown granularity {name!r}", hint=f"use one of {valid}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A part of a message that is not text (an image, a file); only its description is kept."""

    kind: str
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of a conversation.

    ``event_at`` is when it was said (aware, UTC). ``name`` is the speaker where roles do not tell
    (two people talking); ``bare`` marks a text that came without a role (a note), shown as it is.
    """

    role: str
    content: str
    event_at: datetime
    name: str | None = None
    attachments: tuple[Attachment, ...] = ()
    bare: bool = False
    id: str = ""

    @property
    def line(self) -> str:
        """The message as a line of its turn's text: ``[role]: content``; without text, what is attached to it."""
        shown = self.content
        if self.attachments and not shown.strip():
            shown = f"({', '.join(attachment.kind for attachment in self.attachments)})"
        return shown if self.bare else f"[{self.name or self.role}]: {shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One conversation to be stored: its messages in the order they were said.

    ``id`` None starts a new session with an id of its own.
    """

    messages: tuple[Message, ...]
    id: str | None = None
    agent_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUnit:
    """One stored memory of one user, at one granularity.

    ``event_at`` is when it was said (for a derived unit: when its last message was said),
    ``created_at`` when it was stored, ``updated_at`` when it last changed. ``key`` is its
    number in the user's file: units are in the order of their keys.

    Facts only: ``valid_from`` is when it began to hold and ``valid_to`` when it ceased to (None: not known, or it still
    holds); ``superseded_by`` is the id of the fact that took its place, ``supersedes`` are those of which it took the
    place.
    """

    key: int
    id: str
    user_id: str
    session_id: str
    granularity: Granularity
    text: str
    event_at: datetime
    created_at: datetime
    updated_at: datetime
    source_ids: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    agent_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    supersedes: tuple[str, ...] = ()
    superseded_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for: its text, its unit vector (None when none is needed), and the granularity wanted.

    ``related``: for words of the text, words that mean much the same, with their cosines (empty when none are needed).
    """

    text: str
    vector: Vector | None = None
    granularity: Granularity = Granularity.TURN
    related: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=lambda: _NOTHING)


class Ranked(NamedTuple):
    """Units by falling score: ``keys`` (n,) int64 and ``scores`` (n,) float64, equal scores in key order."""

    keys: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One retrieved unit: its key, its score (comparable within one retrieval only), and the parts of it."""

    key: int
    score: float
    parts: Mapping[str, float] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """The units a retriever chose, best first, and a trace that says why."""

    hits: tuple[Hit, ...]
    trace: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)


def utc_now() -> datetime:
    """The present as an aware datetime in UTC."""
    return datetime.now(UTC)


def as_utc(value: datetime | str, what: str = "timestamp") -> datetime:
    """``value`` as an aware datetime in UTC.

    Accepts an aware datetime or an ISO 8601 text with an offset (``2025-03-01T10:00:00+01:00`` or ``...Z``).
    Raises :class:`InvalidTime` for anything else: a naive time would mean a different moment on
    each machine.
    """
    if isinstance(value, str):
        text = value
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            raise InvalidTime(
                f"{what} {text[:64]!r} is not an ISO 8601 time", hint="for example 2025-03-01T10:00:00+00:00"
            ) from None
    if not isinstance(value, datetime):
        raise InvalidTime(f"{what} is a {type(value).__name__}", hint="pass an aware datetime or an ISO 8601 text")
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidTime(
            f"{what} {value.isoformat()} has no time zone", hint="add one, for example tzinfo=timezone.utc"
        )
    try:
        return value.astimezone(UTC)
    except (OverflowError, ValueError):
        raise InvalidTime(f"{what} {value.isoformat()} is outside the years 1 to 9999 in UTC") from None


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exact."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """The inverse of :func:`to_micros`."""
    return _EPOCH + timedelta(microseconds=micros)
