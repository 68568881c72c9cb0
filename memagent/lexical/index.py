"""BM25 over the turns, windows of turns and sessions of one user, kept up to date in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memagent.errors import InvalidInput
from memagent.lexical.postings import Postings, PostingStore
from memagent.lexical.related import QueryTerms
from memagent.lexical.scoring import Scorer
from memagent.lexical.table import DocumentTable
from memagent.lexical.terms import Terms, TermTable
from memagent.lexical.visible import DocumentKind, Visible


class _Asked(NamedTuple):
    """The last question, and what answers it for every kind of document."""

    query: Terms | QueryTerms
    shown: Visible
    k1: float
    b: float
    scorer: Scorer


class LexicalIndex:
    """An index of texts by their terms, derived from stored terms and never stored itself.

    One list of postings, of turns, serves three kinds of document: a turn; a window (a turn with the
    turn before and the turn after it in its session); a session (all its turns). Texts that stand for
    themselves (summaries, keywords) are scored as turns. All statistics (number of documents, document
    frequencies, mean length) are taken over the visible documents of the kind asked for.

    Scores are the same to the last bit however the index came about: by one call or by many, with
    replacements and removals in between. A removed or replaced document's postings are ignored at once
    and dropped from memory by a later merge.

    Not safe for use from several threads at once, readers included (they fill caches): the bank's lock
    protects it.
    """

    def __init__(self) -> None:
        self._documents = DocumentTable()
        self._postings = PostingStore()
        self._last: _Asked | None = None

    def __len__(self) -> int:
        return len(self._documents)

    @property
    def keys(self) -> NDArray[np.int64]:
        """The keys of all documents, (n,) int64, ascending; read-only."""
        keys = self._documents.layout().keys.view()
        keys.flags.writeable = False
        return keys

    @property
    def memory_bytes(self) -> int:
        """Bytes held by the index, caches of the last query's visibility left out."""
        return self._documents.nbytes + self._postings.nbytes

    def add(self, keys: NDArray[np.int64], sessions: NDArray[np.int64], terms: Sequence[Terms] | TermTable) -> None:
        """Add documents: ``keys`` (m,) int64, ``sessions`` (m,) int64 and the terms of each.

        A key that is there already is replaced; of a key given twice the last one stays. The arrays of a
        table are kept, those of a sequence copied. Raises :class:`memagent.errors.InvalidInput` when the lengths
        differ.
        """
        sizes, hashes, counts = terms if isinstance(terms, TermTable) else TermTable.of(terms)
        if keys.shape != sizes.shape or sessions.shape != sizes.shape:
            raise InvalidInput(f"{keys.shape} keys, {sessions.shape} sessions, {len(sizes)} texts")
        if not len(sizes):
            return
        ends = np.cumsum(sizes)
        running = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        slots = np.arange(self._documents.slots, self._documents.slots + len(sizes), dtype=np.int32)
        self._documents.add(keys, sessions, running[ends] - running[ends - sizes], sizes)
        self._postings.add(Postings(hashes, np.repeat(slots, sizes), counts), self._documents.alive)
        self._tidy()

    def remove(self, keys: Iterable[int] | NDArray[np.int64]) -> None:
        """Remove the documents of these keys; keys that are not there are passed over."""
        self._documents.remove(np.fromiter(keys, np.int64))
        self._tidy()

    def sessions(self, visible: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """The distinct session numbers of the visible documents, ascending: what session scores are aligned with."""
        return self._documents.visible(visible).sessions

    def scores(
        self,
        query: Terms | QueryTerms,
        by: DocumentKind = "turn",
        *,
        visible: NDArray[np.bool_] | None = None,
        k1: float = 1.2,
        b: float = 0.75,
    ) -> NDArray[np.float64]:
        """The BM25 score of each visible document of one kind; see :meth:`channels`."""
        return self.channels(query, (by,), visible=visible, k1=k1, b=b)[by]

    def channels(
        self,
        query: Terms | QueryTerms,
        kinds: Sequence[DocumentKind],
        *,
        visible: NDArray[np.bool_] | None = None,
        k1: float = 1.2,
        b: float = 0.75,
    ) -> dict[DocumentKind, NDArray[np.float64]]:
        """The BM25 scores of several kinds of document for one query, the postings read once.

        ``visible`` (n,) bool is aligned with :attr:`keys`; None shows everything. Scores of turns and
        windows are aligned with the visible keys, ascending; scores of sessions with :meth:`sessions`.
        A window's neighbours are the next turns of its session, visible or not; one that is hidden adds
        nothing. 0.0 where no term occurs. The formula is that of :class:`memagent.lexical.scoring.Scorer`.

        Raises :class:`memagent.errors.InvalidInput` for a mask of the wrong shape or dtype or for ``k1 < 0`` or
        ``b`` outside 0 to 1, and :class:`memagent.errors.UnknownName` for an unknown kind.
        """
        if not (k1 >= 0 and 0 <= b <= 1):
            raise InvalidInput(f"k1 is {k1}, b is {b}", hint="k1 is at least 0, b is between 0 and 1")
        shown = self._documents.visible(visible)
        last = self._last
        if last is None or not (last.query is query and last.shown is shown and (last.k1, last.b) == (k1, b)):
            # Kept, because retrievers ask for one kind after the other; every change makes ``shown`` another.
            last = self._last = _Asked(query, shown, k1, b, self._scorer(query, shown, k1, b))
        return {kind: last.scorer.scores(kind) for kind in kinds}

    def _scorer(self, query: Terms | QueryTerms, shown: Visible, k1: float, b: float) -> Scorer:
        matches = self._postings.find(query.hashes)
        if isinstance(query, Terms):
            return Scorer(matches, query.counts, shown, k1, b)
        return Scorer(matches, query.weights, shown, k1, b, query.caps)

    def _tidy(self) -> None:
        if self._documents.wasteful():
            self._postings.rebuild(self._documents.alive())
            self._documents.compact()
