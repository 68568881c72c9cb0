"""The systems that are compared: the agent, one search, no search, and loops in the manner of IRCoT and Search-o1.

Each is a flow (see :mod:`memagent.llm.flow`) from a question to an :class:`Attempt`, over any searcher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Protocol

from memagent.agents.reason_rag.parsing import read_forced, read_reasoning
from memagent.agents.reason_rag.searching import Document, Searcher, searched
from memagent.agents.reason_rag.state import Action, State
from memagent.agents.reason_rag.steps import StepSettings, references, run_steps, step_prompt, too_long
from memagent.agents.reason_rag.transitions import Budget
from memagent.evals.multihop.attempt import Attempt, attempt_of_replies, attempt_of_state
from memagent.llm.flow import Steps, asked
from memagent.llm.reply import Reply
from memagent.prompts.multihop import (
    answer_directly,
    answer_from_passages,
    next_sentence,
    read_documents,
    reason_and_search,
)
from memagent.prompts.prompt import Prompt
from memagent.prompts.reason_rag import Reference

_MOST_PASSAGES = 15
"""How many paragraphs IRCoT keeps at most."""


class System(Protocol):
    """Answers questions."""

    searches: ClassVar[bool]
    """Whether it can search, so that what it did not find counts against it."""

    @property
    def label(self) -> str:
        """What its figures stand under."""

    @property
    def params(self) -> dict[str, Any]:
        """What its answers depend on."""

    def attempt(self, question: str) -> Steps[Attempt]:
        """What it makes of one question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """Answers from what the model knows."""

    searches: ClassVar[bool] = False
    label: str = "no retrieval"
    settings: StepSettings = field(default_factory=StepSettings)

    @property
    def params(self) -> dict[str, Any]:
        """What its answers depend on."""
        return {"max_tokens": self.settings.max_tokens, "prompts": [answer_directly("").label]}

    def attempt(self, question: str) -> Steps[Attempt]:
        """One call."""
        prompt = answer_directly(question, max_tokens=self.settings.max_tokens)
        reply = yield from asked(prompt)
        return _ended(reply, [], [prompt])


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """Searches once, with the question itself, and answers from what is found, as much of it as fits the prompt."""

    searches: ClassVar[bool] = True
    label: str
    searcher: Searcher
    top_k: int = 3
    settings: StepSettings = field(default_factory=StepSettings)

    @property
    def params(self) -> dict[str, Any]:
        """What its answers depend on."""
        return {"top_k": self.top_k, **_lengths(self.settings), "prompts": [answer_from_passages("", ()).label]}

    def attempt(self, question: str) -> Steps[Attempt]:
        """One search, one call."""
        found = searched(self.searcher, question, self.top_k)
        prompt, whole = _fitting(partial(answer_from_passages, question), found, self.settings)
        reply = yield from asked(prompt)
        return _ended(reply, [(question, found)], [prompt], whole=whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonRag:
    """The agent, with a budget of so many searches."""

    searches: ClassVar[bool] = True
    label: str
    searcher: Searcher
    settings: StepSettings = field(default_factory=StepSettings)

    @property
    def params(self) -> dict[str, Any]:
        """What its answers depend on."""
        return _params(self.settings, [step_prompt(_ANY, action, (), self.settings).label for action in _ACTIONS])

    def attempt(self, question: str) -> Steps[Attempt]:
        """The whole trajectory."""
        state = yield from run_steps(question, self.searcher, self.settings)
        return attempt_of_state(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchO1:
    """In the manner of Search-o1: one continuous reasoning that stops to search, and a second prompt that reads."""

    searches: ClassVar[bool] = True
    label: str
    searcher: Searcher
    settings: StepSettings = field(default_factory=StepSettings)

    @property
    def params(self) -> dict[str, Any]:
        """What its answers depend on."""
        return _params(self.settings, [_search_o1(_ANY, action, (), self.settings).label for action in _ACTIONS])

    def attempt(self, question: str) -> Steps[Attempt]:
        """The whole trajectory."""
        state = yield from run_steps(question, self.searcher, self.settings, write=_search_o1)
        return attempt_of_state(state)


@dataclass(frozen=True, slots=True, kw_only=True)
class IRCoT:
    """In the manner of IRCoT: each sentence of reasoning is searched for, and the passages gather; then one answer."""

    searches: ClassVar[bool] = True
    label: str
    searcher: Searcher
    top_k: int = 3
    rounds: int = 4
    settings: StepSettings = field(default_factory=StepSettings)

    @property
    def params(self) -> dict[str, Any]:
        """What its answers depend on."""
        labels = [next_sentence("", (), ()).label, answer_from_passages("", ()).label]
        room = {"passages": _MOST_PASSAGES, **_lengths(self.settings)}
        return {"top_k": self.top_k, "rounds": self.rounds, **room, "prompts": labels}

    def attempt(self, question: str) -> Steps[Attempt]:
        """``rounds`` searches at most: with the question, then with each sentence."""
        searches: list[tuple[str, tuple[Document, ...]]] = []
        passages: dict[str, Document] = {}
        sentences: list[str] = []
        replies: list[Reply[str]] = []
        prompts: list[Prompt[str]] = []
        query = question
        for _ in range(self.rounds):
            found = searched(self.searcher, query, self.top_k)
            searches.append((query, found))
            passages.update((one.id, one) for one in found if one.id in passages or len(passages) < _MOST_PASSAGES)
            write = partial(next_sentence, question, sentences=tuple(sentences))
            prompts.append(_fitting(write, list(passages.values()), self.settings)[0])
            reply = yield from asked(prompts[-1])
            replies.append(reply)
            query = reply.value.strip()
            if not query or _concludes(query) or query in sentences:
                break
            sentences.append(query)
        last, whole = _fitting(partial(answer_from_passages, question), list(passages.values()), self.settings)
        reply = yield from asked(last)
        return _ended(reply, searches, [*prompts, last], before=replies, whole=whole)


def _concludes(sentence: str) -> bool:
    """Whether a sentence of reasoning holds the answer, by the words that IRCoT looks for."""
    return "answer is" in sentence.casefold() or read_reasoning(sentence).kind == "answer"


_ACTIONS: tuple[Action, ...] = ("begin", "ground", "reason", "force")
_ANY = State(question="any")


def with_rounds(settings: StepSettings, rounds: int) -> StepSettings:
    """The settings with a budget of so many searches."""
    return replace(settings, budget=Budget.of_rounds(rounds, max_repeats=settings.budget.max_repeats))


def _search_o1(state: State, action: Action, documents: Sequence[Document], settings: StepSettings) -> Prompt[str]:
    if action == "force":
        return step_prompt(state, action, documents, settings)
    if action == "ground":
        shown = references(state, documents, settings)
        return read_documents(state.question, state.thoughts, state.query or "", shown, max_tokens=settings.max_tokens)
    return reason_and_search(state.question, state.thoughts, max_tokens=settings.max_tokens)


def _params(settings: StepSettings, prompts: list[str]) -> dict[str, Any]:
    return {
        "top_k": settings.top_k,
        "max_iter": settings.budget.max_iter,
        "max_repeats": settings.budget.max_repeats,
        "max_tokens": settings.max_tokens,
        "max_prompt_tokens": settings.max_prompt_tokens,
        "temperature": settings.temperature,
        "best_last": settings.best_last,
        "fit_documents": settings.fit_documents,
        "prompts": list(dict.fromkeys(prompts)),
    }


def _lengths(settings: StepSettings) -> dict[str, Any]:
    return {"max_tokens": settings.max_tokens, "max_prompt_tokens": settings.max_prompt_tokens}


class _Write(Protocol):
    """Writes a prompt around passages."""

    def __call__(self, references: Sequence[Reference], *, max_tokens: int) -> Prompt[str]:
        """The prompt."""


def _fitting(write: _Write, documents: Sequence[Document], settings: StepSettings) -> tuple[Prompt[str], bool]:
    """The prompt with the first passages, as many as fit, and whether these are all."""
    shown = [Reference(title=one.title, text=one.text) for one in documents]
    number = len(shown)
    while too_long(prompt := write(shown[:number], max_tokens=settings.max_tokens), settings) and number:
        number -= 1
    return prompt, number == len(shown)


def _ended(
    reply: Reply[str],
    searches: Sequence[tuple[str, Sequence[Document]]],
    prompts: Sequence[Prompt[str]],
    *,
    before: Sequence[Reply[str]] = (),
    whole: bool = True,
) -> Attempt:
    answer = read_forced(reply.value).content
    stopped = "It gave an answer." if answer is not None else "No answer could be read."
    if not whole:
        stopped += " Not all passages fitted into its prompt."
    labels = [prompt.label for prompt in prompts]
    return attempt_of_replies(answer, [*before, reply], searches, prompts=labels, stopped=stopped)
