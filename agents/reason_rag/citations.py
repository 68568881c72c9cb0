"""Which documents an answer rests on: those that its evidence names, or that hold its words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from memagent.agents.reason_rag.searching import Document
from memagent.agents.reason_rag.state import State, Step
from memagent.agents.reason_rag.steps import labels_of
from memagent.overlap import normalised

_LABELS = re.compile(r"\[\s*(m\d+(?:\s*[,;]\s*m\d+)*)\s*\]", re.IGNORECASE)
_SHARED = 0.5
"""The part of a piece of evidence's words that a document must hold to be taken for its source."""


def cited(state: State) -> tuple[Document, ...]:
    """The documents that the evidence rests on, each once, in the order in which they were found.

    Evidence names its documents by their labels (personal mode). Where it does not, or names none that it was shown,
    the document of its search that shares most words with it is taken, if that is at least half of them.
    """
    labels = {label: name for name, label in labels_of(state.documents).items()}
    used = {name for step in state.steps if step.action == "ground" for name in _sources(step, labels)}
    return tuple(document for document in state.documents if document.id in used)


def without_labels(text: str) -> str:
    """``text`` without citation marks."""
    return " ".join(_LABELS.sub("", text).split())


def _sources(step: Step, labels: dict[str, str]) -> Iterator[str]:
    if not step.content:
        return
    shown = {document.id for document in step.documents}
    named = [label.strip().lower() for marks in _LABELS.findall(step.content) for label in re.split("[,;]", marks)]
    found = [labels[label] for label in named if labels.get(label) in shown]
    if found:
        yield from found
        return
    words = Counter(normalised(without_labels(step.content)))
    shares = [(_share(words, document), -place, document.id) for place, document in enumerate(step.documents)]
    best = max(shares, default=(0.0, 0, ""))
    if best[0] >= _SHARED:
        yield best[2]


def _share(words: Counter[str], document: Document) -> float:
    held = Counter(normalised(f"{document.title} {document.text}"))
    return (words & held).total() / words.total() if words else 0.0
