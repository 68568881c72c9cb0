"""What a search may see of one bank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from memagent.bank.filters import Predicate
from memagent.bank.port import Columns, Edges, Groups, LexicalUnit
from memagent.bank.session_arrays import edges_among, groups_of
from memagent.bank.sums import lengths_of, turn_sums
from memagent.errors import InvalidInput, StoreCorrupt
from memagent.lexical import QueryTerms, Related, Terms, query_terms, related_terms
from memagent.records import Granularity, MemoryUnit, Ranked, to_micros
from memagent.stores.port import Attributes, ReadTransaction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.bank.bank import MemoryBank
    from memagent.records import Vector, Vectors

# Facts have the labels that all the turns they come from have; documents come from no turn.
_OWN_LABELS = (Granularity.TURN, Granularity.FACT, Granularity.DOCUMENT)
_OWN_TEXTS = ("summary", "keywords", "fact", "document")
_EMPTY = Ranked(np.empty(0, np.int64), np.empty(0, np.float64))


def incomplete(what: str) -> StoreCorrupt:
    """The error for something that the indexes hold and the file does not."""
    return StoreCorrupt(f"{what} is not in the user's file, or not whole", hint="run `memagent verify`")


class View:
    """A :class:`~memagent.bank.port.BankView` of one bank inside one reading transaction."""

    def __init__(
        self,
        bank: MemoryBank,
        transaction: ReadTransaction,
        where: Predicate | None,
        as_of: int | None,
        *,
        superseded: bool = False,
        among: NDArray[np.int64] | None = None,
    ) -> None:
        self._bank = bank
        self._transaction = transaction
        self._where = where
        self._as_of = as_of
        self._superseded = superseded
        self._among = among
        self._masks: dict[Granularity, NDArray[np.bool_] | None] = {}
        self._own_groups: Groups | None = None
        self._facts: frozenset[int] | None = None
        self._queries: dict[tuple[str, Granularity, int], tuple[Related | None, Terms | QueryTerms]] = {}

    @property
    def user_id(self) -> str:
        """Whose memory this is."""
        return self._bank.store.user_id

    @property
    def encoder(self) -> str:
        """The fingerprint of the encoder that the vectors come from."""
        return self._bank.fingerprint

    def _mask(self, granularity: Granularity) -> NDArray[np.bool_] | None:
        """Which rows of the shelf are visible; None when all are."""
        is_restricted = granularity is Granularity.FACT and not self._superseded
        if self._where is None and self._as_of is None and self._among is None and not is_restricted:
            return None
        if granularity not in self._masks:
            shelf = self._bank.shelves[granularity]
            keys, _, event_at = shelf.columns()
            mask = np.ones(len(keys), np.bool_) if self._as_of is None else event_at <= self._as_of
            if is_restricted:
                mask &= shelf.current(self._as_of)
            if self._among is not None:
                mask &= np.isin(keys, self._among)
            if self._where is not None:
                candidates = np.flatnonzero(mask)
                attributes = self._bank.attributes(keys[candidates], self._transaction)
                mask[candidates] = np.fromiter((self._where(a) for a in attributes), np.bool_, len(candidates))
                if granularity not in _OWN_LABELS:
                    mask &= self._holds_for_all_turns(granularity, mask)
            self._masks[granularity] = None if mask.all() else mask
        return self._masks[granularity]

    def _holds_for_all_turns(self, granularity: Granularity, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """For each row, whether the filter holds with metadata, agent and times of each of its session's turns, (n,).

        A derived unit shows words of all its turns, but only the metadata that they agree on, and the time of the last:
        ``ne``, ``NOT`` and the beginning of a span of time would let it pass although one of its turns does not.
        """
        keys, sessions, _ = self._bank.shelves[granularity].columns()
        turn_keys, turn_sessions, _ = self._bank.shelves[Granularity.TURN].columns()
        own = dict(zip(sessions[mask].tolist(), self._bank.attributes(keys[mask], self._transaction), strict=True))
        asked = np.isin(turn_sessions, sessions[mask])
        turns = self._bank.attributes(turn_keys[asked], self._transaction)
        failing = {
            session
            for session, turn in zip(turn_sessions[asked].tolist(), turns, strict=True)
            if self._where is not None and not self._where(turn._replace(roles=own[session].roles))
        }
        return ~np.isin(sessions, np.fromiter(failing, np.int64, len(failing)))

    def _rows(self, granularity: Granularity) -> NDArray[np.int64] | None:
        mask = self._mask(granularity)
        return None if mask is None else np.flatnonzero(mask)

    def columns(self, granularity: Granularity) -> Columns:
        """The visible units of a granularity."""
        columns = self._bank.shelves[granularity].columns()
        mask = self._mask(granularity)
        return columns if mask is None else Columns(*(column[mask] for column in columns))

    def groups(self) -> Groups:
        """The sessions of the visible turns."""
        if self._mask(Granularity.TURN) is None and self._mask(Granularity.SESSION) is None:
            return self._bank.all_groups()
        if self._own_groups is None:
            self._own_groups = groups_of(self.columns(Granularity.TURN), self.columns(Granularity.SESSION))
        return self._own_groups

    def turn_lengths(self) -> NDArray[np.float64]:
        """How long the sum of the vectors of each session's visible turns is."""
        if self.groups() is self._bank.all_groups():
            return self._bank.all_turn_lengths()
        return lengths_of(turn_sums(self.vectors(self.columns(Granularity.TURN).keys), self.groups()))

    def similarities(self, vector: Vector, granularity: Granularity) -> NDArray[np.float32]:
        """Cosine of ``vector`` with each visible unit."""
        return self._bank.shelves[granularity].index.scores(vector, self._rows(granularity))

    def similarities_many(self, vectors: Vectors, granularity: Granularity) -> NDArray[np.float32]:
        """Cosines of several vectors with each visible unit."""
        return self._bank.shelves[granularity].index.scores_many(vectors, self._rows(granularity))

    def nearest(self, vector: Vector, k: int, *, granularity: Granularity, exclude: Sequence[int] = ()) -> Ranked:
        """The k visible units closest to ``vector``."""
        index = self._bank.shelves[granularity].index
        rows = self._rows(granularity)
        if len(exclude):
            allowed = np.arange(len(index)) if rows is None else rows
            rows = allowed[~np.isin(index.keys[allowed], np.asarray(exclude, dtype=np.int64))]
        return index.search(vector, k, rows)

    def lexical(
        self, text: str, by: LexicalUnit, *, k1: float = 1.2, b: float = 0.75, related: Related | None = None
    ) -> NDArray[np.float64]:
        """BM25 score of each visible document."""
        if by == "combination":
            return np.zeros(len(self.columns(Granularity.COMBINATION).keys))
        granularity = Granularity(by) if by in _OWN_TEXTS else Granularity.TURN
        shelf = self._bank.shelves[granularity]
        mask = self._mask(granularity)
        asked = (text, granularity, id(related))
        if asked not in self._queries:  # retrievers ask for one kind of document after the other
            languages = shelf.languages(mask)
            terms = related_terms(text, languages, related) if related else query_terms(text, languages)
            self._queries[asked] = related, terms  # with what its id is of, which must not become another's
        kind = by if by in ("window", "session") else "turn"
        return shelf.lexical().scores(self._queries[asked][1], kind, visible=mask, k1=k1, b=b)

    def matching(self, text: str, k: int, *, granularity: Granularity, by: LexicalUnit | None = None) -> Ranked:
        """The k visible units with the highest positive BM25 score."""
        if granularity is Granularity.SESSION:
            scores, keys = self.lexical(text, by or "session"), self.groups().units
            if by in ("turn", "window"):
                best = np.zeros(len(keys))
                np.maximum.at(best, self.groups().index, scores)
                scores = best
        else:
            if by == "session":
                raise InvalidInput("matching by session ranks sessions", hint="ask for granularity SESSION")
            scores, keys = self.lexical(text, by or _own_text(granularity)), self.columns(granularity).keys
        rows = np.flatnonzero((scores > 0) & (keys >= 0))
        order = rows[np.argsort(-scores[rows], kind="stable")[: max(k, 0)]]
        return Ranked(keys[order], scores[order]) if len(order) else _EMPTY

    def vectors(self, keys: Sequence[int] | NDArray[np.int64]) -> Vectors:
        """Unit vectors of these units, of any granularity, in this order."""
        wanted = np.asarray(keys, dtype=np.int64)
        out = np.empty((len(wanted), self._bank.dim), np.float32)
        missing = np.ones(len(wanted), np.bool_)
        for granularity in Granularity:
            index = self._bank.shelves[granularity].index
            here = missing & np.isin(wanted, self.columns(granularity).keys)
            if here.any():
                out[here] = index.matrix[index.rows(wanted[here])]
                missing &= ~here
        if missing.any():
            raise KeyError(f"no visible unit has the key {wanted[missing][0]}")
        return out

    def units(self, keys: Sequence[int] | NDArray[np.int64]) -> list[MemoryUnit]:
        """The units themselves; raises KeyError for one that is hidden."""
        wanted = np.asarray(keys, dtype=np.int64).tolist()
        units = self._transaction.units(wanted)
        if len(units) != len(wanted):
            raise incomplete("a unit that is in the index")
        for unit in units:
            if not self._shows(unit):
                if any(unit.key in self.columns(granularity).keys for granularity in Granularity):
                    raise incomplete("a unit that is in the index")  # it stands for another one there
                raise KeyError(f"no visible unit has the key {unit.key}")
        return units if self._as_of is None else [self._as_then(unit) for unit in units]

    def _as_then(self, unit: MemoryUnit) -> MemoryUnit:
        """A unit without the fact that took its place, if that was said later than ``as_of``."""
        if unit.superseded_by is None or self._as_of is None:
            return unit
        by = self._transaction.find(unit.superseded_by)
        if by is not None and to_micros(by.event_at) <= self._as_of:
            return unit
        return replace(unit, superseded_by=None, valid_to=None)

    def edges(self) -> Edges | None:
        """The stored association graph, as far as its sessions are visible."""
        if self._where is not None:
            return None
        edges = self._bank.edges(self._transaction)
        mask = self._mask(Granularity.SESSION)
        if edges is None or mask is None:
            return edges
        return edges_among(edges, self._bank.shelves[Granularity.SESSION].columns().sessions[mask])

    def _current_facts(self) -> frozenset[int]:
        if self._facts is None:
            self._facts = frozenset(self.columns(Granularity.FACT).keys.tolist())
        return self._facts

    def _shows(self, unit: MemoryUnit) -> bool:
        event_at = to_micros(unit.event_at)
        if self._as_of is not None and event_at > self._as_of:
            return False
        if unit.superseded_by is not None and not self._superseded and unit.key not in self._current_facts():
            return False
        created_at = to_micros(unit.created_at)
        return self._where is None or self._where(
            Attributes(unit.session_id, event_at, created_at, unit.roles, unit.agent_id, unit.metadata)
        )


def _own_text(granularity: Granularity) -> LexicalUnit:
    own: LexicalUnit = granularity.value
    return own
