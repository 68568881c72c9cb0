"""What every multi-hop data set is turned into: passages, and questions with the passages they rest on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memagent.evals.datasets.cases import DataFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One passage of a corpus; titles may repeat, ids do not."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One part of a decomposed question: its question, in which ``#1`` is the first part's answer, and its answer."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HopQuestion:
    """One question. Any of ``answers`` is right; none means that only retrieval can be scored.

    ``gold`` are the ids of the passages it rests on, in the order of the parts where ``hops`` says them.
    """

    id: str
    text: str
    type: str
    answers: tuple[str, ...]
    gold: tuple[str, ...]
    split: str = ""
    hops: tuple[Hop, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HopSet:
    """A corpus and the questions about it. ``left_out`` counts questions that were not loaded, by reason."""

    name: str
    split: str
    files: tuple[DataFile, ...]
    passages: tuple[Passage, ...]
    questions: tuple[HopQuestion, ...]
    left_out: dict[str, int] = field(default_factory=dict)
