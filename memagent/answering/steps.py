"""From a question and memories to an answer: generators of prompts (see :mod:`memagent.llm.flow`), no calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from memagent.answering.budget import CountTokens, estimated_tokens, fitting, room_for_prompt
from memagent.answering.streaming import MarkReader
from memagent.answering.values import Answer, Evidence
from memagent.errors import InvalidInput, UnknownName
from memagent.llm.flow import Steps, asked
from memagent.llm.reply import Usage
from memagent.prompts.answering import MemoryAnswer, answer_as_text, answer_from_memory, choose_option
from memagent.prompts.evidence import filter_evidence
from memagent.prompts.quoting import label_number

if TYPE_CHECKING:
    from memagent.answering.budget import MakePrompt
    from memagent.llm.reply import Reply
    from memagent.prompts.evidence import Excerpt
    from memagent.prompts.prompt import Prompt
    from memagent.prompts.quoting import Remembered

Filter = Literal["none", "llm", "llm-triple"]
FILTERS: tuple[Filter, ...] = get_args(Filter)
Form = Literal["json", "text"]
FORMS: tuple[Form, ...] = get_args(Form)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerSettings:
    """How memories are put before a model.

    ``max_tokens`` bounds each prompt, instructions and question included, as ``count`` counts them; None leaves it
    unbounded. ``reply_tokens`` bounds the answer, ``filter_tokens`` what a filter writes. ``filter``: "llm" has the
    model pick out first what bears on the question (MemGAS's filter), "llm-triple" then repeats that once for each
    retrieved memory, as the released MemGAS code does. ``form``: "text" asks for plain text in place of JSON, which
    small models write more easily; whether an answer is known is then less sure. ``no_evidence`` is what the answer
    says when there is nothing to answer from (the model is then not asked), and when a model that does not know says
    no more than that.
    """

    max_tokens: int | None = 8000
    reply_tokens: int = 512
    filter_tokens: int = 4000
    filter: Filter = "none"
    form: Form = "json"
    no_evidence: str = "I do not know: I remember nothing that answers this."
    count: CountTokens = estimated_tokens

    def __post_init__(self) -> None:
        for name, valid in (("filter", FILTERS), ("form", FORMS)):
            value = getattr(self, name)
            if value not in valid:
                raise UnknownName(f"{name} is {value!r}", hint=f"use one of {', '.join(map(repr, valid))}")
        for name in ("max_tokens", "reply_tokens", "filter_tokens"):
            value = getattr(self, name)
            if not (value is None and name == "max_tokens") and (type(value) is not int or value < 1):
                raise InvalidInput(f"{name} is {value!r}", hint=f"{name} is a whole number, at least 1")

    def within(self, window: int | None) -> AnswerSettings:
        """These settings for a model whose prompt and reply together have at most ``window`` tokens, if that is known.

        Raises InvalidInput if no prompt is possible beside such a reply.
        """
        if window is None:
            return self
        written = min(self.filter_tokens, window // 4)
        reply = max(self.reply_tokens, written if self.filter != "none" else 0)
        return replace(self, max_tokens=room_for_prompt(window, reply, self.max_tokens), filter_tokens=written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The memories to be shown, in the order they were said; what it took to choose them, and what was done."""

    shown: tuple[Evidence, ...]
    usage: Usage
    trace: dict[str, Any]

    @property
    def labelled(self) -> list[Remembered]:
        """The memories under the labels m1, m2, ..."""
        return labelled(self.shown)


def answer_steps(
    question: str, evidence: Sequence[Evidence], *, settings: AnswerSettings, now: datetime | None = None
) -> Steps[Answer]:
    """The answer to a question from memories (best first)."""
    write: Callable[..., Prompt[Any]] = answer_as_text if settings.form == "text" else answer_from_memory
    make = partial(write, question, now=now, max_tokens=settings.reply_tokens)
    prepared = yield from prepare_steps(question, evidence, make, settings=settings, now=now)
    if not prepared.shown:
        return unanswered(prepared, settings)
    prompt = make(prepared.labelled)
    reply = yield from asked(prompt)
    text, known, labels = _said(reply.value)
    cited, dropped = cited_ids(labels, prepared.shown)
    return Answer(
        text=text.strip() or (settings.no_evidence if isinstance(reply.value, MemoryAnswer) else ""),
        known=known,
        citations=cited,
        evidence=prepared.shown,
        dropped_citations=dropped,
        usage=prepared.usage + reply.usage,
        trace=asked_trace(prepared, prompt, reply),
    )


def _said(value: MemoryAnswer | str) -> tuple[str, bool, list[str]]:
    """Text, whether it is known, and what is cited; an empty text knows nothing."""
    if isinstance(value, MemoryAnswer):
        return value.answer, value.known, value.citations
    marks = MarkReader()
    text = marks.feed(value) + marks.close()
    return text, marks.known and bool(text.strip()), marks.labels


def choose_steps(
    question: str,
    options: Sequence[str],
    evidence: Sequence[Evidence],
    *,
    settings: AnswerSettings,
    now: datetime | None = None,
) -> Steps[Answer]:
    """The model's reply to a question with options; it is asked for a letter even if there is no memory."""
    make = partial(choose_option, question, options, now=now)
    prepared = yield from prepare_steps(question, evidence, make, settings=settings, now=now)
    prompt = make(prepared.labelled)
    reply = yield from asked(prompt)
    return Answer(
        text=reply.value.strip(),
        known=True,
        evidence=prepared.shown,
        usage=prepared.usage + reply.usage,
        trace=asked_trace(prepared, prompt, reply),
    )


def prepare_steps(
    question: str,
    evidence: Sequence[Evidence],
    make: MakePrompt,
    *,
    settings: AnswerSettings,
    now: datetime | None = None,
) -> Steps[Prepared]:
    """Choose what the prompt of ``make`` will show of ``evidence`` (best first), and filter it if that is wanted."""
    fit = partial(fitting, max_tokens=settings.max_tokens, count=settings.count)
    trace: dict[str, Any] = {"retrieved": len(evidence), "filter": settings.filter, "prompts": [], "cached": True}
    usage = Usage()
    if settings.filter != "none" and evidence:
        ask = partial(filter_evidence, question, now=now, max_tokens=settings.filter_tokens)
        given = fit(evidence, ask)
        reply = yield from asked(ask(labelled(given)))
        kept = _filtered(given, reply.value.excerpts, trace, triple=settings.filter == "llm-triple")
        ranks = {memory.id: rank for rank, memory in enumerate(evidence)}
        evidence = sorted(kept, key=lambda memory: ranks[memory.id])
        usage += reply.usage
        trace.update(prompts=[ask(()).label], cached=reply.cached)
    shown = fit(evidence, make)
    trace.update(shown=len(shown), cut=any(memory.cut for memory in shown))
    return Prepared(shown=shown, usage=usage, trace=trace)


def labelled(shown: Sequence[Evidence]) -> list[Remembered]:
    """Memories under the labels m1, m2, ..."""
    return [memory.labelled(number) for number, memory in enumerate(shown, start=1)]


def unanswered(prepared: Prepared, settings: AnswerSettings) -> Answer:
    """The answer where there is nothing to answer from."""
    return Answer(text=settings.no_evidence, known=False, usage=prepared.usage, trace=prepared.trace)


def asked_trace(prepared: Prepared, prompt: Prompt[Any], reply: Reply[Any]) -> dict[str, Any]:
    """The trace, with what the last call adds."""
    return {
        **prepared.trace,
        "prompts": [*prepared.trace["prompts"], prompt.label],
        "cached": prepared.trace["cached"] and reply.cached,
        "attempts": reply.attempts,
        "truncated": reply.truncated,
    }


def cited_ids(citations: Sequence[str], shown: Sequence[Evidence]) -> tuple[tuple[str, ...], int]:
    """The ids of the memories that labels name, each once, and how many labels name none."""
    places = [place_of(label, shown) for label in citations]
    cited = dict.fromkeys(shown[place].id for place in places if place is not None)
    return tuple(cited), places.count(None)


def place_of(label: str, shown: Sequence[Evidence]) -> int | None:
    """Which of the memories a label (``m2``, also ``[M2]`` or ``2``) or a unit id names; None if there is none."""
    for place, memory in enumerate(shown):
        if label.strip() == memory.id:
            return place
    number = label_number(label)
    return number - 1 if number is not None and 1 <= number <= len(shown) else None


def _filtered(
    given: Sequence[Evidence], excerpts: Sequence[Excerpt], trace: dict[str, Any], *, triple: bool
) -> list[Evidence]:
    """What the filter left: of each memory its passages, or (``triple``) all passages for every memory."""
    texts: dict[int, list[str]] = {}
    strays = changed = 0
    for excerpt in excerpts:
        place = place_of(excerpt.memory, given)
        text = excerpt.text.strip()
        if place is None:
            strays += 1
        elif text:
            texts.setdefault(place, []).append(text)
            changed += _squeezed(text) not in _squeezed(given[place].text)
    trace["excerpts"] = {"kept": sum(map(len, texts.values())), "of_no_memory": strays, "not_word_for_word": changed}
    if triple and texts:
        together = "\n".join("\n".join(texts[place]) for place in sorted(texts))
        return [replace(memory, text=together) for memory in given]
    return [replace(given[place], text="\n".join(texts[place])) for place in sorted(texts)]


def _squeezed(text: str) -> str:
    return " ".join(text.split())
