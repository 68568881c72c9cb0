"""A sample of every prompt, with each quoted text given from outside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ab_samples import AB
from lsrp_samples import LSRP

from memagent.prompts.ab_judging import Offered, choose_items
from memagent.prompts.ab_ranker import Listed, rank_candidates
from memagent.prompts.ab_visual import poster_caption
from memagent.prompts.answering import answer_as_text, answer_from_memory, choose_option
from memagent.prompts.evidence import choose_evidence, filter_evidence
from memagent.prompts.facts import Said, extract_facts
from memagent.prompts.judges import LONGMEMEVAL_TYPES, judge_locomo, judge_longmemeval, judge_memgas
from memagent.prompts.lsrp_attack import guess_profile
from memagent.prompts.lsrp_judges import judge_personalization, judge_relevance
from memagent.prompts.multihop import (
    answer_directly,
    answer_from_passages,
    next_sentence,
    read_documents,
    reason_and_search,
)
from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import Remembered
from memagent.prompts.reason_rag import (
    PLAIN,
    Reference,
    Thought,
    Wording,
    continue_reasoning,
    extract_evidence,
    first_reasoning,
    forced_answer,
    judge_reasoning,
)
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


def thoughts(text: str) -> list[Thought]:
    return [
        Thought(before=text, tag="query", content=text),
        Thought(before="", tag="evidence", content=text),
        Thought(before=text),
    ]


def references(text: str) -> list[Reference]:
    return [Reference(title=text, text=text), Reference(title="", text=text, label="m1", said_at=SAID_AT)]


def _reason_rag(wording: Wording) -> dict[str, Callable[[str], Prompt[Any]]]:
    suffix = "-personal" if wording.personal else ""
    return {
        f"reason-rag-first-reasoning{suffix}": lambda text: first_reasoning(text, wording=wording),
        f"reason-rag-evidence{suffix}": lambda text: extract_evidence(
            text, thoughts(text), text, references(text), wording=wording
        ),
        f"reason-rag-reasoning{suffix}": lambda text: continue_reasoning(text, thoughts(text), wording=wording),
        f"reason-rag-forced-answer{suffix}": lambda text: forced_answer(text, thoughts(text), wording=wording),
    }


SAMPLES: dict[str, Callable[[str], Prompt[Any]]] = {
    "session-summary": session_summary,
    "session-keywords": lambda text: session_keywords(text, between="people"),
    "extract-facts": lambda text: extract_facts(
        [Said("user", text, SAID_AT, noted=True), Said(text, "Tell me.", NOW)],
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
    **_reason_rag(PLAIN),
    **_reason_rag(Wording(personal=True, now=NOW)),
    "reason-rag-judge": lambda text: judge_reasoning(text, [text, "Lyon"], thoughts(text)),
    "multihop-direct": answer_directly,
    "multihop-passages": lambda text: answer_from_passages(text, references(text)),
    "multihop-chain": lambda text: next_sentence(text, references(text), [text, "Next."]),
    "multihop-search-reasoning": lambda text: reason_and_search(text, thoughts(text)),
    "multihop-search-reading": lambda text: read_documents(text, thoughts(text), text, references(text)),
    "ab-choose": lambda text: choose_items(
        profile={"occupation": text, "age": "33"},
        habits=["They stay with what they like."],
        taste=text,
        items=[Offered(title=text, genres=(text, "Drama"), rating=4.1, overview=text), Offered(title="Heat (1995)")],
    ),
    "ab-poster-caption": lambda text: poster_caption(text, "data:image/jpeg;base64,AAAA"),
    "ab-rank-candidates": lambda text: rank_candidates(
        [Listed(title=text, genres=(text, "Drama")), Listed(title="Heat (1995)")],
        history=[Listed(title=text, rating=4)],
        person={"occupation": text, "age": "33"},
    ),
    **AB,
    **LSRP,
    "judge-lsrp-relevance": lambda text: judge_relevance(text, text, text),
    "judge-lsrp-personalization": lambda text: judge_personalization(text, text, text),
    "lsrp-guess-profile": lambda text: guess_profile([text, "Draft a toast."], {"city": [text, "Bergen"]}),
    **{_judged(kind)("x").name: _judged(kind) for kind in LONGMEMEVAL_TYPES},
}
"""By name: what makes the prompt around a text, which stands wherever the prompt quotes one."""
