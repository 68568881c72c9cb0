"""MemGAS: sessions at several granularities, weighed by certainty and spread over an association graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np

from memagent.errors import InvalidInput
from memagent.records import Granularity
from memagent.retrievers.answer import answer
from memagent.retrievers.association import KINDS, Accept, Association, edges_of, links, nodes_of, settings_text
from memagent.retrievers.checks import check_choice, check_count, check_number, needed_vector
from memagent.retrievers.entropy_router import Router, entropy, router_weights
from memagent.retrievers.pagerank import MAX_DAMPING, personalised_pagerank
from memagent.retrievers.ranking import positions_among
from memagent.retrievers.sessions import session_cosines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.bank.port import BankView
    from memagent.records import Query, Retrieval, Vector
    from memagent.retrievers.ranking import Scores

_ROUTERS = ("inverse", "one-minus-raw", "one-minus-norm", "uniform")
_NO_EDGES = np.empty((0, 2), dtype=np.int64)


class _Routed(NamedTuple):
    """What the router makes of a query; kinds in the order of KINDS, s sessions in the order they were stored."""

    sessions: NDArray[np.int64]
    """Session numbers, (s,)."""
    present: NDArray[np.bool_]
    """Which nodes there are, (4, s)."""
    scores: Scores
    """Weight times cosine of each node, (4, s), 0 where there is none."""
    facts: dict[str, dict[str, float]]
    """Weight and entropy of each kind that has nodes."""


class _Graph(NamedTuple):
    """Edges as node ids (m, 2), and where they come from."""

    edges: NDArray[np.int64]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemGAS:
    """Ranks sessions by their nodes: own vector, mean of the turns, summary and keywords.

    Each node scores its cosine with the query times the weight of its kind, which the ``router`` derives from the
    entropy of that kind's cosines at ``temperature`` (see :mod:`memagent.retrievers.entropy_router`). The best
    ``seeds`` nodes (all that tie with the last) start a personalised PageRank with ``damping`` on the association
    graph (see :mod:`memagent.retrievers.association`); a session scores the sum of its nodes. Negative scores seed
    nothing.

    ``relevance`` ``memory`` sums over the kinds first, as in the paper's Eq. 5: the best ``seeds`` sessions are kept,
    and each starts the walk at all its nodes alike (what it does on a graph of nodes, the paper does not say).
    ``use_session`` ... ``use_keywords`` choose the kinds. ``pagerank`` false, or ``damping`` 0, leaves out the graph: a
    session scores the sum of its seeds.

    ``graph`` ``stored`` uses the edges that the memory keeps, ``query`` builds them from what is visible, as
    ``candidate_pool``, ``first_edge_session`` and ``accept`` say (see
    :class:`~memagent.retrievers.association.Association`). ``auto`` uses the stored ones if they are what would be
    built: not with a filter, a kind left out, or a graph that the memory made with other settings. Sessions that are
    not linked yet, such as open ones, are linked for the query.

    Sessions that the walk does not reach follow those that it does, by the sum of their nodes' scores, counted down
    from 0. They are all there is when no score is positive. Only sessions can be ranked.

    The defaults are the paper's where it says how, else those of the released code: see :meth:`paper`.
    Source: Xu et al., "MemGAS", ICLR 2026, arXiv 2505.19549.
    """

    name: ClassVar[str] = "memgas"
    granularities: ClassVar[frozenset[Granularity]] = frozenset({Granularity.SESSION})

    router: Router = "inverse"
    temperature: float = 0.2
    seeds: int = 15
    damping: float = 0.1
    relevance: Literal["node", "memory"] = "node"
    use_session: bool = True
    use_turn: bool = True
    use_summary: bool = True
    use_keywords: bool = True
    pagerank: bool = True
    graph: Literal["auto", "stored", "query"] = "auto"
    candidate_pool: int = 30
    first_edge_session: int = 5
    accept: Accept = "mixture"

    def __post_init__(self) -> None:
        check_choice("router", self.router, _ROUTERS)
        check_number("temperature", self.temperature, 1e-3)
        check_count("seeds", self.seeds)
        check_number("damping", self.damping, 0.0, MAX_DAMPING)
        check_choice("relevance", self.relevance, ("node", "memory"))
        check_choice("graph", self.graph, ("auto", "stored", "query"))
        self._association()
        if not any(self._uses()):
            raise InvalidInput(
                "no kind of node is used", hint="set use_session, use_turn, use_summary or use_keywords to true"
            )

    @classmethod
    def paper(cls) -> MemGAS:
        """The paper's text: router 1/H (Eq. 4), relevance summed per memory (Eq. 5), 15 seeds, temperature 0.2.

        What it leaves open is as in the released code: damping 0.1, pools of 30, no edges from the first five sessions.
        """
        return cls(relevance="memory")

    @classmethod
    def released(cls) -> MemGAS:
        """The released reproduction code: router 1 - H, relevance per node.

        Not reproduced: its Contriever vectors are not brought to unit length.
        """
        return cls(router="one-minus-raw")

    @classmethod
    def quickstart(cls) -> MemGAS:
        """The authors' later quickstart: router 1 - H / ln n, edges from the second session on.

        Not reproduced: it builds its graph for each query on vectors scaled by the router's weights, where nodes of one
        session may be tied to each other.
        """
        return cls(router="one-minus-norm", first_edge_session=1)

    @property
    def uses_vector(self) -> bool:
        """Always."""
        return True

    @property
    def uses_units(self) -> frozenset[Granularity]:
        """The derived units that are ranked by."""
        derived = (Granularity.SUMMARY, Granularity.KEYWORDS)
        return frozenset(kind for kind, used in zip(KINDS, self._uses(), strict=True) if used and kind in derived)

    @property
    def uses_edges(self) -> bool:
        """Whether the stored association graph is looked at."""
        return self.pagerank and self.damping > 0.0 and self.graph != "query"

    def retrieve(self, query: Query, bank: BankView, k: int) -> Retrieval:
        """See :meth:`memagent.retrievers.port.Retriever.retrieve`; other units than sessions raise InvalidInput."""
        check_count("k", k)
        vector = needed_vector(query, self.name)
        if query.granularity is not Granularity.SESSION:
            raise InvalidInput(
                f"retriever 'memgas' ranks sessions, not {query.granularity} units", hint="pass granularity='session'"
            )
        routed = self._routed(vector, bank)
        similarity = routed.scores.sum(axis=0)
        seeds = self._seeds(routed)
        graph, walked = _Graph(_NO_EDGES, "none"), np.zeros_like(similarity)
        if seeds.any():
            graph = self._graph(bank) if self.pagerank and self.damping > 0.0 else graph
            walked = _walked(seeds, graph.edges, routed.sessions, self.damping)
        keys = bank.columns(Granularity.SESSION).keys
        reached = walked > 0
        scores = np.where(reached, walked, _counted_down(similarity, ~reached))
        parts = {"pagerank": walked, "similarity": similarity}
        parts |= {str(kind): row for kind, row, used in zip(KINDS, routed.scores, self._uses(), strict=True) if used}
        trace = self._trace(routed, seeds, graph, reached, keys)
        return answer(bank, keys, scores, k, parts=parts, trace=trace)

    def _uses(self) -> tuple[bool, bool, bool, bool]:
        """Which kinds are used, in the order of KINDS."""
        return (self.use_session, self.use_turn, self.use_summary, self.use_keywords)

    def _association(self) -> Association:
        return Association(
            candidate_pool=self.candidate_pool, first_edge_session=self.first_edge_session, accept=self.accept
        )

    def _routed(self, vector: Vector, bank: BankView) -> _Routed:
        sessions = bank.columns(Granularity.SESSION).sessions
        present = np.zeros((len(KINDS), len(sessions)), dtype=np.bool_)
        scores = np.zeros(present.shape)
        for row, (kind, used) in enumerate(zip(KINDS, self._uses(), strict=True)):
            if used:
                numbers, cosines = _cosines(vector, bank, kind)
                places = positions_among(sessions, numbers)
                shown = places >= 0
                present[row, places[shown]] = True
                scores[row, places[shown]] = cosines[shown]
        rows = np.flatnonzero(present.any(axis=1)).tolist()
        if not rows:
            return _Routed(sessions, present, scores, {})
        entropies = [entropy(scores[row, present[row]], self.temperature) for row in rows]
        weights = router_weights(entropies, [int(present[row].sum()) for row in rows], self.router)
        scores[rows] *= weights[:, None]
        facts = {
            str(KINDS[row]): {"weight": weight, "entropy": nats}
            for row, weight, nats in zip(rows, weights.tolist(), entropies, strict=True)
        }
        return _Routed(sessions, present, scores, facts)

    def _seeds(self, routed: _Routed) -> Scores:
        """What the walk starts with, (4, s): scores of the best nodes or, with relevance ``memory``, sessions."""
        if self.relevance == "node":
            return _best(np.where(routed.present, routed.scores, 0.0), self.seeds)
        each = _best(routed.scores.sum(axis=0), self.seeds) / np.maximum(routed.present.sum(axis=0), 1)
        return np.where(routed.present, each, 0.0)

    def _graph(self, bank: BankView) -> _Graph:
        settings, used = self._association(), np.array(self._uses())
        if self.graph == "stored":
            kept = bank.edges()
            return _Graph(_NO_EDGES if kept is None else _among(kept.pairs, used), "stored")
        stored = bank.edges() if self.graph == "auto" and used.all() else None
        if stored is not None and stored.made_with != settings_text(settings):
            stored = None
        if stored is not None and np.isin(bank.columns(Granularity.SESSION).sessions, stored.linked).all():
            return _Graph(stored.pairs, "stored")
        nodes = nodes_of(bank)
        nodes = nodes.taken(np.flatnonzero(used[nodes.ids % len(KINDS)]))
        if stored is not None:
            new = ~np.isin(nodes.ids // len(KINDS), stored.linked)
            if np.all(new[:-1] <= new[1:]):  # no session that is linked has a later place than one that is not
                known = stored.pairs[np.isin(stored.pairs // len(KINDS), stored.linked).all(axis=1)]
                added = edges_of(links(nodes, np.flatnonzero(new), settings))
                return _Graph(np.concatenate([known, added]), "completed")
        return _Graph(edges_of(links(nodes, np.arange(len(nodes.ids)), settings)), "query")

    def _trace(
        self, routed: _Routed, seeds: Scores, graph: _Graph, reached: NDArray[np.bool_], keys: NDArray[np.int64]
    ) -> dict[str, Any]:
        """Why, as JSON values; ``signals`` are the numbers that sum up well over many queries."""
        seeded = seeds.any(axis=0)
        totals = seeds.sum(axis=0)
        order = np.flatnonzero(seeded)
        order = order[np.argsort(-totals[order], kind="stable")]
        counts = {
            "edges": len(graph.edges),
            "seeds": int(np.count_nonzero(seeds)),
            "reached": int(reached.sum()),
            "by_graph_only": int((reached & ~seeded).sum()),
        }
        signals: dict[str, Any] = {"graph": graph.source, **counts}
        for kind, facts in routed.facts.items():
            signals |= {f"{fact}_{kind}": value for fact, value in facts.items()}
        return {
            "retriever": self.name,
            "granularity": str(Granularity.SESSION),
            "candidates": len(keys),
            "router": {"form": self.router, "kinds": routed.facts},
            "graph": graph.source,
            **counts,
            "seeded": [
                {"key": int(keys[place]), "score": float(totals[place]), "nodes": _kinds(seeds[:, place])}
                for place in order[: self.seeds].tolist()
            ],
            "signals": signals,
        }


def _cosines(vector: Vector, bank: BankView, kind: Granularity) -> tuple[NDArray[np.int64], Scores]:
    """Sessions that have a node of this kind, and its cosine with ``vector``."""
    if kind is Granularity.TURN:
        return bank.groups().sessions, session_cosines(bank, vector, "turn-mean", 1)
    return bank.columns(kind).sessions, bank.similarities(vector, kind).astype(np.float64)


def _best(scores: Scores, count: int) -> Scores:
    """The ``count`` highest scores and all that tie with the last of them, as far as they are positive; else 0."""
    least = np.partition(scores, scores.size - count, axis=None)[scores.size - count] if count < scores.size else 0.0
    return np.where((scores >= least) & (scores > 0.0), scores, 0.0)


def _among(edges: NDArray[np.int64], used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The edges between nodes of the kinds that are used, (4,)."""
    return edges[used[edges % len(KINDS)].all(axis=1)]


def _walked(seeds: Scores, edges: NDArray[np.int64], sessions: NDArray[np.int64], damping: float) -> Scores:
    """The PageRank of each session, (s,): the sum of its nodes' for a walk from ``seeds`` (4, s)."""
    places = positions_among(sessions, edges // len(KINDS))
    rows = (edges % len(KINDS) * len(sessions) + places)[(places >= 0).all(axis=1)]
    walked: Scores = personalised_pagerank(rows, seeds.ravel(), damping).reshape(seeds.shape).sum(axis=0)
    return walked


def _counted_down(similarity: Scores, rest: NDArray[np.bool_]) -> Scores:
    """Scores of at most 0 for the sessions in ``rest`` that keep their order by similarity."""
    return similarity - similarity[rest].max() if rest.any() else similarity


def _kinds(scores: Scores) -> list[str]:
    return [str(kind) for kind, score in zip(KINDS, scores.tolist(), strict=True) if score]
