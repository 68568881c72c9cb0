"""From ranked units to a :class:`~memagent.records.Retrieval`: the last step of every retriever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.records import Hit, Ranked, Retrieval
from memagent.retrievers.mmr import pick_diverse
from memagent.retrievers.ranking import top_k

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from memagent.bank.port import BankView
    from memagent.retrievers.ranking import Scores


def answer(
    bank: BankView,
    keys: NDArray[np.int64],
    scores: Scores,
    k: int,
    *,
    parts: Mapping[str, Scores],
    trace: dict[str, Any],
    mmr_lambda: float | None = None,
    pool: int = 50,
) -> Retrieval:
    """The ``k`` best of the candidates ``keys`` (n,) by ``scores`` (n,), equal scores in candidate order.

    ``parts`` names what each score consists of, (n,) each; it is read for the returned hits only. With
    ``mmr_lambda`` the hits are chosen for diversity from the best ``pool`` (at least ``k``) candidates.
    """
    rows = top_k(scores, k if mmr_lambda is None else max(k, pool))
    ranked = Ranked(keys[rows], scores[rows])
    kept = {name: values[rows] for name, values in parts.items()}
    return conclude(bank, ranked, k, parts=kept, trace=trace, mmr_lambda=mmr_lambda)


def conclude(
    bank: BankView,
    ranked: Ranked,
    k: int,
    *,
    parts: Mapping[str, NDArray[np.floating[Any]]],
    trace: dict[str, Any],
    mmr_lambda: float | None,
) -> Retrieval:
    """Hits of ranked units; ``parts`` are aligned with them. With ``mmr_lambda`` they are the pool to choose from."""
    keys, scores = ranked
    if mmr_lambda is not None:
        picks = pick_diverse(scores, bank.vectors(keys), k, mmr_lambda)
        trace["mmr"] = {"lambda": mmr_lambda, "pool": len(keys)}
        parts = {name: values[picks.rows] for name, values in parts.items()}
        parts |= {"relevance": picks.relevance, "redundancy": picks.redundancy}
        keys, scores = keys[picks.rows], picks.scores
    return Retrieval(hits=_hits(keys, scores, parts), trace=trace)


def _hits(keys: NDArray[np.int64], scores: Scores, parts: Mapping[str, NDArray[np.floating[Any]]]) -> tuple[Hit, ...]:
    names = tuple(parts)
    columns = zip(*(values.tolist() for values in parts.values()), strict=True) if names else ((),) * len(keys)
    return tuple(
        Hit(key=key, score=score, parts=dict(zip(names, values, strict=True)))
        for key, score, values in zip(keys.tolist(), scores.tolist(), columns, strict=True)
    )
