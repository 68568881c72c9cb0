"""Scores of sessions from the cosines of their turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from memagent.records import Granularity
from memagent.retrievers.ranking import group_max, group_sum, group_top_sum

if TYPE_CHECKING:
    from memagent.bank.port import BankView, Groups
    from memagent.records import Vector
    from memagent.retrievers.ranking import Rows, Scores

TurnRule: TypeAlias = Literal["turn-max", "turn-mean", "turn-top"]
"""How the cosines of a session's turns make its score; see :func:`session_cosines`."""


def shown_sessions(groups: Groups) -> Rows:
    """Places in ``groups.sessions`` of the sessions whose own unit may be returned."""
    return np.flatnonzero(groups.units >= 0)


def session_cosines(bank: BankView, vector: Vector, by: TurnRule, m: int) -> Scores:
    """The score of each session with visible turns, aligned with ``bank.groups().sessions``, (g,).

    ``turn-max``: the highest cosine of a turn; ``turn-top``: the sum of the ``m`` highest; ``turn-mean``: the
    cosine with the normalised mean of the turns' vectors.
    """
    groups = bank.groups()
    cosines = bank.similarities(vector, Granularity.TURN)
    count = len(groups.sessions)
    if by == "turn-max":
        return group_max(cosines, groups.index, count)
    if by == "turn-top":
        return group_top_sum(cosines, groups.index, count, m)
    # cos(q, mean) = sum(q . v) / |sum(v)| for unit q: the vectors are needed for the norm alone.
    norms = _norms_of_sums(bank, groups)
    totals = group_sum(cosines, groups.index, count)
    means = np.zeros(count)
    np.divide(totals, norms, out=means, where=norms > 0)
    return means


def _norms_of_sums(bank: BankView, groups: Groups) -> Scores:
    """Length of the sum of each session's turn vectors, (g,); 0.0 where they cancel each other."""
    if not len(groups.sessions):
        return np.zeros(0)
    keys, index = bank.columns(Granularity.TURN).keys, groups.index
    if np.any(index[1:] < index[:-1]):  # turns of different sessions alternate
        order = np.argsort(index, kind="stable")
        keys, index = keys[order], index[order]
    vectors = bank.vectors(keys)
    ends = np.searchsorted(index, np.arange(len(groups.sessions)), side="right").tolist()
    # One sum a session: np.add.reduceat over rows takes twenty times as long.
    sums = [np.add.reduce(vectors[begin:end], axis=0) for begin, end in zip([0, *ends], ends, strict=False)]
    norms: Scores = np.linalg.norm(np.array(sums, dtype=np.float64), axis=1)
    norms[norms < 1e-6] = 0.0
    return norms
