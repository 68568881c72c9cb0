"""Where the memories come from that a reader is shown: a retriever, or a control that retrieves nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memagent.answering.recall import Recalled, Wanted, recall
from memagent.answering.values import Evidence
from memagent.evals.specs import RetrieverSpec, parse_specs
from memagent.records import as_utc

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.evals.datasets.cases import Question

CONTROLS = {
    "none": "no memory at all",
    "full": "the whole history, latest first where the prompt has no room for all",
    "gold": "the gold evidence, as if it had been retrieved",
}
"""What can stand in place of a retriever, to see what retrieval is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the reader's memories come from: the retriever of ``spec``, or the control named ``label``."""

    label: str
    spec: RetrieverSpec | None = None

    @property
    def specs(self) -> tuple[RetrieverSpec, ...]:
        """The retriever, if there is one."""
        return (self.spec,) if self.spec else ()

    @property
    def params(self) -> dict[str, Any]:
        """The retriever's parameters."""
        return self.spec.params if self.spec else {"control": CONTROLS[self.label]}


def parse_source(retriever: str, settings: Sequence[str] = ()) -> Source:
    """A retriever as :func:`~memagent.evals.specs.parse_specs` reads it, or a control; raises what that does."""
    if retriever in CONTROLS and not settings:
        return Source(label=retriever)
    [spec] = parse_specs([retriever], settings)
    return Source(label=spec.label, spec=spec)


def look_up(
    memory: Memory, source: Source, question: Question, *, top_k: int, granularity: str, as_of: bool
) -> Recalled:
    """What ``source`` gives for a question; with ``as_of`` only what was said before its date."""
    moment = question.date if as_of else None
    if source.spec is None:
        begun = time.perf_counter()
        units = _control(memory, source.label, question, granularity, moment)
        return Recalled(evidence=tuple(units), search_ms=(time.perf_counter() - begun) * 1000, trace={})
    wanted = Wanted(
        question=question.text,
        user_id=question.user_id,
        top_k=top_k,
        retriever=source.spec.retriever,
        granularity=granularity,
        as_of=moment,
    )
    return recall(memory, wanted)


def _control(memory: Memory, name: str, question: Question, granularity: str, as_of: Any) -> Iterable[Evidence]:
    if name == "none":
        return []
    items = memory.get_all(user_id=question.user_id, granularity=granularity, top_k=None, as_of=as_of)["results"]
    everything = [
        Evidence(
            id=item["id"],
            session_id=item["session_id"],
            text=item["memory"],
            said_at=as_utc(item["event_at"]),
            key=place,
            score=float(place),
            source_ids=tuple(item["source_ids"]),
        )
        for place, item in enumerate(items)
    ]
    if name == "gold":
        everything = [memory for memory in everything if _is_gold(memory, question, granularity)]
    return sorted(everything, key=lambda memory: (memory.said_at, memory.key), reverse=True)


def _is_gold(memory: Evidence, question: Question, granularity: str) -> bool:
    if granularity == "turn" and question.gold_messages:
        return not set(question.gold_messages).isdisjoint(memory.source_ids)
    return memory.session_id in question.gold_sessions
