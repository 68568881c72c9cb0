"""Puts a data set's questions to every system, many at once, a row each."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from memagent._version import __version__
from memagent.errors import (
    BudgetExceeded,
    InvalidInput,
    MemagentError,
    ModelDenied,
    ModelRefused,
    SearchFailed,
    Stopped,
)
from memagent.evals.multihop.attempt import Attempt
from memagent.evals.multihop.questions import HopQuestion, HopSet
from memagent.evals.multihop.rows import HopRow, scored
from memagent.evals.rows import RowLog, open_log, settings_key
from memagent.llm.flow import Steps, drive
from memagent.llm.tally import tally

if TYPE_CHECKING:
    from memagent.evals.multihop.systems import System
    from memagent.evals.retrieval import Progress
    from memagent.llm.model import Model

_REFUSALS = 5
"""So many refusals, and no answer, are no matter of single questions: a wrong key or name ends the run."""

_Made: TypeAlias = "tuple[HopRow, MemagentError | None]"


@dataclass(frozen=True, slots=True, kw_only=True)
class HopRun:
    """A finished run: a row for each question and system, in the order of both.

    ``labels`` and ``params`` are the systems', in this order.
    """

    data: HopSet
    labels: tuple[str, ...]
    params: tuple[dict[str, Any], ...]
    questions: tuple[HopQuestion, ...]
    left_out: dict[str, int]
    rows: tuple[HopRow, ...]


def run_hops(
    data: HopSet,
    systems: Sequence[System],
    model: Model,
    *,
    depends_on: dict[str, Any] | None = None,
    limit: int | None = None,
    concurrency: int = 16,
    partial: Path | None = None,
    progress: Progress | None = None,
) -> HopRun:
    """Put each question to each system, and score the answers and what was found.

    ``concurrency`` attempts are made at once, of each question one: what systems ask alike is found in the reply cache.

    Rows are kept in the file ``partial`` as they are made, so that the same call continues a stopped one; it is left
    in place. ``depends_on``: what else the rows depend on (encoder, retrievers). A question that the model or a search
    refuses is a row with a ``failure`` and counts as wrong.

    Raises Stopped on an interrupt from the keyboard, when the budget is spent, and when the model or a search cannot
    be reached (what was begun is finished first, but for an interrupt); ModelRefused or SearchFailed if no question is
    answered at all; InvalidInput without systems and for two of one label.
    """
    labels = [system.label for system in systems]
    if not labels or len(set(labels)) < len(labels):
        raise InvalidInput(f"the systems are {labels}", hint="name one at least, and each once")
    if concurrency < 1:
        raise InvalidInput(f"concurrency is {concurrency}", hint="concurrency is 1 or more")
    questions, left_out = within(data, limit)
    identity = {
        "version": __version__,
        "data": [data.name, [(file.name, file.sha256) for file in data.files]],
        "systems": {system.label: system.params for system in systems},
        "model": model.identity,
        **(depends_on or {}),
    }
    with open_log(partial, settings_key(identity), HopRow) as log:
        runner = _Runner(model, log, progress, len(questions) * len(systems))
        try:
            # System by system: what one asks, another that begins alike finds in the reply cache.
            runner.run([(question, system) for system in systems for question in questions], concurrency)
        except KeyboardInterrupt:
            hint = "run the same command to resume" if partial else "nothing was kept"
            raise Stopped(f"stopped after {len(log.rows)} of {runner.total} attempts", hint=hint) from None
        rows = {row.key: row for row in log.rows}
    return HopRun(
        data=data,
        labels=tuple(labels),
        params=tuple(system.params for system in systems),
        questions=questions,
        left_out=left_out,
        rows=tuple(rows[question.id, label] for question in questions for label in labels),
    )


def within(data: HopSet, limit: int | None) -> tuple[tuple[HopQuestion, ...], dict[str, int]]:
    """The first ``limit`` questions, and how many are left out for which reason."""
    questions = data.questions[:limit]
    left_out = dict(data.left_out)
    if len(questions) < len(data.questions):
        left_out["beyond the limit"] = len(data.questions) - len(questions)
    return questions, left_out


class _Runner:
    """Keeps so many attempts under way at once; their rows are written by the thread that began the run."""

    def __init__(self, model: Model, log: RowLog[HopRow], progress: Progress | None, total: int) -> None:
        self._model = model
        self._log = log
        self._progress = progress
        self.total = total
        self._answered = bool(log.rows)
        self._refused: list[HopRow] = []
        self._refusal: MemagentError | None = None
        self._ended: MemagentError | None = None
        self._stopping = threading.Event()

    def run(self, tasks: Sequence[tuple[HopQuestion, System]], concurrency: int) -> None:
        """Make every row that the log does not hold yet."""
        due = deque(task for task in tasks if (task[0].id, task[1].label) not in self._log)
        pool = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="memagent-hops")
        try:
            self._work(pool, due, concurrency)
        finally:
            # After an interrupt threads may still wait for a server: not here, but at the end of the process each ends
            # its call, and makes no other.
            self._stopping.set()
            pool.shutdown(wait=False, cancel_futures=True)
        if self._ended is None and self._refusal is not None and not self._answered:
            raise self._refusal
        if self._ended is not None:
            raise self._why(self._ended)
        for row in self._refused:
            self._keep(row)
        self._tell("done")

    def _work(self, pool: ThreadPoolExecutor, due: deque[tuple[HopQuestion, System]], concurrency: int) -> None:
        under_way: dict[Future[_Made], str] = {}
        while True:
            while self._ended is None and due and len(under_way) < concurrency:
                if due[0][0].id in under_way.values():
                    break  # what systems ask alike of a question is then paid for once
                task = due.popleft()
                under_way[pool.submit(self._attempt, *task)] = task[0].id
            if not under_way:
                return
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                del under_way[future]
                self._finished(future)

    def _attempt(self, question: HopQuestion, system: System) -> _Made:
        """The row of one attempt, and what has refused it, if anything has; what it had paid for by then is counted."""
        begun = time.perf_counter()
        took, refusal = None, None
        with tally() as used:
            try:
                attempt = drive(self._until_stopped(system.attempt(question.text)), self._model)
                took = (time.perf_counter() - begun) * 1000
            except (ModelRefused, SearchFailed) as error:
                if error.retryable:
                    raise
                refusal, calls = error, used.calls + used.cached
                attempt = Attempt(answer=None, calls=calls, uncached=used.calls, usage=used.usage)
        failure = refusal.message if refusal else ""
        row = scored(question, system.label, attempt, milliseconds=took, failure=failure, searches=system.searches)
        return row, refusal

    def _until_stopped(self, steps: Steps[Attempt]) -> Steps[Attempt]:
        """The same flow, which asks nothing more when the run has been interrupted."""
        move: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                wanted = move()
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]  # what the flow returns
            if self._stopping.is_set():
                raise Stopped("stopped", hint="run the same command to resume")
            try:
                move = partial(steps.send, (yield wanted))
            except MemagentError as error:
                move = partial(steps.throw, error)

    def _finished(self, future: Future[_Made]) -> None:
        try:
            row, refusal = future.result()
        except MemagentError as error:
            self._ended = self._ended or error
            return
        if refusal is not None:
            self._refuse(row, refusal)
        else:
            self._answered = True
            self._keep(row)

    def _refuse(self, row: HopRow, error: MemagentError) -> None:
        """One prompt may be too long, or touch a content filter; if nothing is answered at all it is something else."""
        self._refused.append(row)
        self._refusal = self._refusal or error
        if isinstance(error, ModelDenied) or (not self._answered and len(self._refused) >= _REFUSALS):
            self._ended = self._ended or error

    def _keep(self, row: HopRow) -> None:
        self._log.append(row)
        self._tell(f"{row.system}: {row.question_id}")

    def _why(self, error: MemagentError) -> MemagentError:
        if not (error.retryable or isinstance(error, BudgetExceeded)):
            return error
        then = "raise the budget" if isinstance(error, BudgetExceeded) else "see to the server"
        return Stopped(
            f"stopped after {len(self._log.rows)} of {self.total} attempts: {error.message}",
            hint=f"{then}, and run the same command to resume",
        )

    def _tell(self, doing: str) -> None:
        if self._progress:
            self._progress(len(self._log.rows), self.total, doing)
