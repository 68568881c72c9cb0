"""What a retriever sees of one user's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memagent.lexical import Related
    from memagent.records import Granularity, MemoryUnit, Ranked, Vector, Vectors

LexicalUnit: TypeAlias = Literal["turn", "window", "session", "summary", "keywords", "combination", "fact", "document"]
"""What counts as one document for BM25; a window is a turn with its two neighbours in its session.

The words of a combination are those of its session, and are not kept a second time: it matches none.
"""


class Columns(NamedTuple):
    """The visible units of one granularity, in key order (n units).

    ``keys`` (n,) int64, ``sessions`` (n,) int64: the number of each unit's session (sessions are
    numbered in the order they were begun), ``event_at`` (n,) int64: microseconds since 1970 UTC.
    """

    keys: NDArray[np.int64]
    sessions: NDArray[np.int64]
    event_at: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The sessions that have visible turns (g of them), and where each visible turn belongs.

    ``sessions`` (g,) int64, ascending: session numbers; ``units`` (g,) int64: the key of each session's
    own unit, -1 where that unit is hidden; ``index`` (n,) int64: for each row of ``columns(TURN)`` its
    place in ``sessions``.
    """

    sessions: NDArray[np.int64]
    units: NDArray[np.int64]
    index: NDArray[np.int64]


class Edges(NamedTuple):
    """The stored association graph between visible sessions.

    Its nodes are named by their session's number * 4 + 0 for the session's own vector, 1 for the mean of its turns,
    2 for its summary, 3 for its keywords. ``pairs`` (m, 2) int64: undirected, the smaller id first, unique, sorted.
    ``linked`` (s,) int64, ascending: the numbers of the sessions whose links are up to date; others (that are not
    closed yet, or wait to be fitted again after a deletion) may lack some. ``made_with``: the settings, see
    :func:`memagent.retrievers.association.settings_text`.
    """

    pairs: NDArray[np.int64]
    linked: NDArray[np.int64]
    made_with: str


class BankView(Protocol):
    """One user's memory, restricted to the units the caller may see; read-only.

    Nothing hidden (by a filter or ``as_of``) is returned, ranked, counted, or enters a statistic.
    """

    @property
    def user_id(self) -> str:
        """Whose memory this is."""

    @property
    def encoder(self) -> str:
        """The fingerprint of the encoder that the vectors come from."""

    def columns(self, granularity: Granularity) -> Columns:
        """The visible units of a granularity."""

    def groups(self) -> Groups:
        """The sessions of the visible turns."""

    def turn_lengths(self) -> NDArray[np.float64]:
        """How long the sum of the vectors of each session's visible turns is, aligned with ``groups().sessions``.

        With the cosines of its turns this gives that of a session's mean. 0.0 where the vectors cancel each other.
        """

    def similarities(self, vector: Vector, granularity: Granularity) -> NDArray[np.float32]:
        """Cosine of ``vector`` (dim,) with each visible unit, (n,), aligned with ``columns(granularity)``."""

    def similarities_many(self, vectors: Vectors, granularity: Granularity) -> NDArray[np.float32]:
        """What :meth:`similarities` gives for each of ``vectors`` (b, dim), (b, n)."""

    def nearest(self, vector: Vector, k: int, *, granularity: Granularity, exclude: Sequence[int] = ()) -> Ranked:
        """The k visible units closest to ``vector``, without the keys in ``exclude``; fewer only if fewer exist."""

    def lexical(
        self, text: str, by: LexicalUnit, *, k1: float = 1.2, b: float = 0.75, related: Related | None = None
    ) -> NDArray[np.float64]:
        """BM25 score of each visible document for ``text``; statistics over the visible documents only.

        With ``related`` the words related to a word of the text count too, for their weight, 0 to 1, and with no higher
        idf than it has.

        ``turn`` and ``window`` are aligned with ``columns(TURN)``, ``session`` with ``groups().sessions``,
        the others with the columns of that granularity. 0.0 where no term matches.
        """

    def matching(self, text: str, k: int, *, granularity: Granularity, by: LexicalUnit | None = None) -> Ranked:
        """The k visible units with the highest positive BM25 score."""

    def vectors(self, keys: Sequence[int] | NDArray[np.int64]) -> Vectors:
        """Unit vectors of these units, (len(keys), dim)."""

    def units(self, keys: Sequence[int] | NDArray[np.int64]) -> list[MemoryUnit]:
        """The units themselves, in the order of ``keys``; raises KeyError for one that is hidden."""

    def edges(self) -> Edges | None:
        """The association graph kept in the store, as far as its sessions are visible.

        None if there is none, or if a filter is in force: links were chosen among sessions that it may hide. With
        ``as_of`` alone what is left is the graph as it was then, since sessions are tied to earlier ones only.
        """
