"""The values every data set is turned into: histories of users, and questions with the evidence they need."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalMessage:
    """One message of a history. ``name`` is the speaker where roles do not tell; times are UTC."""

    id: str
    role: str
    content: str
    name: str | None = None
    event_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSession:
    """One conversation of a history, never empty. ``summary`` is the one that the data set brings, if any."""

    id: str
    messages: tuple[EvalMessage, ...]
    date: datetime | None = None
    summary: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything one user said, sessions in the order of the data file."""

    user_id: str
    sessions: tuple[EvalSession, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question and its gold evidence.

    ``gold_sessions`` and ``gold_messages`` are ids within the user's history; either is empty when it
    is not known. ``gold_alternatives`` (PersonaBench) holds, for each part of the answer, the sessions
    any one of which is enough; ``gold_sessions`` is then their union. ``populations`` names the
    subsets of questions, besides the whole, that this one counts in. ``no_gold`` says why there is
    no evidence; it is empty when there is some. ``options`` (PersonaMem) are the answers to choose from, a, b, c, ...
    in this order; ``answer`` is then the letter of the right one.
    """

    id: str
    user_id: str
    text: str
    type: str
    answer: str
    date: datetime | None = None
    gold_sessions: tuple[str, ...] = ()
    gold_messages: tuple[str, ...] = ()
    gold_alternatives: tuple[tuple[str, ...], ...] | None = None
    populations: tuple[str, ...] = ()
    no_gold: str = ""
    options: tuple[str, ...] = ()

    @property
    def abstention(self) -> bool:
        """Whether the history does not hold the answer (LongMemEval's mark: the id ends in ``_abs``)."""
        return self.id.endswith("_abs")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A file a data set was read from: its base name and the SHA-256 of its bytes as stored."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A loaded data set. ``left_out`` counts the questions that were not loaded, by reason."""

    name: str
    variant: str
    files: tuple[DataFile, ...]
    histories: tuple[History, ...]
    questions: tuple[Question, ...]
    left_out: dict[str, int] = field(default_factory=dict)
