"""Answers and judges the questions of a data set, many at once, a row each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from memagent.errors import (
    BudgetExceeded,
    InvalidInput,
    MalformedReply,
    ModelDenied,
    ModelError,
    ModelRefused,
    Stopped,
)
from memagent.evals.qa.asking import Source, look_up
from memagent.evals.qa.case import Case
from memagent.evals.qa.judging import Criteria, criteria_for
from memagent.evals.qa.rows import AnswerRow
from memagent.evals.qa.settings import QaSettings, identity
from memagent.evals.rows import RowLog, open_log, settings_key
from memagent.evals.storing import Storing, check_summaries

if TYPE_CHECKING:
    from memagent.answering.recall import Recalled
    from memagent.encoders.port import Encoder
    from memagent.evals.datasets.cases import Dataset, History, Question
    from memagent.evals.retrieval import Progress
    from memagent.llm.model import Model

_REFUSALS = 5
"""So many refusals, and no answer, are no matter of single questions: a wrong parameter ends the run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QaRun:
    """A finished run: a row for each question, in the order of the data set."""

    dataset: Dataset
    source: Source
    settings: QaSettings
    criteria: Criteria
    questions: tuple[Question, ...]
    left_out: dict[str, int]
    rows: tuple[AnswerRow, ...]


def run_qa(
    dataset: Dataset,
    source: Source,
    encoder: Encoder,
    *,
    reader: Model,
    judge: Model | None,
    settings: QaSettings | None = None,
    concurrency: int = 16,
    partial: Path | None = None,
    progress: Progress | None = None,
) -> QaRun:
    """Store each user's history once, answer the questions about it from what is retrieved, and judge the answers.

    Questions with options are scored by the letter chosen, others by ``judge`` (None: only their texts are compared).
    ``concurrency`` questions are under way at once. Rows are kept in the file ``partial`` as they are made, so that the
    same call continues a stopped one; it is left in place. A reply that cannot be read, or a question that the model
    refuses, is a row with a ``failure`` and counts as wrong.

    Raises :class:`Stopped` on an interrupt from the keyboard, when the budget is spent, when a model cannot be reached
    and when it serves us no more (what was begun is finished first, but for an interrupt), ModelRefused if no question
    at all is answered, :class:`InvalidInput` for what does not go together. Not to be called from a running event loop.
    """
    settings = settings or QaSettings()
    settings = replace(settings, answer=settings.answer.within(reader.window))
    criteria = criteria_for(dataset, settings.criteria)
    check_summaries(dataset, source.specs, settings.summaries)
    questions, left_out = _questions(dataset, settings)
    depends_on = identity(dataset, source, encoder, settings, reader=reader, judge=judge, criteria=criteria)
    with open_log(partial, settings_key(depends_on), AnswerRow) as log:
        storing = Storing(
            encoder=encoder,
            specs=source.specs,
            session_vectors=settings.session_vectors,
            summaries=settings.summaries,
        )
        runner = _Runner(source, storing, settings, criteria, reader, judge, log, progress, len(questions))
        try:
            asyncio.run(runner.run(dataset.histories, questions, concurrency))
        except KeyboardInterrupt:
            hint = "run the same command to resume" if partial else "nothing was kept"
            raise Stopped(f"stopped after {runner.done} of {len(questions)} questions", hint=hint) from None
        rows = {row.question_id: row for row in log.rows}
    return QaRun(
        dataset=dataset,
        source=source,
        settings=settings,
        criteria=criteria,
        questions=questions,
        left_out=left_out,
        rows=tuple(rows[question.id] for question in questions),
    )


def _questions(dataset: Dataset, settings: QaSettings) -> tuple[tuple[Question, ...], dict[str, int]]:
    left_out = dict(dataset.left_out)
    questions = dataset.questions[: settings.limit]
    if len(questions) < len(dataset.questions):
        left_out["beyond the limit"] = len(dataset.questions) - len(questions)
    if not questions:
        raise InvalidInput(f"{dataset.name} has no questions to ask", hint="choose other files or categories")
    if settings.as_of == "question" and any(question.date is None for question in questions):
        raise InvalidInput(f"the questions of {dataset.name} have no dates", hint="leave --as-of at none")
    return questions, left_out


class _Runner:
    """Takes the users one after the other; their questions are answered while the next user is stored."""

    def __init__(
        self,
        source: Source,
        storing: Storing,
        settings: QaSettings,
        criteria: Criteria,
        reader: Model,
        judge: Model | None,
        log: RowLog[AnswerRow],
        progress: Progress | None,
        total: int,
    ) -> None:
        self._source = source
        self._storing = storing
        self._settings = settings
        self._criteria = criteria
        self._reader = reader
        self._judge = judge
        self._log = log
        self._progress = progress
        self._total = total
        self._doing = ""
        self._answered = any(not row.failure for row in log.rows)
        self._refused: list[AnswerRow] = []
        self._refusal: ModelRefused | None = None
        self._ended: ModelError | None = None
        self.done = len(log.rows)

    async def run(self, histories: Sequence[History], questions: Sequence[Question], concurrency: int) -> None:
        """Make every row that the log does not hold yet."""
        asked: dict[str, list[Question]] = {}
        for question in questions:
            if (question.id, self._source.label) not in self._log:
                asked.setdefault(question.user_id, []).append(question)
        self.done = self._total - sum(map(len, asked.values()))
        slots = asyncio.Semaphore(concurrency)
        try:
            async with asyncio.TaskGroup() as group:
                for history in histories:
                    for question, found in await self._looked_up(history, asked.get(history.user_id, [])):
                        await slots.acquire()
                        if self._ended is not None:
                            slots.release()
                            break
                        task = group.create_task(self._finish(question, found))
                        task.add_done_callback(lambda _: slots.release())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        if self._ended is None and self._refused and not self._log.rows:
            self._ended = self._refusal
        if self._ended is not None:
            raise self._why_it_ended(self._ended)
        for row in self._refused:
            self._keep(row)
        self._tell("done")

    async def _looked_up(self, history: History, questions: list[Question]) -> list[tuple[Question, Recalled]]:
        """The memories for each question, found in a thread: models go on answering meanwhile."""
        if not questions or self._ended is not None:
            return []
        return await asyncio.to_thread(self._look_up, history, questions)

    def _look_up(self, history: History, questions: list[Question]) -> list[tuple[Question, Recalled]]:
        settings = self._settings
        with self._storing.stored(history, self._tell) as memory:
            self._tell(f"searching {history.user_id}")
            return [
                (
                    question,
                    look_up(
                        memory,
                        self._source,
                        question,
                        top_k=settings.top_k,
                        granularity=settings.granularity,
                        as_of=settings.as_of == "question",
                    ),
                )
                for question in questions
            ]

    async def _finish(self, question: Question, found: Recalled) -> None:
        """Answer and judge one question, and keep its row; what ends the run is noted, and no further one is begun."""
        case = Case(question, found, self._settings, self._criteria)
        judged = self._judge is not None
        try:
            await case.ask(self._reader, self._judge)
        except MalformedReply as error:
            self._keep(case.row(self._source.label, judged=judged, error=error))
        except ModelDenied as error:  # not the question's fault: it is asked when the same command is run again
            self._ended = self._ended or error
        except ModelRefused as error:
            self._refuse(case.row(self._source.label, judged=judged, error=error), error)
        except ModelError as error:
            self._ended = self._ended or error
        else:
            self._answered = True
            for row in (*self._refused, case.row(self._source.label, judged=judged)):
                self._keep(row)
            self._refused.clear()

    def _refuse(self, row: AnswerRow, error: ModelRefused) -> None:
        """One prompt may be too long, or touch a content filter; if nothing is answered at all it is something else."""
        if self._answered:
            self._keep(row)
            return
        self._refused.append(row)
        self._refusal = error
        if len(self._refused) >= _REFUSALS:
            self._ended = self._ended or error

    def _keep(self, row: AnswerRow) -> None:
        self._log.append(row)
        self.done += 1
        self._tell(self._doing)

    def _why_it_ended(self, error: ModelError) -> ModelError | Stopped:
        if isinstance(error, ModelRefused) and not self._log.rows:
            return error
        then = "raise the budget" if isinstance(error, BudgetExceeded) else "see to the model"
        return Stopped(
            f"stopped after {self.done} of {self._total} questions: {error.message}",
            hint=f"{then}, and run the same command to resume",
        )

    def _tell(self, doing: str) -> None:
        self._doing = doing
        if self._progress:
            self._progress(self.done, self._total, doing)
