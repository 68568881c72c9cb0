"""What one answer is worth: token overlap with the reference, option letters, and whether the evidence was there."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memagent.answering import Evidence
    from memagent.evals.datasets.cases import Question

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> list[str]:
    """The tokens of a text as SQuAD's evaluation script makes them: lower case, no ASCII punctuation, no articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def token_f1(hypothesis: str, reference: str) -> float:
    """Overlap of the bags of tokens, harmonic mean of precision and recall (Rajpurkar et al., 2016).

    1 if both have no tokens, 0 if one has none.
    """
    said, wanted = normalised(hypothesis), normalised(reference)
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted)) if common else 0.0


def exact(hypothesis: str, reference: str) -> float:
    """1 if both have the same tokens in the same order."""
    return float(normalised(hypothesis) == normalised(reference))


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
