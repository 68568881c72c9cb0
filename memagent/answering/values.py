"""What an answer is made from, and what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from memagent.llm.reply import Usage
from memagent.prompts.quoting import Remembered

if TYPE_CHECKING:
    from memagent.records import MemoryUnit

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A memory as it was shown to the model.

    ``id`` is that of the memory unit, ``text`` what was shown of it: all, its beginning (``cut``), or what a filter
    left. ``key`` is its place among what was said at the same time.
    """

    id: str
    session_id: str
    text: str
    said_at: datetime
    key: int = 0
    score: float = 0.0
    source_ids: tuple[str, ...] = ()
    cut: bool = False

    @classmethod
    def of_unit(cls, unit: MemoryUnit, score: float = 0.0) -> Evidence:
        """A whole memory unit."""
        return cls(
            id=unit.id,
            session_id=unit.session_id,
            text=unit.text,
            said_at=unit.event_at,
            key=unit.key,
            score=score,
            source_ids=unit.source_ids,
        )

    def labelled(self, number: int) -> Remembered:
        """The memory as a prompt shows it, under the label ``m<number>``."""
        return Remembered(label=f"m{number}", text=self.text, said_at=self.said_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, and what it rests on.

    ``known`` is False where the memory does not hold what was asked for; ``text`` then says so. ``citations`` are ids
    of memories in ``evidence``; ``dropped_citations`` counts those the model made up. ``evidence`` is what the model
    was shown, in the order it was said. ``usage`` are the tokens of all calls, ``trace`` says what was done (JSON
    values).
    """

    text: str
    known: bool
    citations: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    dropped_citations: int = 0
    usage: Usage = Usage()  # noqa: RUF009  # immutable
    trace: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
