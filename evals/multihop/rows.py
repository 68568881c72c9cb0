"""One row a question and system."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from memagent.evals.multihop.attempt import Attempt
from memagent.evals.multihop.questions import HopQuestion
from memagent.llm.structured import clean
from memagent.overlap import answer_exact, answer_f1

METRICS = ("em", "f1", "recall_all", "recall", "searches", "passages", "calls", "tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class HopRow:
    """What became of one question.

    ``metrics``: ``em`` and ``f1`` (the best over the answers); for a system that can search, whether or not it did,
    ``recall_all`` (every gold passage was found on the way) and ``recall`` (the share of them); ``searches``, distinct
    ``passages`` found, ``calls`` and ``tokens``. ``milliseconds`` is None if a reply came from the cache, or the
    question was refused: how long an answer takes is then not known.
    ``failure`` says why there is no answer; empty if there is one.
    """

    system: str
    question_id: str
    type: str
    question: str
    answers: tuple[str, ...]
    hypothesis: str
    gold: tuple[str, ...]
    found: tuple[str, ...]
    metrics: dict[str, float]
    stopped: str
    failure: str
    input_tokens: int
    output_tokens: int
    cached: bool
    milliseconds: float | None
    trace: tuple[dict[str, Any], ...] = field(default_factory=tuple)

    @property
    def key(self) -> tuple[str, str]:
        """What tells a row from the others of its file."""
        return self.question_id, self.system

    def as_json(self) -> str:
        """The row as one line."""
        return clean(json.dumps(asdict(self), ensure_ascii=False))

    @classmethod
    def of_json(cls, line: str) -> HopRow:
        """The inverse of :meth:`as_json`; raises ValueError, KeyError or TypeError for anything else."""
        fields: dict[str, Any] = json.loads(line)
        fields |= {name: tuple(fields[name]) for name in ("answers", "gold", "found", "trace")}
        return cls(**fields)


def scored(
    question: HopQuestion,
    system: str,
    attempt: Attempt,
    *,
    milliseconds: float | None,
    failure: str = "",
    searches: bool = True,
) -> HopRow:
    """The row of one attempt; no answer is wrong, whatever is left of a right one without its articles."""
    answer = attempt.answer or ""
    golds = question.answers if attempt.answer is not None else ()
    usage = attempt.usage
    cached = attempt.uncached < attempt.calls
    return HopRow(
        system=system,
        question_id=question.id,
        type=question.type,
        question=question.text,
        answers=question.answers,
        hypothesis=answer,
        gold=question.gold,
        found=attempt.found,
        metrics={
            "em": answer_exact(answer, golds),
            "f1": answer_f1(answer, golds),
            **(recall_of(question, attempt.found) if searches else {}),
            "searches": float(len(attempt.searches)),
            "passages": float(len(attempt.found)),
            "calls": float(attempt.calls),
            "tokens": float(usage.input + usage.output),
        },
        stopped=attempt.stopped,
        failure=failure or ("" if attempt.answer is not None else "no answer"),
        input_tokens=usage.input,
        output_tokens=usage.output,
        cached=cached,
        milliseconds=None if cached or milliseconds is None else round(milliseconds, 3),
        trace=attempt.trace,
    )


def recall_of(question: HopQuestion, found: Sequence[str]) -> dict[str, float]:
    """How much of the gold evidence was found; nothing where the data set does not say what that is."""
    if not question.gold:
        return {}
    here = set(question.gold).intersection(found)
    wanted = len(set(question.gold))
    return {"recall_all": float(len(here) == wanted), "recall": len(here) / wanted}
