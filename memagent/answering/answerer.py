"""Asks a memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from memagent.answering.budget import CountTokens, estimated_tokens
from memagent.answering.recall import Recalled, Wanted, arecall, recall
from memagent.answering.steps import (
    AnswerSettings,
    Filter,
    Form,
    answer_steps,
    asked_trace,
    cited_ids,
    prepare_steps,
    unanswered,
)
from memagent.answering.streaming import AnswerStream, AsyncAnswerStream, MarkReader
from memagent.answering.values import Answer
from memagent.llm.flow import adrive, drive
from memagent.llm.model import as_model
from memagent.prompts.answering import answer_as_text
from memagent.records import as_utc

if TYPE_CHECKING:
    from memagent.answering.steps import Prepared
    from memagent.llm.flow import Steps
    from memagent.llm.model import Model, ModelLike
    from memagent.llm.reply import Reply
    from memagent.memory import AsyncMemory, Memory
    from memagent.prompts.prompt import Prompt
    from memagent.prompts.quoting import Remembered
    from memagent.records import Granularity
    from memagent.retrievers.port import Retriever


class Answerer:
    """Answers questions from what a memory holds about a user.

    ``model``: a :class:`~memagent.llm.model.Model`, any LangChain chat model, the URL of a server, or a name for
    ``init_chat_model``. ``retriever`` (None: the memory's own), ``top_k`` and ``granularity`` say what is looked up;
    ``max_tokens`` bounds each prompt, instructions and question included, as ``count_tokens`` counts them (default: an
    estimate that is rather too high), never beyond the model's window where that is known; what does not fit is passed
    over, best first. ``filter``: True or "llm" has the model pick out first what bears on the question, which costs a
    second call; "llm-triple" is that as the released MemGAS code inserts it. ``form="text"`` asks for plain text in
    place of JSON, for small models. ``no_evidence``: the answer where nothing was found; the model is then not asked.

        >>> from memagent import Memory
        >>> from memagent.answering import Answerer
        >>> answerer = Answerer(Memory("store"), "http://localhost:8000/v1")  # doctest: +SKIP
        >>> answerer.answer("Where does my sister live?", user_id="ann").text  # doctest: +SKIP
    """

    def __init__(
        self,
        memory: Memory | AsyncMemory,
        model: ModelLike,
        *,
        retriever: Retriever | str | None = None,
        top_k: int = 10,
        granularity: Granularity | str = "turn",
        max_tokens: int | None = 8000,
        filter: bool | Filter = False,  # noqa: A002  # named as on the command line
        form: Form = "json",
        reply_tokens: int = 512,
        no_evidence: str = AnswerSettings().no_evidence,
        count_tokens: CountTokens = estimated_tokens,
    ) -> None:
        self._memory = memory
        self._model = as_model(model)
        self._wanted = partial(Wanted, retriever=retriever, top_k=top_k, granularity=granularity)
        self._settings = AnswerSettings(
            max_tokens=max_tokens,
            reply_tokens=reply_tokens,
            form=form,
            filter=("llm" if filter else "none") if isinstance(filter, bool) else filter,
            no_evidence=no_evidence,
            count=count_tokens,
        )

    @property
    def model(self) -> Model:
        """The model that is asked; its ``meter`` counts calls, tokens and cost."""
        return self._model

    def answer(
        self,
        question: str,
        *,
        user_id: str,
        as_of: datetime | str | None = None,
        asked_at: datetime | str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> Answer:
        """The answer to a question about a user.

        ``as_of`` hides what was said later. ``asked_at`` is the time from which "last week" counts: ``as_of`` if that
        is given, else now. ``filters`` are those of :meth:`Memory.search <memagent.Memory.search>`. Where nothing is
        stored for the user the answer is not known. Raises what a search raises, and ModelError (and its kinds).
        """
        now = _now(asked_at, as_of)
        found = recall(self._memory, self._wanted(question=question, user_id=user_id, as_of=as_of, filters=filters))
        begun = time.perf_counter()
        settings = self._settings.within(self._model.window)
        steps = answer_steps(question, found.evidence, settings=settings, now=now)
        return _traced(drive(steps, self._model), found, begun)

    async def aanswer(
        self,
        question: str,
        *,
        user_id: str,
        as_of: datetime | str | None = None,
        asked_at: datetime | str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> Answer:
        """:meth:`answer`, awaited; the memory may be a ``Memory`` or an ``AsyncMemory``."""
        now = _now(asked_at, as_of)
        wanted = self._wanted(question=question, user_id=user_id, as_of=as_of, filters=filters)
        found = await arecall(self._memory, wanted)
        begun = time.perf_counter()
        settings = self._settings.within(await _window(self._model))
        steps = answer_steps(question, found.evidence, settings=settings, now=now)
        return _traced(await adrive(steps, self._model), found, begun)

    def stream(
        self,
        question: str,
        *,
        user_id: str,
        as_of: datetime | str | None = None,
        asked_at: datetime | str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> AnswerStream:
        """The answer in pieces, as the model writes it, without its citations; these are in ``.answer`` afterwards.

        The arguments are those of :meth:`answer`; the prompt is another one, which asks for text. A model that is told
        to mark an unknown answer may forget to: ``known`` is surer from :meth:`answer`.
        """
        now = _now(asked_at, as_of)
        wanted = self._wanted(question=question, user_id=user_id, as_of=as_of, filters=filters)
        written = _Written(self._model, self._settings, wanted.question, now)
        return AnswerStream(written.pieces(self._memory, wanted), written.finish)

    def astream(
        self,
        question: str,
        *,
        user_id: str,
        as_of: datetime | str | None = None,
        asked_at: datetime | str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> AsyncAnswerStream:
        """:meth:`stream`, for ``async for``; the memory may be a ``Memory`` or an ``AsyncMemory``."""
        now = _now(asked_at, as_of)
        wanted = self._wanted(question=question, user_id=user_id, as_of=as_of, filters=filters)
        written = _Written(self._model, self._settings, wanted.question, now)
        return AsyncAnswerStream(written.apieces(self._memory, wanted), written.finish)


class _Written:
    """One answer while it is being written."""

    def __init__(self, model: Model, settings: AnswerSettings, question: str, now: datetime) -> None:
        self._model = model
        self._settings = settings
        self._question = question
        self._now = now
        self._marks = MarkReader()
        self._text = ""
        self._begun = 0.0
        self._found: Recalled
        self._prepared: Prepared
        self._reply: Reply[str]

    def pieces(self, memory: Memory | AsyncMemory, wanted: Wanted) -> Iterator[str]:
        """Ask, and pass on what can be shown."""
        self._found = recall(memory, wanted)
        self._prepared = drive(self._preparing(self._model.window), self._model)
        if not self._prepared.shown:
            yield self._settings.no_evidence
            return
        for piece in self._model.stream(self._prompt(self._prepared.labelled), told=self._note):
            if text := self._shown(self._marks.feed(piece)):
                yield text
        if text := self._shown(self._marks.close()):
            yield text

    async def apieces(self, memory: Memory | AsyncMemory, wanted: Wanted) -> AsyncGenerator[str, None]:
        """:meth:`pieces`, for an event loop."""
        self._found = await arecall(memory, wanted)
        self._prepared = await adrive(self._preparing(await _window(self._model)), self._model)
        if not self._prepared.shown:
            yield self._settings.no_evidence
            return
        prompt = self._prompt(self._prepared.labelled)
        async with aclosing(self._model.astream(prompt, told=self._note)) as pieces:
            async for piece in pieces:
                if text := self._shown(self._marks.feed(piece)):
                    yield text
        if text := self._shown(self._marks.close()):
            yield text

    def finish(self) -> Answer:
        """The whole answer, after the last piece."""
        prepared = self._prepared
        if not prepared.shown:
            return _traced(unanswered(prepared, self._settings), self._found, self._begun)
        cited, dropped = cited_ids(self._marks.labels, prepared.shown)
        text = self._text.strip()
        answer = Answer(
            text=text,
            known=self._marks.known and bool(text),
            citations=cited,
            evidence=prepared.shown,
            dropped_citations=dropped,
            usage=prepared.usage + self._reply.usage,
            trace=asked_trace(prepared, self._prompt(()), self._reply),
        )
        return _traced(answer, self._found, self._begun)

    def _preparing(self, window: int | None) -> Steps[Prepared]:
        self._begun = time.perf_counter()
        self._settings = self._settings.within(window)
        evidence = self._found.evidence
        return prepare_steps(self._question, evidence, self._prompt, settings=self._settings, now=self._now)

    def _prompt(self, memories: Sequence[Remembered]) -> Prompt[str]:
        return answer_as_text(self._question, memories, now=self._now, max_tokens=self._settings.reply_tokens)

    def _shown(self, text: str) -> str:
        self._text += text
        return text

    def _note(self, reply: Reply[str]) -> None:
        self._reply = reply


async def _window(model: Model) -> int | None:
    """Asking for it the first time connects to the server."""
    return await asyncio.to_thread(lambda: model.window)


def _now(asked_at: datetime | str | None, as_of: datetime | str | None) -> datetime:
    if asked_at is not None:
        return as_utc(asked_at, "asked_at")
    return datetime.now(UTC) if as_of is None else as_utc(as_of, "as_of")


def _traced(answer: Answer, found: Recalled, begun: float) -> Answer:
    timings = {
        "encode_ms": found.encode_ms,
        "search_ms": found.search_ms,
        "model_ms": (time.perf_counter() - begun) * 1000,
    }
    retrieval = {"known_user": found.known_user, "retriever": found.retriever, **found.trace}
    return replace(answer, trace={**answer.trace, "retrieval": retrieval, "timings": timings})
