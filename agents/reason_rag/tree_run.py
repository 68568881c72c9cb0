"""Searches the trees of many questions at once against one server, and keeps every step as it is made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memagent.agents.reason_rag.search_settings import PRESET, SearchSettings
from memagent.agents.reason_rag.searching import Searcher
from memagent.agents.reason_rag.tree import Case, Event, Judged, Tree
from memagent.agents.reason_rag.tree_log import TreeLog, open_tree_log
from memagent.agents.reason_rag.tree_search import search_steps
from memagent.errors import BudgetExceeded, InvalidInput, MemagentError, ModelError, ModelRefused, Stopped
from memagent.prompts.prompt import Prompt
from memagent.prompts.reason_rag import (
    continue_reasoning,
    extract_evidence,
    first_reasoning,
    forced_answer,
    judge_reasoning,
)

if TYPE_CHECKING:
    from memagent.llm.model import Model

JUDGE = "reason-rag-judge"
"""The name of the prompts that go to the judge, who sees the gold answers; all others go to the policy."""

_PROMPTS = (
    *(write("q", ()) for write in (continue_reasoning, forced_answer)),
    first_reasoning("q"),
    extract_evidence("q", (), "q", ()),
    judge_reasoning("q", ("a",), ()),
)
"""One of each that a search asks: what was begun with another version of one is not continued."""

Progress = Callable[[int, int], None]
"""Told the leaves visited so far and in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searching:
    """Who searches, where, and how: what a run of :func:`grow_trees` shares between its questions.

    ``identity`` names ``searcher`` and what it holds, in JSON values: what was begun over another corpus is not
    continued. ``concurrency`` questions are under way at once; the models' own bounds should not be below it.
    """

    policy: Model
    judge: Model
    searcher: Searcher
    settings: SearchSettings = PRESET
    concurrency: int = 16
    identity: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise InvalidInput(f"concurrency is {self.concurrency}", hint="it is 1 or more")


def grow_trees(
    cases: Sequence[Case], searching: Searching, *, log: Path | None = None, progress: Progress | None = None
) -> list[Tree]:
    """The trees of all questions, in their order. See :func:`agrow_trees`; not to be called from an event loop."""
    try:
        return asyncio.run(agrow_trees(cases, searching, log=log, progress=progress))
    except KeyboardInterrupt:
        hint = "run the same command to resume" if log else "nothing was kept"
        raise Stopped("stopped", hint=hint) from None


async def agrow_trees(
    cases: Sequence[Case], searching: Searching, *, log: Path | None = None, progress: Progress | None = None
) -> list[Tree]:
    """The trees of all questions, in their order.

    Each output and each value is kept in the file ``log`` before the next is asked for, so that the same call goes on
    behind the last one after a stop of any kind, and asks none of them again. Searches of the corpus run in threads.

    Raises :class:`Stopped` when the budget is spent or a model cannot be reached (replies under way are kept first),
    :class:`ModelRefused` when the first prompt of a question is refused, and what the searcher raises.
    """
    if len({case.id for case in cases}) < len(cases):
        raise InvalidInput("two questions have the same id", hint="give each question an id of its own")
    with (
        open_tree_log(log, _identity(searching)) as kept,
        ThreadPoolExecutor(searching.concurrency, thread_name_prefix="memagent-trees") as pool,
    ):
        run = _Run(searching, kept, pool, progress, len(cases))
        return await run.all(cases)


def _identity(searching: Searching) -> dict[str, Any]:
    return {
        "policy": searching.policy.identity,
        "judge": searching.judge.identity,
        "searcher": dict(searching.identity or {}),
        "settings": searching.settings.to_json(),
        "prompts": [prompt.label for prompt in _PROMPTS],
    }


class _Run:
    def __init__(
        self, searching: Searching, log: TreeLog, pool: Executor, progress: Progress | None, questions: int
    ) -> None:
        self._searching = searching
        self._log = log
        self._pool = pool
        self._progress = progress
        self._questions = questions
        self._slots = asyncio.Semaphore(searching.concurrency)
        self._ended: MemagentError | None = None
        self._counting = threading.Lock()
        self._visits = 0

    async def all(self, cases: Sequence[Case]) -> list[Tree]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(case)) for case in cases]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        if self._ended is not None:
            raise self._why(self._ended)
        trees = [task.result() for task in tasks]
        return [tree for tree in trees if tree is not None]

    async def _one(self, case: Case) -> Tree | None:
        """The tree of a question; None if the run has ended before it was whole."""
        async with self._slots:
            if self._ended is not None:
                return None
            begun = self._log.events(case)
            self._count(begun)
            steps = search_steps(
                case,
                self._searching.searcher,
                self._searching.settings,
                begun=begun,
                keep=partial(self._keep, case),
            )
            try:
                return await self._driven(steps)
            except MemagentError as error:
                self._end(error)
                return None

    async def _driven(self, steps: Generator[Any, Any, Tree]) -> Tree | None:
        """Have a flow answered; what it does between two prompts, searches among it, is done in a thread."""
        loop = asyncio.get_running_loop()
        move = partial(next, steps)
        moving = False
        try:
            while True:
                moving = True
                wanted, tree = await loop.run_in_executor(self._pool, _moved, move)
                moving = False
                if wanted is None or self._ended is not None:
                    return tree
                try:
                    reply = await self._model(wanted).aask(wanted)
                except ModelRefused as error:
                    move = partial(steps.throw, error)
                else:
                    move = partial(steps.send, reply)
        finally:
            if not moving:  # a cancelled run leaves a thread in it
                steps.close()

    def _end(self, error: MemagentError) -> None:
        """Let no question go on behind its next reply."""
        if self._ended is None:
            self._ended = error

    def _model(self, prompt: Prompt[Any]) -> Model:
        return self._searching.judge if prompt.name == JUDGE else self._searching.policy

    def _keep(self, case: Case, event: Event) -> None:
        self._log.append(case, event)
        self._count((event,))

    def _count(self, events: Sequence[Event]) -> None:
        judged = sum(isinstance(event, Judged) for event in events)
        with self._counting:  # the questions' threads tell one after the other, and never of less than before
            self._visits += judged
            if self._progress:
                self._progress(self._visits, self._questions * self._searching.settings.iterations)

    def _why(self, error: MemagentError) -> MemagentError:
        """A model that cannot be reached and a spent budget are stops; all else is what it is."""
        if not isinstance(error, BudgetExceeded) and not (isinstance(error, ModelError) and error.retryable):
            return error
        then = "raise the budget" if isinstance(error, BudgetExceeded) else "see to the model"
        wanted = self._questions * self._searching.settings.iterations
        return Stopped(
            f"stopped after {self._visits} of {wanted} visits: {error.message}",
            hint=f"{then}, and run the same command to resume",
        )


def _moved(move: Callable[[], Any]) -> tuple[Any, Tree | None]:
    """The next prompt, or the tree at the end: StopIteration cannot pass through a future."""
    try:
        return move(), None
    except StopIteration as stop:
        return None, stop.value
