"""Exact vector search, and the only module that imports faiss.

FAISS takes a NaN, a wrong dtype or a repeated id in silence, answers a wrong width with an empty
AssertionError and returns equal scores in reverse order; all of that is dealt with here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from memagent.errors import DuplicateId, InvalidVector
from memagent.records import Ranked

_BLOCK = 512  # rows that fit into a processor's cache together
_UNIT = 1e-3  # how far a norm may be from 1


def checked_vectors(vectors: object, dim: int, *, rows: int | None = None) -> NDArray[np.float32]:
    """``vectors`` as C-contiguous float32 (n, dim); raises InvalidVector if that is not what they are.

    They must be finite and of unit length: an inner product is a cosine only then.
    """
    array = np.asarray(vectors)
    if array.dtype != np.float32:
        raise InvalidVector(f"vectors are {array.dtype}, not float32", hint="convert them with .astype('float32')")
    if array.ndim != 2 or array.shape[1] != dim or rows not in (None, len(array)):
        wanted = f"({'n' if rows is None else rows}, {dim})"
        raise InvalidVector(
            f"vectors have the shape {array.shape}, not {wanted}", hint="is this another encoder's output?"
        )
    if len(array):
        norms = np.einsum("ij,ij->i", array, array, dtype=np.float64)
        if not np.isfinite(norms).all():
            raise InvalidVector("a vector has NaN or infinite numbers", hint="check the encoder")
        if np.abs(norms - 1).max() > 2 * _UNIT:
            raise InvalidVector("a vector is not of unit length", hint="divide it by its norm")
    return np.ascontiguousarray(array)


class VectorIndex:
    """Unit vectors under integer keys, searched exactly by inner product.

    Rows are kept in ascending key order. Not safe for concurrent use: its owner locks.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.keys: NDArray[np.int64] = np.empty(0, np.int64)
        """The keys of the rows, (n,) ascending."""
        self._faiss: Any = faiss.IndexFlatIP(dim)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The vectors themselves, (n, dim): a view into FAISS's memory, valid until the next change."""
        if not len(self.keys):
            return np.empty((0, self.dim), np.float32)
        raw = faiss.rev_swig_ptr(self._faiss.get_xb(), len(self.keys) * self.dim)
        return np.asarray(raw).reshape(len(self.keys), self.dim)

    def put(self, keys: Sequence[int] | NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Store vectors under new or existing keys.

        Raises DuplicateId if a key comes twice in one call, InvalidVector for unusable vectors.
        """
        new = np.asarray(keys, dtype=np.int64)
        checked = checked_vectors(vectors, self.dim, rows=len(new))
        if (new[1:] <= new[:-1]).any():
            order = np.argsort(new, kind="stable")
            new, checked = new[order], checked[order]
        if (new[1:] == new[:-1]).any():
            raise DuplicateId("a key comes twice in one call", hint="give each vector its own key")
        known = np.isin(new, self.keys, assume_unique=True)
        if known.any():
            self.matrix[np.searchsorted(self.keys, new[known])] = checked[known]
            new, checked = new[~known], checked[~known]
        if not len(new):
            return
        if len(self.keys) and new[0] < self.keys[-1]:
            self._rebuild(np.concatenate([self.keys, new]), np.concatenate([self.matrix, checked]))
            return
        self._faiss.add(checked)
        self.keys = np.concatenate([self.keys, new])

    def _rebuild(self, keys: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        order = np.argsort(keys, kind="stable")
        index = faiss.IndexFlatIP(self.dim)
        index.add(np.ascontiguousarray(vectors[order]))
        self._faiss, self.keys = index, keys[order]

    def remove(self, keys: Sequence[int] | NDArray[np.int64]) -> int:
        """Drop rows without rebuilding; keys that are not there are ignored. How many went."""
        rows = np.flatnonzero(np.isin(self.keys, np.asarray(keys, dtype=np.int64)))
        if len(rows):
            self._faiss.remove_ids(faiss.IDSelectorBatch(rows))
            self.keys = np.delete(self.keys, rows)
        return len(rows)

    def rows(self, keys: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each key; raises KeyError for one that is not there."""
        wanted = np.asarray(keys, dtype=np.int64)
        rows = np.searchsorted(self.keys, wanted)
        if len(wanted) and (rows.max(initial=0) >= len(self.keys) or (self.keys[rows] != wanted).any()):
            raise KeyError("a key is not in the index")
        return rows

    def scores(self, query: NDArray[np.float32], rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Inner product of ``query`` (dim,) with all rows, or with the given ones, in their order.

        Equal rows get equal scores, whatever their place: a matrix product of BLAS does not promise that.
        """
        vector = self._checked_query(query)
        if rows is not None and len(rows) * 4 > len(self.keys):
            return self._products(vector, self.matrix)[rows]
        return self._products(vector, self.matrix if rows is None else self.matrix[rows])

    def _products(self, vector: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        out = np.empty(len(matrix), np.float32)
        if len(matrix):
            swig = faiss.swig_ptr
            faiss.fvec_inner_products_ny(swig(out), swig(vector), swig(matrix), self.dim, len(matrix))  # type: ignore[attr-defined]  # the stubs lack it
        return out

    def scores_many(self, queries: NDArray[np.float32], rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """What :meth:`scores` gives for each of ``queries`` (b, dim), (b, n).

        Faster than one after the other: a block of rows is read from memory once, for all queries. (A matrix product
        of BLAS would be no faster on an idle machine, and waits for its threads on a busy one.)
        """
        vectors = [self._checked_query(query) for query in queries]
        chosen = rows is not None and len(rows) * 4 <= len(self.keys)
        matrix = self.matrix[rows] if chosen else self.matrix
        out = np.empty((len(vectors), len(matrix)), np.float32)
        for start in range(0, len(matrix), _BLOCK):
            block = matrix[start : start + _BLOCK]
            for row, vector in zip(out, vectors, strict=True):
                row[start : start + _BLOCK] = self._products(vector, block)
        return out if rows is None or chosen else out[:, rows]

    def search(self, query: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None = None) -> Ranked:
        """The k rows closest to ``query`` (dim,), among ``rows`` (ascending) if given; equal scores in key order.

        The restriction acts inside the search: k results come back whenever k rows are allowed.
        """
        values = self.scores(query, rows)
        k = min(k, len(values))
        if k <= 0:
            return Ranked(np.empty(0, np.int64), np.empty(0, np.float64))
        # All that reach the k-th best score, so that of equal scores at the cut the first in key order stay.
        threshold = np.partition(values, len(values) - k)[len(values) - k]
        places = np.flatnonzero(values >= threshold)
        order = places[np.argsort(-values[places], kind="stable")[:k]]
        return Ranked(self.keys[order if rows is None else rows[order]], values[order].astype(np.float64))

    def _checked_query(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        vector = np.asarray(query)
        if vector.shape != (self.dim,):
            raise InvalidVector(
                f"the query has the shape {vector.shape}, not ({self.dim},)", hint="is it another encoder's?"
            )
        if vector.dtype != np.float32 or not np.isfinite(vector).all():
            raise InvalidVector("the query is not finite float32", hint="check the encoder")
        return np.ascontiguousarray(vector)
