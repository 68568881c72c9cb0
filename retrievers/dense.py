"""Retrieval by the cosine of embedding vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from memagent.records import Granularity
from memagent.retrievers.answer import answer, conclude
from memagent.retrievers.checks import check_choice, check_count, check_mmr, needed_vector
from memagent.retrievers.ranking import positions_among
from memagent.retrievers.sessions import TurnRule, session_cosines, shown_sessions

if TYPE_CHECKING:
    from memagent.bank.port import BankView
    from memagent.records import Query, Retrieval, Vector

_BY = ("turn-max", "turn-mean", "turn-top", "session", "summary", "keywords", "combination")
_DERIVED = {str(kind): kind for kind in (Granularity.SUMMARY, Granularity.KEYWORDS, Granularity.COMBINATION)}
_NOT_DERIVED = -1.0
"""Score of a session without the unit it should be ranked by: the least that a cosine can be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dense:
    """Units whose vectors are closest to the query's.

    ``by`` says what scores a session: the best of its turns (``turn-max``), the normalised mean of its turns'
    vectors (``turn-mean``), the sum of its ``m`` best turns (``turn-top``), its own vector (``session``), or that of
    its ``summary``, ``keywords`` or ``combination`` (summary, keywords and text as one); a session that has no such
    unit, as while it is open, scores -1. Other granularities are scored by their own vectors.

    ``mmr_lambda`` (0..1) chooses for diversity among the best ``pool`` units, by the vectors of the units returned.
    Sessions by their turns are ranked among those with at least one visible turn.
    """

    name: ClassVar[str] = "dense"

    by: Literal["turn-max", "turn-mean", "turn-top", "session", "summary", "keywords", "combination"] = "turn-max"
    m: int = 3
    mmr_lambda: float | None = None
    pool: int = 50

    def __post_init__(self) -> None:
        check_choice("by", self.by, _BY)
        check_count("m", self.m)
        check_mmr(self.mmr_lambda, self.pool)

    @property
    def uses_vector(self) -> bool:
        """Always."""
        return True

    @property
    def uses_units(self) -> frozenset[Granularity]:
        """The derived units that sessions are ranked by."""
        return frozenset({_DERIVED[self.by]} if self.by in _DERIVED else ())

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`."""
        check_count("k", k)
        vector = needed_vector(query, self.name)
        trace: dict[str, Any] = {"retriever": self.name, "granularity": str(query.granularity)}
        if query.granularity is Granularity.SESSION:
            trace["by"] = self.by
            match self.by:
                case "turn-max" | "turn-mean" | "turn-top" as rule:
                    return self._by_turns(rule, vector, bank, k, trace)
                case "summary" | "keywords" | "combination" as derived:
                    return self._by_derived(_DERIVED[derived], vector, bank, k, trace)
        depth = k if self.mmr_lambda is None else max(k, self.pool)
        ranked = bank.nearest(vector, depth, granularity=query.granularity)
        return conclude(bank, ranked, k, parts={"dense": ranked.scores}, trace=trace, mmr_lambda=self.mmr_lambda)

    def _by_turns(self, by: TurnRule, vector: Vector, bank: BankView, k: int, trace: dict[str, Any]) -> Retrieval:
        groups = bank.groups()
        shown = shown_sessions(groups)
        scores = session_cosines(bank, vector, by, self.m)[shown]
        return answer(
            bank,
            groups.units[shown],
            scores,
            k,
            parts={"dense": scores},
            trace=trace,
            mmr_lambda=self.mmr_lambda,
            pool=self.pool,
        )

    def _by_derived(
        self, granularity: Granularity, vector: Vector, bank: BankView, k: int, trace: dict[str, Any]
    ) -> Retrieval:
        own, units = bank.columns(Granularity.SESSION), bank.columns(granularity)
        places = positions_among(own.sessions, units.sessions)
        shown = places >= 0
        scores = np.full(len(own.keys), _NOT_DERIVED)
        scores[places[shown]] = bank.similarities(vector, granularity)[shown]
        trace["scored"] = int(shown.sum())
        return answer(
            bank,
            own.keys,
            scores,
            k,
            parts={"dense": scores},
            trace=trace,
            mmr_lambda=self.mmr_lambda,
            pool=self.pool,
        )
