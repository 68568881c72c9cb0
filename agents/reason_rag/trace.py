"""A trajectory as it is shown: every query, document and piece of evidence, and why it stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from memagent.agents.reason_rag.state import State, Step
from memagent.agents.reason_rag.transitions import stopped_text

_SHOWN = 160  # characters of a document in the text form


def trace_of(state: State) -> Iterator[dict[str, Any]]:
    """What happened, as JSON values: an entry a step; the texts of documents are left to those who hold them."""
    for number, step in enumerate(state.steps, start=1):
        entry: dict[str, Any] = {"step": number, "action": step.action, "kind": step.kind, "text": step.text}
        if step.action == "ground":
            entry["query"] = step.query
            entry["documents"] = [
                {"id": document.id, "title": document.title, "score": document.score} for document in step.documents
            ]
            entry["evidence"] = step.content
        elif step.kind != "unknown":
            entry[step.kind] = step.content
        if step.truncated:
            entry["truncated"] = True
        yield entry


def trace_text(state: State) -> str:
    """The same for people to read."""
    lines = [f"Question: {state.question}"]
    for number, step in enumerate(state.steps, start=1):
        lines += _lines(number, step)
    lines.append(f"Stopped: {stopped_text(state)}")
    return "\n".join(lines)


def _lines(number: int, step: Step) -> Iterator[str]:
    if step.action == "ground":
        for place, document in enumerate(step.documents, start=1):
            shown = " ".join(f"{document.title}: {document.text}".removeprefix(": ").split())
            yield f"     {place}. [{document.id}] {shown[:_SHOWN]}{'...' if len(shown) > _SHOWN else ''}"
        yield f"{number:3}. evidence: {step.content or 'none'}"
        return
    forced = "forced " if step.action == "force" else ""
    yield f"{number:3}. {forced}{step.kind}: {step.content or step.text}"
