"""Retrieval metrics of one question.

With ``gold`` the set of correct units and rank 1 the best:

- ``recall_all@k``: 1 if every gold unit is among the first k, else 0. What LongMemEval, RF-Mem and MemGAS
  print as Recall@k.
- ``recall_any@k``: 1 if some gold unit is among the first k, else 0. What vendors tend to print.
- ``recall_fraction@k``: the share of the gold units among the first k.
- ``ndcg_any@k``: nDCG in LongMemEval's form (``eval_utils``), DCG = rel_1 + sum over j = 2..k of rel_j / log2(j):
  ranks 1 and 2 both count in full. The ideal ranking puts all gold units of the whole corpus first.
- ``ndcg@k``: nDCG with the usual discount 1 / log2(j + 1), same ideal.
- ``mrr``: 1 / rank of the first gold unit, 0 if none was returned.

A figure called just "recall" would be one of three things; the suffix is never dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from memagent.errors import DuplicateId, InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

KS = (1, 3, 5, 10, 30, 50)
"""The cut-offs. A retriever is called once for the largest and its list is cut."""

METRICS = (
    *(f"{name}@{k}" for name in ("recall_all", "recall_any", "recall_fraction", "ndcg_any", "ndcg") for k in KS),
    "mrr",
)
"""All metric names, in the order of :func:`score`'s result."""

MAX_COMBINATIONS = 4096
"""How many combinations of alternative gold units :func:`score_alternatives` tries for one question."""

_DEPTH = max(KS)
_CUTS = np.array(KS) - 1
_RANKS = np.arange(1, _DEPTH + 1, dtype=np.float64)
_DISCOUNT_ANY = 1.0 / np.maximum(1.0, np.log2(_RANKS))
_DISCOUNT = 1.0 / np.log2(_RANKS + 1.0)


def score(ranked: Sequence[str], gold: Collection[str], *, in_corpus: int | None = None) -> dict[str, float]:
    """Every metric of one question.

    ``ranked`` are unit ids, best first, without repetition; ranks beyond 50 are not looked at.
    ``in_corpus`` is how many gold units the corpus holds (it makes the ideal ranking of nDCG); None
    means all of them. Raises :class:`DuplicateId` for a repeated id and :class:`InvalidInput` for
    empty ``gold``: a question without evidence is left out, not scored.
    """
    values = _values(_checked(ranked), frozenset(gold), in_corpus)
    return dict(zip(METRICS, values.tolist(), strict=True))


def score_alternatives(ranked: Sequence[str], parts: Sequence[Collection[str]]) -> dict[str, float]:
    """Every metric of a question whose answer has parts, each backed by any one of several units.

    PersonaBench's rule, for every metric separately: form each combination of one unit a part, score it as
    the gold set, take the maximum. One unit may serve several parts. Of more than ``MAX_COMBINATIONS``
    those with the lowest-ranked alternatives are not tried, and the maximum may then be missed.
    """
    if not parts or not all(parts):
        raise InvalidInput("a part of the answer has no gold unit", hint="leave the question out")
    checked = _checked(ranked)
    combinations = {frozenset(choice) for choice in product(*_affordable(checked, parts))}
    best = np.max([_values(checked, gold, None) for gold in combinations], axis=0)
    return dict(zip(METRICS, best.tolist(), strict=True))


def _checked(ranked: Sequence[str]) -> list[str]:
    top = list(ranked[:_DEPTH])
    if len(set(top)) != len(top):
        raise DuplicateId("a ranking holds the same unit twice", hint="keep the first of each")
    return top


def _values(ranked: Sequence[str], gold: frozenset[str], in_corpus: int | None) -> NDArray[np.float64]:
    """The metrics in the order of ``METRICS``, (31,)."""
    if not gold:
        raise InvalidInput("no gold unit to score against", hint="leave the question out")
    relevant = np.zeros(_DEPTH)
    relevant[: len(ranked)] = [unit in gold for unit in ranked]
    found = np.cumsum(relevant)[_CUTS]
    ideal = np.zeros(_DEPTH)
    ideal[: len(gold) if in_corpus is None else in_corpus] = 1.0
    first = np.flatnonzero(relevant)
    return np.concatenate(
        [
            found == len(gold),
            found > 0,
            found / len(gold),
            _ndcg(relevant, ideal, _DISCOUNT_ANY),
            _ndcg(relevant, ideal, _DISCOUNT),
            [1.0 / (first[0] + 1) if first.size else 0.0],
        ]
    )


def _ndcg(
    relevant: NDArray[np.float64], ideal: NDArray[np.float64], discount: NDArray[np.float64]
) -> NDArray[np.float64]:
    """DCG over ideal DCG at each cut-off; 0 where the corpus holds nothing relevant."""
    best = np.cumsum(ideal * discount)[_CUTS]
    gained: NDArray[np.float64] = np.cumsum(relevant * discount)[_CUTS]
    ratio: NDArray[np.float64] = np.divide(gained, best, out=np.zeros_like(gained), where=best > 0)
    return ratio


def _affordable(ranked: Sequence[str], parts: Sequence[Collection[str]]) -> list[list[str]]:
    """Each part's alternatives, best ranked first, the longest lists cut until all combinations can be tried."""
    place = {unit: rank for rank, unit in enumerate(ranked)}
    lists = [sorted(set(part), key=lambda unit: (place.get(unit, _DEPTH), unit)) for part in parts]
    while np.prod([len(units) for units in lists], dtype=np.float64) > MAX_COMBINATIONS:
        max(lists, key=len).pop()
    return lists
