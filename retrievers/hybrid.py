"""Words and vectors together: several channels, fused by score or by rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from memagent.errors import InvalidInput
from memagent.records import Granularity
from memagent.retrievers.answer import answer
from memagent.retrievers.checks import check_choice, check_count, check_mmr, check_number, needed_vector
from memagent.retrievers.ranking import Norm, group_max, normalised, reciprocal_ranks
from memagent.retrievers.sessions import TurnRule, session_cosines, shown_sessions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.bank.port import BankView, LexicalUnit
    from memagent.records import Query, Retrieval
    from memagent.retrievers.ranking import Scores

_NORMS = ("max", "min-max", "z")
_WEIGHTS = {
    "sessions": ("dense", "session", "turn", "window"),
    "turns": ("turns_dense", "turns_session", "turns_turn", "turns_window"),
    "summaries and keywords": ("own_dense", "own_text"),
}


class Channel(NamedTuple):
    """One ranking of all candidates: raw scores (n,) and how they enter the sum."""

    name: str
    weight: float
    norm: Norm
    lexical: bool
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Hybrid:
    """A weighted sum of BM25 and cosine channels; a channel with weight 0 is not computed.

    Sessions: ``session``, ``turn`` and ``window`` weigh BM25 on the session's text, its best turn and its best
    window of neighbouring turns; ``dense`` weighs the cosines of its turns, joined by ``dense_by`` (see
    :class:`~memagent.retrievers.dense.Dense`). Turns: ``turns_turn``, ``turns_window`` and ``turns_session`` weigh BM25
    on the turn, its window and its session, ``turns_dense`` its cosine. Summaries and keywords: ``own_dense`` and
    ``own_text`` weigh the cosine and BM25 of their own text.

    ``fusion`` ``score`` brings each channel to a common scale first: ``lexical_norm``, ``dense_norm`` (for
    turns ``turns_dense_norm``); where no word matches the BM25 channels give nothing and the cosine decides
    alone. ``rrf`` adds weight / (``rrf_k`` + rank) instead; units that match no word have no rank in a BM25 channel.
    ``k1`` and ``b`` are BM25's; ``mmr_lambda`` (0..1) chooses for diversity among the best ``pool`` units.
    """

    name: ClassVar[str] = "hybrid"

    fusion: Literal["score", "rrf"] = "score"
    rrf_k: float = 60.0
    dense: float = 2.0
    session: float = 1.0
    turn: float = 1.0
    window: float = 1.0
    dense_by: Literal["turn-max", "turn-mean", "turn-top"] = "turn-top"
    m: int = 3
    turns_dense: float = 2.0
    turns_session: float = 1.0
    turns_turn: float = 1.0
    turns_window: float = 1.0
    own_dense: float = 1.0
    own_text: float = 1.0
    lexical_norm: Literal["max", "min-max", "z"] = "max"
    dense_norm: Literal["max", "min-max", "z"] = "min-max"
    turns_dense_norm: Literal["max", "min-max", "z"] = "max"
    k1: float = 1.2
    b: float = 0.75
    mmr_lambda: float | None = None
    pool: int = 50

    def __post_init__(self) -> None:
        check_choice("fusion", self.fusion, ("score", "rrf"))
        check_number("rrf_k", self.rrf_k)
        check_choice("dense_by", self.dense_by, ("turn-max", "turn-mean", "turn-top"))
        check_count("m", self.m)
        for field in ("lexical_norm", "dense_norm", "turns_dense_norm"):
            check_choice(field, getattr(self, field), _NORMS)
        for what, weights in _WEIGHTS.items():
            for field in weights:
                check_number(field, getattr(self, field))
            if not any(getattr(self, field) for field in weights):
                raise InvalidInput(f"no channel ranks {what}", hint=f"set one of {', '.join(weights)} above 0")
        check_number("k1", self.k1)
        check_number("b", self.b, 0.0, 1.0)
        check_mmr(self.mmr_lambda, self.pool)

    @property
    def uses_vector(self) -> bool:
        """Whether a cosine channel has weight at any granularity."""
        return bool(self.dense or self.turns_dense or self.own_dense)

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`."""
        check_count("k", k)
        if query.granularity is Granularity.SESSION:
            keys, channels = self._sessions(query, bank)
        elif query.granularity is Granularity.TURN:
            keys, channels = self._turns(query, bank)
        else:
            keys, channels = self._own(query, bank)
        parts = {channel.name: self._contribution(channel) for channel in channels}
        return answer(
            bank,
            keys,
            np.sum(list(parts.values()), axis=0),
            k,
            parts=parts,
            trace=self._trace(query, channels),
            mmr_lambda=self.mmr_lambda,
            pool=self.pool,
        )

    def _sessions(self, query: Query, bank: BankView) -> tuple[NDArray[np.int64], list[Channel]]:
        groups = bank.groups()
        shown = shown_sessions(groups)
        channels = []
        if self.dense:
            rule: TurnRule = self.dense_by
            scores = session_cosines(bank, needed_vector(query, self.name), rule, self.m)
            channels.append(self._cosine(self.dense, self.dense_norm, scores[shown]))
        if self.session:
            scores = self._bm25(query, bank, "session")
            channels.append(self._words("bm25_session", self.session, scores[shown]))
        by: Literal["turn", "window"]
        for by, weight in (("turn", self.turn), ("window", self.window)):
            if weight:
                best = group_max(self._bm25(query, bank, by), groups.index, len(groups.sessions))
                channels.append(self._words(f"bm25_{by}", weight, best[shown]))
        return groups.units[shown], channels

    def _turns(self, query: Query, bank: BankView) -> tuple[NDArray[np.int64], list[Channel]]:
        channels = []
        if self.turns_dense:
            cosines = bank.similarities(needed_vector(query, self.name), Granularity.TURN)
            channels.append(self._cosine(self.turns_dense, self.turns_dense_norm, cosines.astype(np.float64)))
        if self.turns_session:
            scores = self._bm25(query, bank, "session")[bank.groups().index]
            channels.append(self._words("bm25_session", self.turns_session, scores))
        by: Literal["turn", "window"]
        for by, weight in (("turn", self.turns_turn), ("window", self.turns_window)):
            if weight:
                channels.append(self._words(f"bm25_{by}", weight, self._bm25(query, bank, by)))
        return bank.columns(Granularity.TURN).keys, channels

    def _own(self, query: Query, bank: BankView) -> tuple[NDArray[np.int64], list[Channel]]:
        by: LexicalUnit = query.granularity.value
        channels = []
        if self.own_dense:
            cosines = bank.similarities(needed_vector(query, self.name), query.granularity)
            channels.append(self._cosine(self.own_dense, self.dense_norm, cosines.astype(np.float64)))
        if self.own_text:
            channels.append(self._words(f"bm25_{by}", self.own_text, self._bm25(query, bank, by)))
        return bank.columns(query.granularity).keys, channels

    def _bm25(self, query: Query, bank: BankView, by: LexicalUnit) -> Scores:
        return bank.lexical(query.text, by, k1=self.k1, b=self.b)

    def _cosine(self, weight: float, norm: Norm, scores: Scores) -> Channel:
        return Channel("dense", weight, norm, lexical=False, scores=scores)

    def _words(self, name: str, weight: float, scores: Scores) -> Channel:
        return Channel(name, weight, self.lexical_norm, lexical=True, scores=scores)

    def _contribution(self, channel: Channel) -> Scores:
        """What a channel adds to each candidate's score, (n,)."""
        if self.fusion == "rrf":
            return channel.weight * reciprocal_ranks(channel.scores, self.rrf_k, only_positive=channel.lexical)
        return channel.weight * normalised(channel.scores, channel.norm)

    def _trace(self, query: Query, channels: list[Channel]) -> dict[str, Any]:
        return {
            "retriever": self.name,
            "granularity": str(query.granularity),
            "fusion": self.fusion,
            "candidates": len(channels[0].scores),
            "channels": {channel.name: _described(channel) for channel in channels},
        }


def _described(channel: Channel) -> dict[str, Any]:
    """A channel as JSON values: its weight and scale, and for BM25 how many candidates match a word."""
    found = len(channel.scores) > 0
    facts: dict[str, Any] = {
        "weight": channel.weight,
        "norm": channel.norm,
        "min": float(channel.scores.min()) if found else None,
        "max": float(channel.scores.max()) if found else None,
    }
    if channel.lexical:
        facts["matched"] = int(np.count_nonzero(channel.scores))
    return facts
