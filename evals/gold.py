"""Which questions count, and what they must find, at a granularity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from memagent.errors import InvalidInput, UnknownName
from memagent.evals.datasets.cases import Dataset, Question
from memagent.evals.metrics import score, score_alternatives

GRANULARITIES = ("session", "turn")
"""The granularities that the data sets have gold evidence for."""


def scored_questions(
    dataset: Dataset, granularity: str, *, limit: int | None = None
) -> tuple[tuple[Question, ...], dict[str, int]]:
    """The questions with gold evidence at ``granularity`` (the first ``limit`` of them), and why others are left out.

    Raises :class:`InvalidInput` when none is left.
    """
    if granularity not in GRANULARITIES:
        raise UnknownName(
            f"no data set has gold evidence for {granularity!r}", hint=f"use one of {', '.join(GRANULARITIES)}"
        )
    left_out = Counter(dataset.left_out)
    kept = []
    for question in dataset.questions:
        reason = question.no_gold
        if not reason and granularity == "turn" and not question.gold_messages:
            reason = "no evidence by turn"
        if reason:
            left_out[reason] += 1
        else:
            kept.append(question)
    if limit is not None and limit < len(kept):
        left_out["beyond the limit"] += len(kept) - limit
        del kept[limit:]
    if not kept:
        reasons = "; ".join(f"{reason}: {count}" for reason, count in left_out.items()) or "the data has none"
        raise InvalidInput(
            f"no question of {dataset.name} can be scored by {granularity} ({reasons})", hint="choose another"
        )
    return tuple(kept), dict(left_out)


def unit_name(result: Mapping[str, Any], granularity: str) -> str:
    """What a search result is called in rankings: its session's id, or for a turn its first message's id."""
    return str(result["session_id"] if granularity == "session" else result["source_ids"][0])


def turn_names(turns: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """For each message id the name of the turn that holds it; ``turns`` are all turns of the user."""
    return {message: unit_name(turn, "turn") for turn in turns for message in turn["source_ids"]}


def gold_units(question: Question, granularity: str, turn_of: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the question's gold units. Messages of one turn are one unit."""
    if granularity == "session":
        return question.gold_sessions
    return tuple(dict.fromkeys(turn_of.get(message, message) for message in question.gold_messages))


def score_question(
    question: Question, ranked: Sequence[str], gold: Sequence[str], granularity: str
) -> dict[str, float]:
    """The metrics of one question for the names of the units found, best first."""
    if granularity == "session" and question.gold_alternatives is not None:
        return score_alternatives(ranked, question.gold_alternatives)
    return score(ranked, gold)
