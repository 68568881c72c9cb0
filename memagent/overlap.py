"""Two texts compared by their tokens: the exact match and the F1 that question answering is scored with."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DECISIONS = ("yes", "no", "noanswer")


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


def answer_f1(answer: str, golds: Sequence[str]) -> float:
    """The best :func:`token_f1` of an answer over its accepted answers; 0 without any.

    A yes, no or noanswer is right or wrong as a whole: where one side is one of these and the other differs, that gold
    gives 0 (HotpotQA's evaluation script, and FlashRAG's).
    """
    return max((_decided_f1(answer, gold) for gold in golds), default=0.0)


def answer_exact(answer: str, golds: Sequence[str]) -> float:
    """1 if an answer equals one of its accepted answers, token by token; 0 without any."""
    return max((exact(answer, gold) for gold in golds), default=0.0)


def _decided_f1(answer: str, gold: str) -> float:
    said, wanted = (" ".join(normalised(text)) for text in (answer, gold))
    if said != wanted and (said in _DECISIONS or wanted in _DECISIONS):
        return 0.0
    return token_f1(answer, gold)
