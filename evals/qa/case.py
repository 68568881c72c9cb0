"""One question on its way: answered, judged, and what it becomes in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from memagent.answering.steps import answer_steps, choose_steps
from memagent.answering.values import Answer
from memagent.errors import MalformedReply, ModelError
from memagent.evals.qa.judging import Criteria, Judgement, judge_steps
from memagent.evals.qa.rows import AnswerRow, Spent
from memagent.evals.qa.scoring import chose_rightly, evidence_shown, exact, token_f1
from memagent.llm.flow import adrive
from memagent.llm.tally import Tally, tally

if TYPE_CHECKING:
    from memagent.answering.recall import Recalled
    from memagent.evals.datasets.cases import Question
    from memagent.evals.qa.settings import QaSettings
    from memagent.llm.flow import Steps
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
        self._reader = _Used()
        self._judge = _Used()

    async def ask(self, reader: Model, judge: Model | None) -> None:
        """Have it answered and judged; raises ModelError (and its kinds)."""
        with self._reader.measured():
            self._answer = await adrive(self._answering(), reader)
        if judge is None or self._question.options:
            return
        unanswerable = self._settings.unanswerable(self._question)
        judging = judge_steps(self._question, self._answer.text, self._criteria, unanswerable=unanswerable)
        with self._judge.measured():
            self._judgement = await adrive(judging, judge)

    def _answering(self) -> Steps[Answer]:
        question, settings = self._question, self._settings
        evidence = self._found.evidence
        if question.options:
            return choose_steps(question.text, question.options, evidence, settings=settings.answer, now=question.date)
        return answer_steps(question.text, evidence, settings=settings.answer, now=question.date)

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
            reader=self._reader.spent(),
            judge=self._judge.spent(),
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
            if self._settings.comparable(question):
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


class _Used:
    """What reader or judge has used for the question."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._milliseconds: float | None = None

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Counts what is asked inside; the time only if it comes to a good end and something was sent."""
        begun = time.perf_counter()
        with tally() as self._tally:
            yield
        if self._tally.calls:
            self._milliseconds = (time.perf_counter() - begun) * 1000

    def spent(self) -> Spent:
        """For the row."""
        return Spent(
            input_tokens=self._tally.usage.input,
            output_tokens=self._tally.usage.output,
            cached=self._tally.cached > 0 and self._tally.calls == 0,
            milliseconds=self._milliseconds,
        )
