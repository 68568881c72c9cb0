"""The units nearest to queries that have drifted a little from a first one, without looking at all units again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from memagent.errors import InvalidVector
from memagent.retrievers.ranking import top_k

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.bank.port import BankView
    from memagent.records import Granularity, Vector, Vectors
    from memagent.retrievers.ranking import Rows

_SMALL = 1024  # units of which all vectors are fetched at once
_WIDEN = 4  # how many times the units asked for are tried first
_SHARE = 0.2  # of all units: a larger pool is slower than asking the bank
_SLACK = 5e-3  # a vector may be that far from unit length, and is not exact


class Near(NamedTuple):
    """Units by falling cosine with one query, equal ones in key order: places among the visible units, and cosines."""

    rows: Rows
    cosines: NDArray[np.float32]


class Neighbours:
    """The visible units of one granularity around a query: ``cosines`` (n,) float32 with it, in key order.

    :meth:`nearest` is exact. Angles obey the triangle inequality: if ``c`` is a lower bound for the N-th best cosine
    with a drifted query at the angle d from the first one, a unit can be among its N nearest only if its angle to the
    first query is at most arccos(c) + d. The cosines with the first query are known, so the vectors of a pool of
    units are all that is needed.
    """

    def __init__(self, bank: BankView, granularity: Granularity, query: Vector) -> None:
        if not np.isfinite(query).all():
            raise InvalidVector("the query's vector is not finite", hint="check the encoder")
        self._bank = bank
        self._granularity = granularity
        self._query = query.astype(np.float64) / np.linalg.norm(query.astype(np.float64))
        self.keys = bank.columns(granularity).keys
        self.cosines = bank.similarities(query, granularity)
        self._rows: Rows = np.empty(0, np.int64)
        self._vectors: Vectors = np.empty((0, len(query)), np.float32)

    def __len__(self) -> int:
        return len(self.keys)

    def best(self, count: int) -> Near:
        """The ``count`` units nearest to the query itself."""
        rows = top_k(self.cosines, count)
        return Near(rows, self.cosines[rows])

    def nearest(self, vectors: Vectors, count: int) -> list[Near]:
        """The ``count`` units nearest to each of these unit vectors (b, dim); all units if there are fewer."""
        if not len(self):
            return [self.best(count) for _ in vectors]
        self._fetch(top_k(self.cosines, len(self) if len(self) <= _SMALL else _WIDEN * count))
        found = self._in_pool(vectors, count)
        if len(self._rows) == len(self):
            return found
        reach = np.flatnonzero(self.cosines >= self._least(vectors, found))
        if len(reach) > _SHARE * len(self):
            return self._in_bank(vectors, count)
        if self._fetch(reach):
            return self._in_pool(vectors, count)
        return found

    def vectors(self, rows: Rows) -> Vectors:
        """The vectors of units by their places, (len(rows), dim)."""
        self._fetch(rows)
        return self._vectors[np.searchsorted(self._rows, rows)]

    def _least(self, vectors: Vectors, found: list[Near]) -> float:
        """The lowest cosine with the first query that a unit among the nearest of any of the vectors can have."""
        drift = np.arccos(np.clip(vectors.astype(np.float64) @ self._query, -1.0, 1.0))
        last = np.arccos(np.clip([near.cosines[-1] - _SLACK for near in found], -1.0, 1.0))
        return float(np.cos(np.minimum(last + drift, np.pi)).min()) - _SLACK

    def _fetch(self, rows: Rows) -> bool:
        """Have the vectors of these units in the pool; whether some were missing."""
        missing = np.setdiff1d(rows, self._rows, assume_unique=True)
        if not len(missing):
            return False
        joined = np.concatenate([self._rows, missing])
        order = np.argsort(joined)
        vectors = self._bank.vectors(self.keys[missing])
        self._vectors = np.concatenate([self._vectors, vectors])[order]
        self._rows = joined[order]
        return True

    def _in_pool(self, vectors: Vectors, count: int) -> list[Near]:
        found = []
        for vector in vectors:
            # einsum, because a BLAS product may round equal rows differently and so break ties by chance.
            cosines = np.einsum("ij,j->i", self._vectors, vector)
            places = top_k(cosines, count)
            found.append(Near(self._rows[places], cosines[places]))
        return found

    def _in_bank(self, vectors: Vectors, count: int) -> list[Near]:
        found = []
        for cosines in self._bank.similarities_many(vectors, self._granularity):
            rows = top_k(cosines, count)
            found.append(Near(rows, cosines[rows]))
        return found
