"""What one answer is worth: token overlap with the reference, option letters, and whether the evidence was there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memagent.overlap import exact, normalised, token_f1

if TYPE_CHECKING:
    from memagent.answering import Evidence
    from memagent.evals.datasets.cases import Question

__all__ = ["chose_rightly", "chosen_letters", "evidence_shown", "exact", "normalised", "token_f1"]


def chosen_letters(reply: str, options: int) -> set[str]:
    """The option letters in a reply: those in parentheses if there are any, otherwise those that stand alone."""
    letters = f"a-{chr(ord('a') + options - 1)}"
    folded = reply.lower()
    found = re.findall(rf"\(([{letters}])\)", folded) or re.findall(rf"\b([{letters}])\b", folded)
    return set(found)


def chose_rightly(reply: str, letter: str, options: int) -> float:
    """PersonaMem's rule as RF-Mem's released code applies it: the letters in the reply are exactly the right one."""
    return float(chosen_letters(reply, options) == {letter})


def evidence_shown(question: Question, shown: Sequence[Evidence], granularity: str) -> float | None:
    """Whether all of a question's gold evidence is among what the reader was shown, in whole; None without gold.

    Of a memory that a filter has cut down, what it left counts as the whole; with ``llm-triple`` it leaves all of them.
    Turns are compared by message where the data set names messages, everything else by session.
    """
    if question.no_gold:
        return None
    whole = [memory for memory in shown if not memory.cut]
    if granularity == "turn" and question.gold_messages:
        return float({source for memory in whole for source in memory.source_ids}.issuperset(question.gold_messages))
    sessions = {memory.session_id for memory in whole}
    if question.gold_alternatives is not None:
        return float(all(sessions.intersection(part) for part in question.gold_alternatives))
    return float(sessions.issuperset(question.gold_sessions))
