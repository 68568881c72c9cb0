"""One question on its way: answered, judged, and what it becomes in the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from memagent.answering.steps import answer_steps, choose_steps
from memagent.answering.values import Answer
from memagent.errors import MalformedReply, ModelError
from memagent.evals.qa.judging import Criteria, Judgement, judge_steps
from memagent.evals.qa.rows import AnswerRow, Spent
from memagent.evals.qa.scoring import chose_rightly, evidence_shown, exact, token_f1
from memagent.llm.flow import adrive
from memagent.llm.reply import Usage

if TYPE_CHECKING:
    from memagent.answering.recall import Recalled
    from memagent.evals.datasets.cases import Question
    from memagent.evals.qa.settings import QaSettings
    from memagent.llm.model import Model

_UNCLEAR = "the judge says neither yes nor no"


class Case:
    """A question, the memories found for it, and what reader and judge have said so far."""

    def __init__(self, question: Question, found: Recalled, settings: QaSettings, criteria: Criteria) -> None:
        self._question = question
        self._found = found
        self._settings = settings
        self._criteria: Criteria = criteria
        self._answer: Answer | None = None
        self._judgement: Judgement | None = None
        self._reader_ms: float | None = None
        self._judge_ms: float | None = None

    async def ask(self, reader: Model, judge: Model | None) -> None:
        """Have it answered and judged; raises ModelError (and its kinds)."""
        question, settings = self._question, self._settings
        begun = time.perf_counter()
        evidence = self._found.evidence
        if question.options:
            steps = choose_steps(question.text, question.options, evidence, settings=settings.answer, now=question.date)
        else:
            steps = answer_steps(question.text, evidence, settings=settings.answer, now=question.date)
        self._answer = await adrive(steps, reader)
        self._reader_ms = None if self._answer.trace["cached"] else (time.perf_counter() - begun) * 1000
        if judge is None or question.options:
            return
        begun = time.perf_counter()
        judging = judge_steps(question, self._answer.text, self._criteria, unanswerable=settings.unanswerable(question))
        self._judgement = await adrive(judging, judge)
        self._judge_ms = None if self._judgement.cached else (time.perf_counter() - begun) * 1000

    def row(self, label: str, *, judged: bool, error: ModelError | None = None) -> AnswerRow:
        """The row of the question; ``error`` is what ended it before its time. ``judged``: there is a judge."""
        question, found = self._question, self._found
        answer = self._answer or Answer(text="", known=False)
        sessions = {memory.id: memory.session_id for memory in answer.evidence}
        return AnswerRow(
            retriever=label,
            question_id=question.id,
            user_id=question.user_id,
            type=question.type,
            unanswerable=self._settings.unanswerable(question),
            question=question.text,
            reference=question.answer,
            hypothesis=answer.text,
            known=answer.known,
            citations=tuple(dict.fromkeys(sessions[cited] for cited in answer.citations)),
            dropped_citations=answer.dropped_citations,
            shown=tuple(dict.fromkeys(sessions.values())),
            metrics=self._metrics(answer, judged=judged),
            verdict=self._judgement.reply if self._judgement else "",
            failure=_reason(error) if error else self._unclear(),
            search_ms=found.search_ms,
            reader=_spent(answer.usage, self._reader_ms, asked=bool(answer.trace.get("prompts"))),
            judge=_spent(
                self._judgement.usage if self._judgement else Usage(),
                self._judge_ms,
                asked=self._judgement is not None,
            ),
            trace=dict(answer.trace),
        )

    def _metrics(self, answer: Answer, *, judged: bool) -> dict[str, float]:
        question = self._question
        metrics = {}
        if question.options:
            metrics["accuracy"] = chose_rightly(answer.text, question.answer, len(question.options))
        else:
            if judged:
                metrics["accuracy"] = float(self._judgement is not None and self._judgement.right is True)
            metrics["f1"] = token_f1(answer.text, question.answer)
            metrics["exact_match"] = exact(answer.text, question.answer)
        if self._answer is None:  # what it was shown, and what it would have said, is not known
            return metrics
        if not question.options:
            metrics["said_unknown"] = float(not answer.known)
        shown = evidence_shown(question, answer.evidence, self._settings.granularity)
        if shown is not None:
            metrics["evidence_shown"] = shown
        return metrics

    def _unclear(self) -> str:
        return _UNCLEAR if self._judgement is not None and self._judgement.right is None else ""


def _reason(error: ModelError) -> str:
    detail = error.reason if isinstance(error, MalformedReply) else error.message[:200]
    return f"{type(error).__name__}: {detail}"


def _spent(usage: Usage, milliseconds: float | None, *, asked: bool) -> Spent:
    return Spent(
        input_tokens=usage.input,
        output_tokens=usage.output,
        cached=asked and milliseconds is None,
        milliseconds=milliseconds,
    )
