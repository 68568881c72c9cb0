"""Runs retrievers on a data set's questions, through the public face of the memory layer only."""

from __future__ import annotations

import statistics as stdlib_statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from memagent._version import __version__
from memagent.errors import InvalidInput, Stopped, UnknownName
from memagent.evals.datasets.cases import Dataset, History, Question
from memagent.evals.gold import GRANULARITIES, gold_units, score_question, scored_questions, turn_names, unit_name
from memagent.evals.metrics import KS
from memagent.evals.rows import QuestionRow, RowLog, open_log, settings_key
from memagent.evals.signals import signals_of
from memagent.evals.storing import SESSION_VECTORS, SUMMARIES, Storing, check_summaries

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.encoders.port import Encoder
    from memagent.evals.specs import RetrieverSpec

TOP_K = max(KS)

_CHOICES = {
    "granularity": GRANULARITIES,
    "as_of": ("none", "question"),
    "session_vectors": SESSION_VECTORS,
    "summaries": SUMMARIES,
}


class Progress(Protocol):
    """Is told how far a run is."""

    def __call__(self, done: int, total: int, doing: str) -> None:
        """``done`` of ``total`` searches are made; ``doing`` says in words what comes now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalSettings:
    """What is asked of the memory layer.

    ``as_of`` ``question`` hides what was said after the question's date. ``session_vectors`` says what a
    session's own vector is: that of its ``text``, or the ``mean`` of its turns' vectors. ``summaries`` stores
    summaries and keywords of the sessions too, for retrievers that use them: both ``extractive``, or the summaries
    that the ``dataset`` brings and extractive keywords. ``limit`` keeps the first questions only. Raises
    :class:`UnknownName` for a choice that does not exist.
    """

    granularity: Literal["session", "turn"] = "session"
    as_of: Literal["none", "question"] = "none"
    session_vectors: Literal["text", "mean"] = "text"
    summaries: Literal["none", "extractive", "dataset"] = "none"
    limit: int | None = None

    def __post_init__(self) -> None:
        for name, valid in _CHOICES.items():
            if getattr(self, name) not in valid:
                raise UnknownName(
                    f"{name} cannot be {getattr(self, name)!r}", hint=f"use one of {', '.join(map(repr, valid))}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalRun:
    """A finished run: a row for each question and retriever."""

    dataset: Dataset
    specs: tuple[RetrieverSpec, ...]
    settings: RetrievalSettings
    questions: tuple[Question, ...]
    left_out: dict[str, int]
    rows: tuple[QuestionRow, ...]


def run_retrieval(
    dataset: Dataset,
    specs: Sequence[RetrieverSpec],
    encoder: Encoder,
    *,
    settings: RetrievalSettings | None = None,
    partial: Path | None = None,
    progress: Progress | None = None,
) -> RetrievalRun:
    """Store each user's history once, put each question to every retriever, and score what comes back.

    Rows are kept in the file ``partial`` as they are made, so that the same call continues a stopped one;
    it is left in place. Raises :class:`Stopped` on an interrupt from the keyboard and
    :class:`InvalidInput` when nothing can be scored or what a retriever or a setting needs is missing.
    """
    settings = settings or RetrievalSettings()
    check_summaries(dataset, specs, settings.summaries)
    questions, left_out = scored_questions(dataset, settings.granularity, limit=settings.limit)
    if settings.as_of == "question" and any(question.date is None for question in questions):
        raise InvalidInput(f"the questions of {dataset.name} have no dates", hint="leave --as-of at none")
    key = settings_key(_identity(dataset, specs, encoder, settings))
    with open_log(partial, key, QuestionRow) as log:
        try:
            _Runner(specs, encoder, settings, log, progress).run(dataset.histories, questions)
        except KeyboardInterrupt:
            total = len(questions) * len(specs)
            hint = "run the same command to resume" if partial else "nothing was kept"
            raise Stopped(f"stopped after {len(log.rows)} of {total} searches", hint=hint) from None
        rows = tuple(log.rows)
    return RetrievalRun(
        dataset=dataset,
        specs=tuple(specs),
        settings=settings,
        questions=questions,
        left_out=left_out,
        rows=rows,
    )


def encoding_latency(encoder: Encoder, questions: Sequence[Question], *, sample: int = 20) -> float:
    """The median time, in milliseconds, to encode one question; pass the encoder itself, not a cache of it."""
    texts = [question.text for question in questions[:sample]]
    encoder.encode_queries(texts[:1])  # the first call may load and compile
    times = []
    for text in texts:
        begun = time.perf_counter()
        encoder.encode_queries([text])
        times.append((time.perf_counter() - begun) * 1000)
    return stdlib_statistics.median(times)


def _identity(
    dataset: Dataset, specs: Sequence[RetrieverSpec], encoder: Encoder, settings: RetrievalSettings
) -> Mapping[str, Any]:
    """Everything that the rows depend on."""
    return {
        "version": __version__,
        "dataset": [dataset.name, dataset.variant, [asdict(file) for file in dataset.files]],
        "specs": [[spec.label, spec.name, spec.params] for spec in specs],
        "encoder": encoder.fingerprint,
        "settings": asdict(settings),
    }


class _Runner:
    """Takes the users one after the other: stores the history and asks the questions."""

    def __init__(
        self,
        specs: Sequence[RetrieverSpec],
        encoder: Encoder,
        settings: RetrievalSettings,
        log: RowLog[QuestionRow],
        progress: Progress | None,
    ) -> None:
        self._specs = specs
        self._encoder = encoder
        self._settings = settings
        self._log = log
        self._progress = progress
        self._total = 0

    def run(self, histories: Sequence[History], questions: Sequence[Question]) -> None:
        """Make every row that the log does not hold yet."""
        self._total = len(questions) * len(self._specs)
        asked: dict[str, list[Question]] = {}
        for question in questions:
            if any((question.id, spec.label) not in self._log for spec in self._specs):
                asked.setdefault(question.user_id, []).append(question)
        for history in histories:
            if history.user_id in asked:
                self._user(history, asked[history.user_id])
        self._tell("done")

    def _user(self, history: History, questions: Sequence[Question]) -> None:
        storing = Storing(
            encoder=self._encoder,
            specs=tuple(self._specs),
            session_vectors=self._settings.session_vectors,
            summaries=self._settings.summaries,
        )
        with storing.stored(history, self._tell) as memory:
            self._ask(_User(memory, history, self._settings), history.user_id, questions)

    def _ask(self, user: _User, user_id: str, questions: Sequence[Question]) -> None:
        # One untimed search each: the first builds indexes that the later ones find ready.
        for spec in self._specs:
            user.search(questions[0], spec)
        for question in questions:
            self._tell(f"searching {user_id}")
            for spec in self._specs:
                if (question.id, spec.label) not in self._log:
                    self._log.append(user.ask(question, spec))

    def _tell(self, doing: str) -> None:
        if self._progress:
            self._progress(len(self._log.rows), self._total, doing)


class _User:
    """One stored history, ready to be asked."""

    def __init__(self, memory: Memory, history: History, settings: RetrievalSettings) -> None:
        self._memory = memory
        self._settings = settings
        self._user_id = history.user_id
        self._turn_of: dict[str, str] = {}
        if settings.granularity == "turn":
            messages = sum(len(session.messages) for session in history.sessions)
            turns = memory.get_all(user_id=history.user_id, granularity="turn", top_k=messages)
            self._turn_of = turn_names(turns["results"])

    def ask(self, question: Question, spec: RetrieverSpec) -> QuestionRow:
        """Search and score."""
        granularity = self._settings.granularity
        reply = self.search(question, spec)
        ranked = tuple(dict.fromkeys(unit_name(result, granularity) for result in reply["results"]))
        gold = gold_units(question, granularity, self._turn_of)
        return QuestionRow(
            retriever=spec.label,
            question_id=question.id,
            user_id=question.user_id,
            type=question.type,
            gold=gold,
            ranked=ranked,
            metrics=score_question(question, ranked, gold, granularity),
            search_ms=float(reply["trace"]["timings"]["search_ms"]),
            signals=signals_of(reply["trace"]),
        )

    def search(self, question: Question, spec: RetrieverSpec) -> Mapping[str, Any]:
        """What the memory layer replies."""
        reply: Mapping[str, Any] = self._memory.search(
            question.text,
            user_id=self._user_id,
            top_k=TOP_K,
            retriever=spec.retriever,
            granularity=self._settings.granularity,
            as_of=question.date if self._settings.as_of == "question" else None,
            explain=True,
        )
        return reply
