"""Retrieval by words: BM25."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from memagent.records import Granularity
from memagent.retrievers.answer import answer
from memagent.retrievers.checks import check_choice, check_count, check_mmr, check_number
from memagent.retrievers.ranking import group_max
from memagent.retrievers.sessions import shown_sessions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.bank.port import BankView, LexicalUnit
    from memagent.records import Query, Retrieval
    from memagent.retrievers.ranking import Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Bm25:
    """Units that share rare words with the query.

    ``by`` says which text is scored: the turn, the window of a turn and its neighbours, or the session;
    ``auto`` is the granularity asked for. A session scored by ``turn`` or ``window`` has its best one's score,
    a turn scored by ``session`` its session's. Summaries and keywords are always scored by their own text;
    combinations match no word (see :data:`memagent.bank.port.LexicalUnit`).

    Units that share no word with the query come last, with score 0.0, in the order in which they were
    stored: ``k`` hits come whenever ``k`` units are visible, and a caller who wants matches only drops the zeros.
    ``k1`` is BM25's saturation of term counts, ``b`` its length normalisation (Robertson & Zaragoza 2009).
    ``mmr_lambda`` (0..1) chooses for diversity among the best ``pool`` units.
    """

    name: ClassVar[str] = "bm25"

    by: Literal["auto", "turn", "window", "session"] = "auto"
    k1: float = 1.2
    b: float = 0.75
    mmr_lambda: float | None = None
    pool: int = 50

    def __post_init__(self) -> None:
        check_choice("by", self.by, ("auto", "turn", "window", "session"))
        check_number("k1", self.k1)
        check_number("b", self.b, 0.0, 1.0)
        check_mmr(self.mmr_lambda, self.pool)

    @property
    def uses_vector(self) -> bool:
        """Never."""
        return False

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`."""
        check_count("k", k)
        keys, scores, by = self._candidates(query, bank)
        trace: dict[str, Any] = {
            "retriever": self.name,
            "granularity": str(query.granularity),
            "by": by,
            "matched": int(np.count_nonzero(scores)),
        }
        return answer(
            bank,
            keys,
            scores,
            k,
            parts={"bm25": scores},
            trace=trace,
            mmr_lambda=self.mmr_lambda,
            pool=self.pool,
        )

    def _candidates(self, query: Query, bank: BankView) -> tuple[NDArray[np.int64], Scores, str]:
        """Keys of the units that may be returned, their scores, and what was scored."""
        if query.granularity is Granularity.SESSION:
            by = "session" if self.by == "auto" else self.by
            groups = bank.groups()
            scores = bank.lexical(query.text, by, k1=self.k1, b=self.b)
            if by != "session":
                scores = group_max(scores, groups.index, len(groups.sessions))
            shown = shown_sessions(groups)
            return groups.units[shown], scores[shown], by
        keys = bank.columns(query.granularity).keys
        if query.granularity is Granularity.TURN:
            by = "turn" if self.by == "auto" else self.by
            scores = bank.lexical(query.text, by, k1=self.k1, b=self.b)
            return keys, scores[bank.groups().index] if by == "session" else scores, by
        own = own_text(query.granularity)
        return keys, bank.lexical(query.text, own, k1=self.k1, b=self.b), own


def own_text(granularity: Granularity) -> LexicalUnit:
    """The documents of BM25 that are the texts of a granularity's units."""
    own: LexicalUnit = granularity.value
    return own
