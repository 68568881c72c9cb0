"""Words, related words, vectors and dates, added up on scales that adapt to the query: our own retriever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from memagent.errors import InvalidInput
from memagent.records import Granularity
from memagent.retrievers.answer import answer
from memagent.retrievers.checks import check_count, check_number, needed_vector
from memagent.retrievers.dates import named_dates, nearness
from memagent.retrievers.ranking import group_max, over_maximum
from memagent.retrievers.sessions import session_cosines, shown_sessions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from memagent.bank.port import BankView, LexicalUnit
    from memagent.records import Query, Retrieval
    from memagent.retrievers.dates import NamedDate
    from memagent.retrievers.ranking import Scores

_SHORTEST_DAYS = 0.01

_LOWEST = -3.0
"""How far a contrast may fall: an outlier at the bottom must not take part in the ranking at the top."""


class _Channels(NamedTuple):
    """The candidates' keys (n,) and what each channel adds to their scores, (n,) each."""

    keys: NDArray[np.int64]
    parts: dict[str, Scores]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """A sum of BM25 with related words and of cosines, on scales that adapt to the query.

    Related words: a text that says *hurt* answers a question about an *injury*. For each word of the question the
    encoder's own word vectors name others; those with a cosine of at least ``related_cosine`` are looked for too, for
    cosine ** ``related_power``, and never with a higher idf than the word asked for. ``related=False`` leaves them out.

    Scales: BM25 is divided by its maximum. Cosines say little by their height, so they are measured by how far a
    candidate stands above the one in place ``depth`` (1 the best, 0 the one at ``depth``); a channel whose best
    candidates all look alike spreads them no further than one whose best one stands out.

    Dates: where the question names days, months or years (see :mod:`memagent.retrievers.dates`), ``dates`` weighs how
    near to the nearest of them something was said: within it 1, falling to 1/e in ``told_after`` days after it and in
    ``told_before`` days before. A question that names none is not touched.

    Sessions: ``session`` and ``window`` weigh BM25 on the session's text and its best window of neighbouring turns,
    ``dense`` the sum of the cosines of its ``m`` best turns. Turns: ``turns_turn``, ``turns_window``, ``turns_session``
    weigh BM25 on the turn, its window and its session, ``turns_dense`` its cosine, measured against ``turns_depth``.
    Summaries, keywords and combinations: ``own_text`` and ``own_dense``. ``k1`` and ``b`` are BM25's.

    The defaults for sessions were chosen by ``benchmarks/choose_adaptive.py``.
    """

    name: ClassVar[str] = "adaptive"

    related: bool = True
    related_cosine: float = 0.4
    related_power: float = 4.0
    dates: float = 1.5
    told_after: float = 10.0
    told_before: float = 3.0
    depth: int = 20
    session: float = 1.0
    window: float = 1.0
    dense: float = 0.8
    m: int = 2
    turns_depth: int = 50
    turns_turn: float = 1.0
    turns_window: float = 1.0
    turns_session: float = 1.0
    turns_dense: float = 0.8
    own_text: float = 1.0
    own_dense: float = 1.0
    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        check_number("related_cosine", self.related_cosine, 0.0, 1.0)
        for field in ("related_power", "dates", "k1"):
            check_number(field, getattr(self, field))
        for field in ("told_after", "told_before"):
            check_number(field, getattr(self, field), _SHORTEST_DAYS)
        check_number("b", self.b, 0.0, 1.0)
        for field in ("depth", "turns_depth", "m"):
            check_count(field, getattr(self, field))
        for weights in (
            ("session", "window", "dense"),
            ("turns_turn", "turns_window", "turns_session", "turns_dense"),
            ("own_text", "own_dense"),
        ):
            for field in weights:
                check_number(field, getattr(self, field))
            if not any(getattr(self, field) for field in weights):
                raise InvalidInput("no channel has weight", hint=f"set one of {', '.join(weights)} above 0")

    @property
    def uses_vector(self) -> bool:
        """Whether a cosine channel has weight at any granularity."""
        return bool(self.dense or self.turns_dense or self.own_dense)

    @property
    def uses_related_words(self) -> bool:
        """Whether ``Query.related`` is read."""
        return self.related

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`."""
        check_count("k", k)
        counted = self._counted(query.related) if self.related else {}
        if query.granularity is Granularity.SESSION:
            keys, parts = self._sessions(query, bank, counted)
        elif query.granularity is Granularity.TURN:
            keys, parts = self._turns(query, bank, counted)
        else:
            keys, parts = self._own(query, bank, counted)
        dates = named_dates(query.text) if self.dates else []
        if dates:
            parts["dates"] = self.dates * self._nearness(dates, query.granularity, keys, bank)
        trace = {
            "retriever": self.name,
            "granularity": str(query.granularity),
            "related": {word: [other for other, _ in others] for word, others in counted.items()},
            "dates": [named._asdict() for named in dates],
        }
        return answer(bank, keys, np.sum(list(parts.values()), axis=0), k, parts=parts, trace=trace)

    def _counted(self, related: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, list[tuple[str, float]]]:
        """The related words that are close enough, with what each counts for."""
        found = {
            word: [(other, cosine**self.related_power) for other, cosine in others if cosine >= self.related_cosine]
            for word, others in related.items()
        }
        return {word: others for word, others in found.items() if others}

    def _sessions(self, query: Query, bank: BankView, related: Mapping[str, Sequence[tuple[str, float]]]) -> _Channels:
        groups = bank.groups()
        shown = shown_sessions(groups)
        parts: dict[str, Scores] = {}
        if self.session:
            words = self._words(query, bank, "session", related)[shown]
            parts["words_session"] = self.session * over_maximum(words)
        if self.window:
            words = self._words(query, bank, "window", related)
            best = group_max(words, groups.index, len(groups.sessions))
            parts["words_window"] = self.window * over_maximum(best[shown])
        if self.dense:
            cosines = session_cosines(bank, needed_vector(query, self.name), "turn-top", self.m)
            parts["dense"] = self.dense * contrast(cosines[shown], self.depth)
        return _Channels(groups.units[shown], parts)

    def _turns(self, query: Query, bank: BankView, related: Mapping[str, Sequence[tuple[str, float]]]) -> _Channels:
        parts: dict[str, Scores] = {}
        if self.turns_turn:
            parts["words_turn"] = self.turns_turn * over_maximum(self._words(query, bank, "turn", related))
        if self.turns_window:
            parts["words_window"] = self.turns_window * over_maximum(self._words(query, bank, "window", related))
        if self.turns_session:
            words = over_maximum(self._words(query, bank, "session", related))
            parts["words_session"] = self.turns_session * words[bank.groups().index]
        if self.turns_dense:
            cosines = bank.similarities(needed_vector(query, self.name), Granularity.TURN)
            parts["dense"] = self.turns_dense * contrast(cosines.astype(np.float64), self.turns_depth)
        return _Channels(bank.columns(Granularity.TURN).keys, parts)

    def _own(self, query: Query, bank: BankView, related: Mapping[str, Sequence[tuple[str, float]]]) -> _Channels:
        by: LexicalUnit = query.granularity.value
        parts: dict[str, Scores] = {}
        if self.own_text:
            parts["words"] = self.own_text * over_maximum(self._words(query, bank, by, related))
        if self.own_dense:
            cosines = bank.similarities(needed_vector(query, self.name), query.granularity)
            parts["dense"] = self.own_dense * contrast(cosines.astype(np.float64), self.depth)
        return _Channels(bank.columns(query.granularity).keys, parts)

    def _nearness(
        self, dates: Sequence[NamedDate], granularity: Granularity, keys: NDArray[np.int64], bank: BankView
    ) -> Scores:
        columns = bank.columns(granularity)
        event_at = columns.event_at[np.searchsorted(columns.keys, keys)]
        return nearness(dates, event_at, after=self.told_after, before=self.told_before)

    def _words(
        self, query: Query, bank: BankView, by: LexicalUnit, related: Mapping[str, Sequence[tuple[str, float]]]
    ) -> Scores:
        return bank.lexical(query.text, by, k1=self.k1, b=self.b, related=related)


def contrast(scores: Scores, depth: int) -> Scores:
    """How far each candidate stands above the one in place ``depth`` (from 0), in distances from there to the best.

    1 for the best, 0 at ``depth`` (or for the last, if there are fewer candidates), -3 at the lowest; zeros if these
    two score the same. The spread of the whole list, which grows with its length, does not enter.
    """
    if not len(scores):
        return scores
    place = max(0, len(scores) - 1 - depth)
    level, best = np.partition(scores, place)[place], scores.max()
    if not best > level:
        return np.zeros_like(scores)
    contrasts: Scores = np.maximum((scores - level) / (best - level), _LOWEST)
    return contrasts
