"""One row a question, and the file that keeps them while a run goes on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from memagent.llm.structured import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What reader or judge took for one question, replies that could not be used included.

    ``cached``: all of it came from the reply cache. ``milliseconds`` is None then, for how long the model took is not
    known, and where it came to no good end.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached: bool = False
    milliseconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRow:
    """What became of one question.

    ``known``: whether the reader says that it knows. ``citations`` and ``shown`` are sessions' ids, those of the
    memories cited and shown. ``metrics`` has ``accuracy`` (the judge's, or by option letter) and the overlaps with the
    reference. ``verdict`` is the judge's reply. ``failure`` says why there is no answer, or no verdict; it is empty
    otherwise.
    """

    retriever: str
    question_id: str
    user_id: str
    type: str
    unanswerable: bool
    question: str
    reference: str
    hypothesis: str
    known: bool
    citations: tuple[str, ...]
    dropped_citations: int
    shown: tuple[str, ...]
    metrics: dict[str, float]
    verdict: str
    failure: str
    search_ms: float
    reader: Spent
    judge: Spent
    trace: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """What tells a row from the others of its file."""
        return self.question_id, self.retriever

    def as_json(self) -> str:
        """The row as one line."""
        return clean(json.dumps(asdict(self), ensure_ascii=False))

    @classmethod
    def of_json(cls, line: str) -> AnswerRow:
        """The inverse of :meth:`as_json`; raises ValueError, KeyError or TypeError for anything else."""
        fields: dict[str, Any] = json.loads(line)
        fields |= {name: tuple(fields[name]) for name in ("citations", "shown")}
        return cls(**{**fields, "reader": Spent(**fields["reader"]), "judge": Spent(**fields["judge"])})

    def as_hypothesis(self) -> str:
        """The line of LongMemEval's hypothesis file."""
        return clean(json.dumps({"question_id": self.question_id, "hypothesis": self.hypothesis}, ensure_ascii=False))
