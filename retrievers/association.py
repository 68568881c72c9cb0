"""The association graph of MemGAS: which vectors of a session are tied to which earlier ones.

Every session has up to four nodes: its own vector, the mean of its turns, its summary and its keywords. A node of
a new session looks at the nodes of all earlier sessions, keeps the closest ones, splits their similarities in
two by a Gaussian mixture, and is tied to those in the upper part. Pure functions of arrays: the memory keeps
their results, the retriever follows them.

Source: Xu et al., "MemGAS", ICLR 2026 (arXiv 2505.19549), section 2.3, and its released code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from memagent.bank.sums import lengths_of, turn_sums
from memagent.records import Granularity
from memagent.retrievers.checks import check_choice, check_count
from memagent.retrievers.mixture import upper_component
from memagent.retrievers.ranking import positions_among

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from memagent.bank.port import BankView
    from memagent.records import Vectors
    from memagent.retrievers.ranking import Rows, Scores

KINDS = (Granularity.SESSION, Granularity.TURN, Granularity.SUMMARY, Granularity.KEYWORDS)
"""The kinds of nodes; a node's id is session number * 4 + place of its kind in here."""

Accept: TypeAlias = Literal["mixture", "all"]
"""Which candidates a node is tied to; see :class:`Association`."""

_METHOD = 1  # to be raised when links() gives other results than that of a released version
_GRID = 2.0**25
_CELLS = 4_000_000  # similarities that are held at once
_NOTHING = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """How sessions are associated.

    ``candidate_pool``: how many of the closest earlier nodes a node chooses from (30: ``mem_threshold`` of the released
    code; the paper fits the similarities to all history). ``first_edge_session``: how many sessions at the beginning
    start no edges (5, released code). ``accept``: which candidates are tied to the node, those in the upper part by the
    ``mixture`` (both sources) or ``all`` of them (what is left without it, for ablations).
    """

    candidate_pool: int = 30
    first_edge_session: int = 5
    accept: Accept = "mixture"

    def __post_init__(self) -> None:
        check_count("candidate_pool", self.candidate_pool)
        if self.first_edge_session != 0:
            check_count("first_edge_session", self.first_edge_session)
        check_choice("accept", self.accept, ("mixture", "all"))


def settings_text(settings: Association) -> str:
    """What a stored graph is said to be made with: it need not be made again while that stays the same."""
    parts = {"method": _METHOD, **asdict(settings)}
    return " ".join(f"{name}={value}" for name, value in parts.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Nodes in the order of their sessions (by time, then by number), kinds ascending inside a session (n nodes)."""

    ids: NDArray[np.int64]
    """Session number * 4 + kind, (n,)."""
    positions: NDArray[np.int64]
    """Place of the node's session in the order, from 0, (n,), ascending."""
    vectors: Vectors
    """Unit vectors, (n, dim)."""

    def taken(self, rows: Rows) -> Nodes:
        """The nodes in these rows, ascending."""
        return Nodes(ids=self.ids[rows], positions=self.positions[rows], vectors=self.vectors[rows])


class Link(NamedTuple):
    """What one node initiates."""

    node: int
    """Its id."""
    floor: float
    """The lowest similarity in its pool; -inf while the pool has room. An earlier node that comes or goes can change
    this link only if its similarity is at least this."""
    targets: NDArray[np.int64]
    """Ids of the earlier nodes it is tied to, ascending."""


def nodes_of(bank: BankView) -> Nodes:
    """The nodes of the visible sessions: those whose own unit is visible.

    A session has a node for each of its units that is visible, and one for its visible turns unless their vectors
    cancel each other.
    """
    own = bank.columns(Granularity.SESSION)
    order = np.lexsort((own.sessions, own.event_at))
    parts = [(own.sessions, bank.vectors(own.keys)), _turn_nodes(bank)]
    for granularity in KINDS[2:]:
        units = bank.columns(granularity)
        parts.append((units.sessions, bank.vectors(units.keys)))
    sessions = np.concatenate([numbers for numbers, _ in parts])
    kinds = np.repeat(np.arange(len(KINDS)), [len(numbers) for numbers, _ in parts])
    places = positions_among(own.sessions[order], sessions)
    rows = np.lexsort((kinds, places))
    rows = rows[places[rows] >= 0]
    vectors = np.concatenate([rows_of for _, rows_of in parts])
    return Nodes(ids=(sessions * len(KINDS) + kinds)[rows], positions=places[rows], vectors=vectors[rows])


def _turn_nodes(bank: BankView) -> tuple[NDArray[np.int64], Vectors]:
    """Sessions with visible turns, and the normalised means of these."""
    groups = bank.groups()
    sums = turn_sums(bank.vectors(bank.columns(Granularity.TURN).keys), groups)
    lengths = lengths_of(sums)
    kept = lengths > 0
    return groups.sessions[kept], (sums[kept] / lengths[kept, None]).astype(np.float32)


def links(nodes: Nodes, rows: NDArray[np.int64], settings: Association) -> list[Link]:
    """What the nodes in these ``rows`` initiate, one link a row, in their order.

    The same links to the last bit whether they are asked for one by one or all at once, on any machine. Candidates of
    equal similarity come in the order of their ids.
    """
    rows = np.asarray(rows, dtype=np.int64)
    points = _on_grid(nodes.vectors)
    earlier = np.searchsorted(nodes.positions, nodes.positions[rows])
    earlier[nodes.positions[rows] < settings.first_edge_session] = 0
    found = [Link(node, -np.inf, _NOTHING) for node in nodes.ids[rows].tolist()]
    sizes = np.minimum(earlier, settings.candidate_pool)
    # Lists of one length are fitted together: all but those of the first few sessions have the full length.
    for size in np.unique(sizes[sizes > 0]).tolist():
        for block in _blocks(np.flatnonzero(sizes == size), len(nodes.ids)):
            pool, similarities = _closest(points, nodes.ids, rows[block], earlier[block], size)
            every = settings.accept == "all"
            accepted = np.ones(pool.shape, np.bool_) if every else upper_component(similarities)
            for place, ids, values, chosen in zip(block.tolist(), nodes.ids[pool], similarities, accepted, strict=True):
                floor = float(values[-1]) if size == settings.candidate_pool else -np.inf
                found[place] = Link(found[place].node, floor, np.sort(ids[chosen]))
    return found


def affected(nodes: Nodes, changed: NDArray[np.int64], floors: Scores, settings: Association) -> NDArray[np.int64]:
    """Rows of the nodes whose links may change when those in rows ``changed`` come or go, ascending.

    ``nodes`` has the changed rows in it (call it after an insertion and before a removal), ``floors`` (n,) is the floor
    of each node's present link, -inf where that is not known. The changed rows themselves are not returned. Sessions
    that begin or cease to start edges, because others come or go before them, count as affected.
    """
    changed = np.asarray(changed, dtype=np.int64)
    positions = nodes.positions
    came = np.searchsorted(np.unique(positions[changed]), positions)
    may = (positions >= settings.first_edge_session) & (came > 0)
    may[changed] = False
    touched = may & (positions - came < settings.first_edge_session)
    points = _on_grid(nodes.vectors)
    for block in _blocks(np.flatnonzero(may & ~touched), len(changed)):
        similarities = points[block] @ points[changed].T / _GRID**2
        before = positions[changed] < positions[block, None]
        touched[block] = (before & (similarities >= floors[block, None])).any(axis=1)
    return np.flatnonzero(touched)


def edges_of(links: Iterable[Link]) -> NDArray[np.int64]:
    """The edges of these links, (m, 2) node ids: the smaller id first, none twice, ascending."""
    known = list(links)
    nodes = np.repeat(np.array([link.node for link in known], np.int64), [len(link.targets) for link in known])
    targets = np.concatenate([_NOTHING, *(link.targets for link in known)])
    pairs = np.stack([np.minimum(nodes, targets), np.maximum(nodes, targets)], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    again = np.zeros(len(pairs), np.bool_)
    again[1:] = (pairs[1:] == pairs[:-1]).all(axis=1)
    return pairs[~again]


def _on_grid(vectors: Vectors) -> Scores:
    """Vectors in whole steps of 2^-25, as float64.

    Sums of their products are whole numbers below 2^53, thus exact in whatever order a matrix product adds
    them up: a similarity depends on nothing but its two vectors. The rounding is that of float32.
    """
    steps: Scores = np.rint(vectors * np.float64(_GRID))
    return steps


def _blocks(rows: Rows, columns: int) -> Iterator[Rows]:
    """``rows`` in pieces whose similarities with so many ``columns`` fit in memory."""
    step = max(1, _CELLS // max(columns, 1))
    return (rows[begin : begin + step] for begin in range(0, len(rows), step))


def _closest(points: Scores, ids: NDArray[np.int64], rows: Rows, earlier: Rows, size: int) -> tuple[Rows, Scores]:
    """The ``size`` closest of the ``earlier`` first nodes of each row, best first: their rows and similarities."""
    columns = int(earlier.max())
    similarities = points[rows] @ points[:columns].T / _GRID**2
    similarities[np.arange(columns) >= earlier[:, None]] = -np.inf
    pool = np.argpartition(similarities, columns - size, axis=1)[:, columns - size :]
    values = np.take_along_axis(similarities, pool, axis=1)
    lowest = values.min(axis=1, keepdims=True)
    # Of candidates that share the last place those with the lowest ids stay.
    for row in np.flatnonzero(np.count_nonzero(similarities >= lowest, axis=1) > size).tolist():
        level = np.flatnonzero(similarities[row] >= lowest[row])
        pool[row] = level[np.lexsort((ids[level], -similarities[row, level]))[:size]]
        values[row] = similarities[row, pool[row]]
    order = np.lexsort((ids[pool], -values), axis=1)
    return np.take_along_axis(pool, order, axis=1), np.take_along_axis(values, order, axis=1)
