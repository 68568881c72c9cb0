"""A retriever whose finds a language model looks through: what does not bear on the question is dropped.

This is MemGAS's filter (arXiv 2505.19549) as far as a retriever can do it: it chooses among whole memories. What that
filter does besides, cutting memories down to the passages that matter, belongs where their text is put before a
model, and is done there: ``memagent.answering.Answerer(filter=True)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from memagent.errors import InvalidInput, MalformedReply, ModelError
from memagent.prompts.evidence import choose_evidence
from memagent.prompts.quoting import Remembered, label_number
from memagent.records import Retrieval
from memagent.retrievers.checks import check_count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from memagent.bank.port import BankView
    from memagent.llm.model import Model
    from memagent.llm.reply import Reply
    from memagent.prompts.evidence import Relevant
    from memagent.records import Hit, MemoryUnit, Query
    from memagent.retrievers.port import Retriever


@dataclass(frozen=True, slots=True, kw_only=True)
class LLMFilter:
    """The hits of ``inner`` that ``model`` finds to bear on the question, in their order and with their scores.

    Fewer hits than asked for may come back, even none. ``batch`` hits are put into one prompt, best first and whole:
    choose it by the model's window. Hits of a batch whose reply cannot be read are all kept, and counted in the trace.
    Made from objects, it has no name on the command line. The model answers while the search holds its view of the
    user's file, whose log cannot be shortened meanwhile; an ``Answerer`` filters after the search is over.

    Raises what the model raises, but for a malformed reply.
    """

    name: ClassVar[str] = "llm-filter"

    inner: Retriever
    model: Model
    batch: int = 10

    def __post_init__(self) -> None:
        check_count("batch", self.batch)
        if not hasattr(self.inner, "retrieve") or isinstance(self.inner, type):
            raise InvalidInput(f"inner is {self.inner!r:.100}", hint="pass a retriever, such as make('hybrid')")
        if not hasattr(self.model, "outcomes"):
            raise InvalidInput(f"model is {self.model!r:.100}", hint="pass a memagent.llm.Model, see as_model()")

    @property
    def uses_vector(self) -> bool:
        """Whether the inner retriever needs the question's vector."""
        return self.inner.uses_vector

    @property
    def uses_related_words(self) -> bool:
        """Whether the inner retriever reads related words."""
        return bool(getattr(self.inner, "uses_related_words", False))

    @property
    def uses_units(self) -> Collection[Any]:
        """The derived units that the inner retriever ranks by."""
        units: Collection[Any] = getattr(self.inner, "uses_units", ())
        return units

    @property
    def uses_edges(self) -> bool:
        """Whether the inner retriever follows stored associations."""
        return bool(getattr(self.inner, "uses_edges", False))

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """Those of the inner retriever's best ``k`` hits that bear on the question; see the class."""
        found = self.inner.retrieve(query, bank, k)
        units = bank.units([hit.key for hit in found.hits])
        batches = [slice(at, at + self.batch) for at in range(0, len(units), self.batch)]
        outcomes = self.model.outcomes([choose_evidence(query.text, _labelled(units[part])) for part in batches])
        kept: list[Hit] = []
        unread = 0
        for part, outcome in zip(batches, outcomes, strict=True):
            chosen = _chosen(found.hits[part], outcome)
            unread += chosen is None
            kept += found.hits[part] if chosen is None else chosen
        trace = {
            "retriever": self.name,
            "inner": {"retriever": self.inner.name, **found.trace},
            "dropped": len(found.hits) - len(kept),
            "unread_replies": unread,
        }
        return Retrieval(hits=tuple(kept), trace=trace)


def _chosen(hits: Sequence[Hit], outcome: Reply[Relevant] | ModelError) -> list[Hit] | None:
    """The hits that a reply names; None for a reply that cannot be read. Raises other errors."""
    if isinstance(outcome, MalformedReply):
        return None
    if isinstance(outcome, ModelError):
        raise outcome
    chosen = set(map(label_number, outcome.value.relevant))
    named = [hit for number, hit in enumerate(hits, start=1) if number in chosen]
    return named if named or not chosen else None


def _labelled(units: Sequence[MemoryUnit]) -> list[Remembered]:
    return [
        Remembered(label=f"m{number}", text=unit.text, said_at=unit.event_at)
        for number, unit in enumerate(units, start=1)
    ]
