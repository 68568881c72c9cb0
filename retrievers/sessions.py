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
    # cos(q, mean) = sum(q . v) / |sum(v)| for unit q: the vectors themselves are not needed.
    lengths = bank.turn_lengths()
    totals = group_sum(cosines, groups.index, count)
    means = np.zeros(count)
    np.divide(totals, lengths, out=means, where=lengths > 0)
    return means
