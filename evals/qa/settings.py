"""What a run asks, and what its rows depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from memagent._version import __version__
from memagent.answering.steps import AnswerSettings
from memagent.errors import InvalidInput, UnknownName
from memagent.evals.storing import SESSION_VECTORS, SUMMARIES
from memagent.prompts.answering import answer_as_text, answer_from_memory, choose_option
from memagent.prompts.evidence import filter_evidence
from memagent.prompts.judges import LONGMEMEVAL_TYPES, judge_locomo, judge_longmemeval, judge_memgas

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.evals.datasets.cases import Dataset, Question
    from memagent.evals.qa.asking import Source
    from memagent.evals.qa.judging import Criteria
    from memagent.llm.model import Model
    from memagent.prompts.prompt import Prompt

GRANULARITIES = ("turn", "session", "summary", "keywords")
ADVERSARIAL = ("abstain", "trap")

_CHOICES = {
    "granularity": GRANULARITIES,
    "as_of": ("none", "question"),
    "session_vectors": SESSION_VECTORS,
    "summaries": SUMMARIES,
    "adversarial": ADVERSARIAL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class QaSettings:
    """What is retrieved, shown and judged.

    ``top_k`` units of ``granularity`` are looked up; ``answer`` says what of them is shown. ``criteria``: the judge's;
    None: the data set's own. ``adversarial`` (LoCoMo's category 5): right is to ``abstain``, or, as MemGAS counts it,
    the ``trap`` answer. ``as_of``, ``session_vectors``, ``summaries`` and ``limit`` are those of
    :class:`~memagent.evals.retrieval.RetrievalSettings`. Raises UnknownName, InvalidInput for what cannot be.
    """

    top_k: int = 10
    granularity: str = "turn"
    answer: AnswerSettings = field(default_factory=AnswerSettings)
    criteria: Criteria | None = None
    adversarial: Literal["abstain", "trap"] = "abstain"
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
        if self.granularity in ("summary", "keywords") and self.summaries == "none":
            raise InvalidInput(f"no {self.granularity} units are stored", hint="pass --summaries extractive")
        if self.top_k < 1:
            raise InvalidInput(f"top_k is {self.top_k}", hint="top_k is a whole number, at least 1")

    def as_dict(self) -> dict[str, Any]:
        """For result files."""
        answer = self.answer
        return {
            "top_k": self.top_k,
            "granularity": self.granularity,
            "max_tokens": answer.max_tokens,
            "reply_tokens": answer.reply_tokens,
            "filter_tokens": answer.filter_tokens if answer.filter != "none" else None,
            "filter": answer.filter,
            "form": answer.form,
            "adversarial": self.adversarial,
            "as_of": self.as_of,
            "session_vectors": self.session_vectors,
            "summaries": self.summaries,
        }

    def unanswerable(self, question: Question) -> bool:
        """Whether right is to say that it is not known."""
        return question.abstention or self._is_trap(question)

    def comparable(self, question: Question) -> bool:
        """Whether an answer can be compared with the reference; a trap is none."""
        return not question.options and not self._is_trap(question)

    def _is_trap(self, question: Question) -> bool:
        return question.type == "adversarial" and self.adversarial == "abstain"


def identity(
    dataset: Dataset,
    source: Source,
    encoder: Encoder,
    settings: QaSettings,
    *,
    reader: Model,
    judge: Model | None,
    criteria: Criteria,
) -> dict[str, Any]:
    """Everything that a row depends on; not how many questions are asked."""
    return {
        "version": __version__,
        "dataset": [dataset.name, dataset.variant, [(file.name, file.sha256) for file in dataset.files]],
        "retriever": [source.label, source.params],
        "encoder": encoder.fingerprint,
        "settings": settings.as_dict(),
        "reader": reader.identity,
        "judge": judge.identity if judge else None,
        "criteria": criteria,
        "prompts": [[prompt.label, prompt.system_for(guided=False)] for prompt in _prompts()],
    }


def _prompts() -> list[Prompt[Any]]:
    """All that a run may ask; what they say counts, and not their version alone."""
    kinds = [judge_longmemeval("", "", "", kind=kind) for kind in LONGMEMEVAL_TYPES]
    return [
        answer_from_memory("", ()),
        answer_as_text("", ()),
        choose_option("", (), ()),
        filter_evidence("", ()),
        *kinds,
        judge_longmemeval("", "", "", kind="", abstention=True),
        judge_memgas("", "", ""),
        judge_locomo("", "", ""),
    ]
