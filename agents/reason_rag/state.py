"""A partial trajectory as a value: the question, the outputs so far, and why it stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from memagent.agents.reason_rag.parsing import Kind
from memagent.agents.reason_rag.searching import Document
from memagent.llm.reply import Usage
from memagent.prompts.reason_rag import Thought, thoughts_text

Stage: TypeAlias = Literal["reasoning", "grounding", "terminal"]
Action: TypeAlias = Literal["begin", "ground", "reason", "force"]
"""Which prompt an output answers: ``begin_reasoning``, ``document_analysis``, ``reasoning`` and ``answer_generation``
of the released code."""
Stopped: TypeAlias = Literal["answered", "budget", "unknown-output", "repeated-query", "prompt-too-long"]
"""Why a trajectory ended: it answered by itself; an answer was forced because the budget was spent, an output was of
no known form, or a query came back again; or the next prompt was longer than the input limit."""

_NOTHING = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One output of the model.

    ``action`` is the prompt it answers, ``kind`` what it turned out to be, ``text`` the output up to and with its
    closing tag, ``before`` what of it stands before the tag, ``content`` what stands inside (None for unknown outputs
    and where there is no evidence); ``tagged`` is False if the tag was left out. A grounding step holds the ``query``
    it served and the ``documents`` it was shown, in the order in which they were found (best first). ``prompt`` is
    the label of the prompt.
    """

    action: Action
    kind: Kind
    text: str
    content: str | None = None
    before: str = ""
    tagged: bool = True
    query: str | None = None
    documents: tuple[Document, ...] = ()
    prompt: str = ""
    usage: Usage = _NOTHING
    truncated: bool = False
    cached: bool = False

    @property
    def thought(self) -> Thought:
        """The output as later prompts show it."""
        if self.kind == "unknown":
            return Thought(before=self.text)
        return Thought(before=self.before, tag=self.kind, content=self.content or "None")

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "action": self.action,
            "kind": self.kind,
            "text": self.text,
            "content": self.content,
            "before": self.before,
            "tagged": self.tagged,
            "query": self.query,
            "documents": [document.to_json() for document in self.documents],
            "prompt": self.prompt,
            "usage": usage_to_json(self.usage),
            "truncated": self.truncated,
            "cached": self.cached,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Step:
        """What :meth:`to_json` has written."""
        fields = dict(value)
        fields["documents"] = tuple(map(Document.from_json, fields["documents"]))
        fields["usage"] = Usage(**fields["usage"])
        return cls(**fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A question and the outputs so far. ``stopped`` is None while it goes on."""

    question: str
    steps: tuple[Step, ...] = ()
    stopped: Stopped | None = None

    @property
    def stage(self) -> Stage:
        """Where the trajectory stands (paper, section 3.2)."""
        if self.stopped is not None:
            return "terminal"
        return "grounding" if self.steps and self.steps[-1].kind == "query" else "reasoning"

    @property
    def answer(self) -> str | None:
        """The answer given last; None if there is none."""
        return next((step.content for step in reversed(self.steps) if step.kind == "answer"), None)

    @property
    def query(self) -> str | None:
        """The query asked last."""
        return next((step.content for step in reversed(self.steps) if step.kind == "query"), None)

    @property
    def queries(self) -> tuple[str, ...]:
        """All queries that were asked, in order."""
        return tuple(step.content for step in self.steps if step.kind == "query" and step.content)

    @property
    def searches(self) -> int:
        """How many searches were made."""
        return sum(step.action == "ground" for step in self.steps)

    @property
    def documents(self) -> tuple[Document, ...]:
        """All documents that were found, each once, in the order in which they were found."""
        found: dict[str, Document] = {}
        for document in (document for step in self.steps for document in step.documents):
            found.setdefault(document.id, document)
        return tuple(found.values())

    @property
    def usage(self) -> Usage:
        """The tokens of all steps."""
        return sum((step.usage for step in self.steps), Usage())

    @property
    def thoughts(self) -> tuple[Thought, ...]:
        """The outputs as the next prompt shows them; of a grounding step the evidence, not the documents."""
        return tuple(step.thought for step in self.steps)

    @property
    def history(self) -> str:
        """The outputs as one text, joined by a space."""
        return thoughts_text(self.thoughts)

    def with_step(self, step: Step, stopped: Stopped | None = None) -> State:
        """The trajectory with one output more."""
        return replace(self, steps=(*self.steps, step), stopped=stopped)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "question": self.question,
            "steps": [step.to_json() for step in self.steps],
            "stopped": self.stopped,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> State:
        """What :meth:`to_json` has written."""
        steps = tuple(map(Step.from_json, value["steps"]))
        return cls(question=value["question"], steps=steps, stopped=value["stopped"])


def usage_to_json(usage: Usage) -> dict[str, Any]:
    """Tokens as JSON values."""
    return {
        "input": usage.input,
        "output": usage.output,
        "cached": usage.cached,
        "estimated": usage.estimated,
    }
