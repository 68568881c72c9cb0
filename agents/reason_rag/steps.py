"""One step of the agent as a flow (see :mod:`memagent.llm.flow`): which prompt, and what its reply makes of the state.

A search is no prompt, so it is made between two flows (:func:`documents_for`); :func:`next_state` does both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, TypedDict

from memagent.agents.reason_rag.parsing import Output, read_evidence, read_forced, read_reasoning
from memagent.agents.reason_rag.searching import Document, Searcher, searched
from memagent.agents.reason_rag.state import Action, State, Step
from memagent.agents.reason_rag.transitions import INFERENCE, Budget, advanced, next_action
from memagent.answering.budget import CountTokens, estimated_tokens, room_for_prompt
from memagent.errors import InvalidInput
from memagent.llm.flow import Steps, asked
from memagent.llm.reply import Reply
from memagent.prompts.prompt import Prompt
from memagent.prompts.reason_rag import (
    PLAIN,
    Reference,
    Wording,
    continue_reasoning,
    extract_evidence,
    first_reasoning,
    forced_answer,
)

WritePrompt: TypeAlias = "Callable[[State, Action, Sequence[Document], StepSettings], Prompt[str]]"
"""What the model is asked for an action; :func:`step_prompt` is ReasonRAG's."""


class _Common(TypedDict):
    wording: Wording
    max_tokens: int
    temperature: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettings:
    """How the agent asks; the defaults are those of ReasonRAG's released inference.

    ``top_k`` documents a search. ``max_tokens`` bounds an output, ``max_prompt_tokens`` a prompt as ``count`` counts
    it (None: unbounded); a longer one is not asked and ends the trajectory. ``temperature`` 0 is greedy; tree search
    needs more. ``best_last`` shows the best document last, as the released tree search does. ``fit_documents``: a
    grounding prompt that is too long is asked with fewer documents (the best ones), or with the beginning of the best,
    in place of the published end; the personal agent does so.
    """

    budget: Budget = INFERENCE
    top_k: int = 3
    wording: Wording = PLAIN
    max_tokens: int = 256
    max_prompt_tokens: int | None = 8192
    temperature: float = 0.0
    best_last: bool = False
    fit_documents: bool = False
    count: CountTokens = estimated_tokens

    def __post_init__(self) -> None:
        for name in ("top_k", "max_tokens", "max_prompt_tokens"):
            value = getattr(self, name)
            if not (value is None and name == "max_prompt_tokens") and (type(value) is not int or value < 1):
                raise InvalidInput(f"{name} is {value!r}", hint=f"{name} is a whole number, at least 1")
        if not 0 <= self.temperature <= 2:
            raise InvalidInput(f"temperature is {self.temperature!r}", hint="temperature lies between 0 and 2")

    def within(self, window: int | None) -> StepSettings:
        """These settings for a model whose prompt and output together have at most ``window`` tokens, if that is known.

        Raises InvalidInput if that holds no prompt beside an output.
        """
        if window is None:
            return self
        return replace(self, max_prompt_tokens=room_for_prompt(window, self.max_tokens, self.max_prompt_tokens))


def run_steps(
    question: str, searcher: Searcher, settings: StepSettings, *, write: WritePrompt | None = None
) -> Steps[State]:
    """The whole linear loop, from the question to the end.

    ``write`` gives other prompts than ReasonRAG's (see :func:`step_prompt`) to the same loop.
    """
    state = begun(question)
    while state.stopped is None:
        documents = documents_for(state, searcher, settings)
        state = yield from take_step(state, documents, settings, write=write)
    return state


def begun(question: str) -> State:
    """The state before the first output. Raises InvalidInput for an empty question."""
    if not question.strip():
        raise InvalidInput("the question is empty", hint="ask something")
    return State(question=question.strip())


def next_state(state: State, searcher: Searcher, settings: StepSettings, *, sample: int = 0) -> Steps[State]:
    """The state after one more output, with the search that goes before a grounding step."""
    documents = documents_for(state, searcher, settings)
    return (yield from take_step(state, documents, settings, sample=sample))


def documents_for(state: State, searcher: Searcher, settings: StepSettings) -> tuple[Document, ...]:
    """What a search finds for the pending query, best first; nothing, and no search, if none is due."""
    if next_action(state, settings.budget) != "ground" or state.query is None:
        return ()
    return searched(searcher, state.query, settings.top_k)


def take_step(
    state: State,
    documents: Sequence[Document],
    settings: StepSettings,
    *,
    sample: int = 0,
    write: WritePrompt | None = None,
) -> Steps[State]:
    """The state after one more output: one call of the model, or none if the prompt is too long for it.

    ``documents`` are those of a grounding step. ``sample`` numbers several outputs of one state, so that a reply
    cache tells them apart. Raises InvalidInput if the state has ended.
    """
    action = next_action(state, settings.budget)
    if action is None:
        raise InvalidInput("the trajectory has ended", hint="next_action says whether another step is due")
    make = write or step_prompt
    shown = fitting_documents(state, documents, settings, make) if settings.fit_documents else tuple(documents)
    prompt = replace(make(state, action, shown, settings), sample=sample)
    if too_long(prompt, settings):
        return replace(state, stopped="prompt-too-long")
    reply = yield from asked(prompt)
    return advanced(state, read_step(state, action, shown, prompt, reply), settings.budget)


def fitting_documents(
    state: State, documents: Sequence[Document], settings: StepSettings, write: WritePrompt
) -> tuple[Document, ...]:
    """The best documents with which a grounding prompt is not too long; if none fits, the beginning of the best."""

    def fits(some: Sequence[Document]) -> bool:
        return not too_long(write(state, "ground", some, settings), settings)

    kept = tuple(documents)
    while len(kept) > 1 and not fits(kept):
        kept = kept[:-1]
    if not kept or fits(kept):
        return kept
    [best] = kept
    length, above = 0, len(best.text)
    while above - length > 1:
        middle = (length + above) // 2
        length, above = (middle, above) if fits([replace(best, text=best.text[:middle])]) else (length, middle)
    return (replace(best, text=best.text[:length]),)


def too_long(prompt: Prompt[str], settings: StepSettings) -> bool:
    """Whether a prompt is longer than the settings allow."""
    limit = settings.max_prompt_tokens
    return limit is not None and settings.count(f"{prompt.system}\n{prompt.user}") > limit


def step_prompt(state: State, action: Action, documents: Sequence[Document], settings: StepSettings) -> Prompt[str]:
    """What the model is asked for an action."""
    common = _Common(wording=settings.wording, max_tokens=settings.max_tokens, temperature=settings.temperature)
    if action == "begin":
        return first_reasoning(state.question, **common)
    if action == "ground":
        shown = references(state, documents, settings)
        return extract_evidence(state.question, state.thoughts, state.query or "", shown, **common)
    write = continue_reasoning if action == "reason" else forced_answer
    return write(state.question, state.thoughts, **common)


def references(state: State, documents: Sequence[Document], settings: StepSettings) -> list[Reference]:
    """The documents as a grounding prompt shows them; memories under labels that hold for the whole trajectory."""
    labels = labels_of((*state.documents, *documents)) if settings.wording.personal else {}
    shown = [
        Reference(title=one.title, text=one.text, label=labels.get(one.id, ""), said_at=one.said_at)
        for one in documents
    ]
    return shown[::-1] if settings.best_last else shown


def labels_of(documents: Sequence[Document]) -> dict[str, str]:
    """What each document can be cited by, by its id: ``m1``, ``m2`` ... in the order in which they were found."""
    ids = dict.fromkeys(document.id for document in documents)
    return {name: f"m{number}" for number, name in enumerate(ids, start=1)}


def read_step(
    state: State, action: Action, documents: Sequence[Document], prompt: Prompt[str], reply: Reply[str]
) -> Step:
    """The output as a step."""
    output = read_output(action, reply.value)
    grounds = action == "ground"
    return Step(
        action=action,
        kind=output.kind,
        text=output.text,
        content=output.content,
        before=output.before,
        tagged=output.tagged,
        query=state.query if grounds else None,
        documents=tuple(documents) if grounds else (),
        prompt=prompt.label,
        usage=reply.usage,
        truncated=reply.truncated,
        cached=reply.cached,
    )


def read_output(action: Action, text: str) -> Output:
    """What an output says, by the prompt that it answers."""
    if action == "ground":
        return read_evidence(text)
    return read_forced(text) if action == "force" else read_reasoning(text)
