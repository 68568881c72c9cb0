"""What one system made of one question, as a value: the answer, every search, and what each step said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memagent.agents.reason_rag.trace import trace_of
from memagent.agents.reason_rag.transitions import stopped_text
from memagent.llm.reply import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from memagent.agents.reason_rag.searching import Document
    from memagent.agents.reason_rag.state import State
    from memagent.llm.reply import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An answer (None: there is none), the documents of each search, and the trace as JSON values.

    ``uncached``: how many of the ``calls`` were made now, and not found in the reply cache.
    """

    answer: str | None
    searches: tuple[tuple[Document, ...], ...] = ()
    calls: int = 0
    uncached: int = 0
    usage: Usage = field(default_factory=Usage)
    prompts: tuple[str, ...] = ()
    stopped: str = ""
    trace: tuple[dict[str, Any], ...] = ()

    @property
    def found(self) -> tuple[str, ...]:
        """The ids of all passages that were found, each once, in the order in which they were found."""
        return tuple(dict.fromkeys(document.id for search in self.searches for document in search))


def attempt_of_state(state: State) -> Attempt:
    """A finished trajectory of the agent."""
    return Attempt(
        answer=state.answer,
        searches=tuple(step.documents for step in state.steps if step.action == "ground"),
        calls=len(state.steps),
        uncached=sum(not step.cached for step in state.steps),
        usage=state.usage,
        prompts=tuple(dict.fromkeys(step.prompt for step in state.steps)),
        stopped=stopped_text(state),
        trace=tuple(trace_of(state)),
    )


def attempt_of_replies(
    answer: str | None,
    replies: Sequence[Reply[str]],
    searches: Sequence[tuple[str, Sequence[Document]]],
    *,
    prompts: Sequence[str],
    stopped: str,
) -> Attempt:
    """What a baseline did: its replies, its searches with their queries, and the labels of its prompts."""
    trace = [
        {"query": query, "documents": [{"id": one.id, "title": one.title, "score": one.score} for one in found]}
        for query, found in searches
    ]
    trace += [{"text": reply.text} for reply in replies]
    return Attempt(
        answer=answer,
        searches=tuple(tuple(found) for _, found in searches),
        calls=len(replies),
        uncached=sum(not reply.cached for reply in replies),
        usage=sum((reply.usage for reply in replies), Usage()),
        prompts=tuple(dict.fromkeys(prompts)),
        stopped=stopped,
        trace=tuple(trace),
    )
