"""Small things to put into a store, for tests of stores."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.records import Granularity, Message, to_micros
from memagent.stores.jobs import Job
from memagent.stores.port import SessionState, StoredMessage, UnitDraft

if TYPE_CHECKING:
    from memagent.records import Vector
    from memagent.stores.port import ReadTransaction, UserStore, WriteTransaction

AT = to_micros(datetime(2025, 3, 1, 12, tzinfo=UTC))


def vector(*numbers: float) -> Vector:
    """A unit vector of four numbers, (4,) float32."""
    raw = np.array([*numbers, *[0.0] * (4 - len(numbers))], np.float32)
    return raw / np.float32(np.linalg.norm(raw))


def draft(session: int, name: str, text: str | None, **others: Any) -> UnitDraft:
    """A turn (unless others say otherwise) that can be stored."""
    values: dict[str, Any] = {
        "granularity": Granularity.TURN,
        "event_at": AT,
        "at": AT + 5,
        "terms": b"",
        "vector": vector(1.0, len(text or "")),
        **others,
    }
    return UnitDraft(id=name, session=session, text=text, **values)


def message(identifier: str, content: str, **others: Any) -> Message:
    """A message of a user (unless others say otherwise)."""
    values: dict[str, Any] = {"role": "user", "event_at": datetime(2025, 3, 1, 12, tzinfo=UTC), **others}
    return Message(id=identifier, content=content, **values)


def job(unit: int, **others: Any) -> Job:
    """A queued job for the facts of a turn (unless others say otherwise)."""
    values: dict[str, Any] = {"session": 1, "kind": "facts", "state": "queued", "asked_at": AT, **others}
    return Job(unit=unit, **values)


def add_session(writer: WriteTransaction, name: str, texts: list[str], *, message_prefix: str = "") -> list[int]:
    """A session of turns, each with one message; the keys: the session's own unit first."""
    number = writer.insert_session(name, agent_id=None)
    (own,) = writer.insert_units(
        [draft(number, f"{name}.s", None, granularity=Granularity.SESSION, vector=vector(1.0))]
    )
    keys = writer.insert_units(
        [draft(number, f"{name}.{i}", text, sources=(f"{message_prefix}{name}.m{i}",)) for i, text in enumerate(texts)]
    )
    writer.insert_messages(
        [
            StoredMessage(key, message(f"{message_prefix}{name}.m{i}", text), AT)
            for i, (key, text) in enumerate(zip(keys, texts, strict=True))
        ]
    )
    writer.set_encoder("test/4", 4)
    writer.save_session(
        SessionState(
            number=number,
            id=name,
            unit=own,
            closed=False,
            derived=False,
            agent_id=None,
            turns=len(texts),
            vector_sum=np.arange(4, dtype=np.float64),
        )
    )
    return [own, *keys]


def added(user: UserStore, name: str, texts: list[str]) -> list[int]:
    """:func:`add_session` in a transaction of its own."""
    with user.write() as writer:
        return add_session(writer, name, texts)


def everything(reader: ReadTransaction) -> list[Any]:
    """All that can be read."""
    sessions = [
        (s.number, s.id, s.unit, s.closed, s.derived, s.turns, None if s.vector_sum is None else s.vector_sum.tobytes())
        for s in reader.sessions()
    ]
    keys = sorted(reader.attributes())
    return [
        reader.revision(),
        reader.delta(0),
        reader.units(keys),
        reader.attributes(),
        reader.vectors(keys),
        sessions,
        list(reader.messages()),
        reader.history(),
        reader.counts(),
        [column.tobytes() for column in reader.links()],
        reader.links_revision(),
        reader.association(),
        reader.unlinked(),
        reader.jobs(),
        reader.count_jobs(),
    ]
