"""A sample of every prompt, with each quoted text given from outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from memagent.prompts.answering import answer_as_text, answer_from_memory, choose_option
from memagent.prompts.evidence import choose_evidence, filter_evidence
from memagent.prompts.facts import Said, extract_facts
from memagent.prompts.judges import LONGMEMEVAL_TYPES, judge_locomo, judge_longmemeval, judge_memgas
from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import Remembered
from memagent.prompts.summary import session_keywords, session_summary

SAID_AT = datetime(2023, 5, 8, 13, 56, tzinfo=UTC)
NOW = datetime(2023, 5, 30, 23, 40, tzinfo=UTC)


def memories(text: str) -> list[Remembered]:
    return [
        Remembered(label="m1", text=text, said_at=SAID_AT),
        Remembered(label="m2", text="[user]: My sister Ana plays the cello.", said_at=NOW),
    ]


def _judged(kind: str, *, abstention: bool = False) -> Callable[[str], Prompt[Any]]:
    return lambda text: judge_longmemeval(text, text, text, kind=kind, abstention=abstention)


SAMPLES: dict[str, Callable[[str], Prompt[Any]]] = {
    "session-summary": session_summary,
    "session-keywords": lambda text: session_keywords(text, between="people"),
    "extract-facts": lambda text: extract_facts(
        [Said("user", text, SAID_AT), Said(text, "Tell me.", NOW)],
        [Remembered(label="f1", text=text, said_at=SAID_AT)],
    ),
    "filter-evidence": lambda text: filter_evidence(text, memories(text), now=NOW),
    "choose-evidence": lambda text: choose_evidence(text, memories(text), now=NOW),
    "answer-from-memory": lambda text: answer_from_memory(text, memories(text), now=NOW),
    "answer-as-text": lambda text: answer_as_text(text, memories(text)),
    "choose-option": lambda text: choose_option(text, [text, "Something else."], memories(text)),
    "judge-memgas": lambda text: judge_memgas(text, text, text),
    "judge-locomo": lambda text: judge_locomo(text, text, text),
    "judge-longmemeval-abstention": _judged("multi-session", abstention=True),
    **{_judged(kind)("x").name: _judged(kind) for kind in LONGMEMEVAL_TYPES},
}
"""By name: what makes the prompt around a text, which stands wherever the prompt quotes one."""
