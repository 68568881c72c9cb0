from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.bank.port import BankView, Edges
from memagent.errors import InvalidInput, UnknownName
from memagent.records import Granularity, Query, Retrieval
from memagent.retrievers import Dense, MemGAS, make
from memagent.retrievers.association import Association, Link, edges_of, links, nodes_of, settings_text
from memagent.retrievers.port import Retriever
from memagent.retrievers.registry import granularities
from memagent.testing.retriever_contract import QUESTIONS, TURNS, RetrieverContract, ViewFactory
from memagent.testing.views import ArrayView, ViewUnit, history, word_vector

LONG = [(place // 2, text) for place, (_, text) in enumerate(TURNS * 2)] + [(11, "Vera paints again"), (12, "a roof")]
"""Thirteen sessions of one or two turns."""

SETTINGS: dict[str, dict[str, Any]] = {
    "memgas": {},
    "memgas-all-sessions": {"first_edge_session": 1, "candidate_pool": 7, "damping": 0.5},
    "memgas-seeds": {"pagerank": False, "seeds": 2},
    "memgas-memory": {"relevance": "memory", "seeds": 3, "router": "uniform", "first_edge_session": 0},
    "memgas-raw": {"router": "one-minus-raw", "use_keywords": False},
    "memgas-norm": {"router": "one-minus-norm", "use_turn": False, "use_session": False, "accept": "all"},
}


class TestMemGASKeepsTheContract(RetrieverContract):
    @pytest.fixture(params=SETTINGS.values(), ids=list(SETTINGS))
    def retriever(self, request: pytest.FixtureRequest) -> Retriever:
        return make("memgas", **request.param)

    @pytest.fixture
    def granularity(self) -> Granularity:
        return Granularity.SESSION

    def test_equal_scores_come_in_the_order_in_which_units_were_stored(
        self, retriever: Retriever, view: ViewFactory, granularity: Granularity
    ) -> None:
        # Sessions that are alike have different neighbours in the graph, hence different scores.
        alike = view(history([(session, "the same words") for session in range(9)]), ())
        for text in ("the same words", "other", ""):
            found = ranked(retriever, alike, text)
            assert found == sorted(found, key=lambda hit: (-hit[1], hit[0]))

    def test_sessions_that_are_alike_come_in_the_order_stored_without_a_graph(self, view: ViewFactory) -> None:
        alike = view(history([(session, "the same words") for session in range(9)]), ())
        keys = alike.columns(Granularity.SESSION).keys.tolist()
        for text in ("the same words", "other", ""):
            assert [key for key, _ in ranked(MemGAS(damping=0.0), alike, text, 5)] == keys[:5]


def search(retriever: Retriever, bank: BankView, text: str, k: int = 50) -> Retrieval:
    query = Query(text=text, vector=word_vector(text), granularity=Granularity.SESSION)
    return retriever.retrieve(query, bank, k)


def ranked(retriever: Retriever, bank: BankView, text: str, k: int = 50) -> list[tuple[int, float]]:
    return [(hit.key, hit.score) for hit in search(retriever, bank, text, k).hits]


def made(number: int, /, **vectors: list[float]) -> list[ViewUnit]:
    """Units of one session: a vector for each granularity; the key of the session's own unit is 10 * number."""
    return [
        ViewUnit(
            key=10 * number + place,
            session=number,
            text="",
            vector=np.array(vector, dtype=np.float32),
            granularity=Granularity.of(granularity),
            event_at=number,
        )
        for place, (granularity, vector) in enumerate(vectors.items())
    ]


EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
SLANTED = [0.6, 0.8]
ASKED = Query(text="", vector=np.array(EAST, dtype=np.float32), granularity=Granularity.SESSION)


def stored(*pairs: tuple[int, int], sessions: int) -> Edges:
    return Edges(np.array(pairs, dtype=np.int64).reshape(-1, 2), np.arange(sessions), settings_text(Association()))


def test_a_walk_by_hand() -> None:
    # Cosines with east: session 0 has own vector 1, summary .6; session 1 has 0 and 0; session 2 has -1 and 0.
    units = [
        *made(0, session=EAST, summary=SLANTED),
        *made(1, session=NORTH, summary=NORTH),
        *made(2, session=WEST, summary=NORTH),
    ]
    # Node ids are 4 * session + kind; the summary of session 0 (2) is tied to the own vector of session 1 (4).
    bank = ArrayView(units, edges=stored((2, 4), sessions=3))
    found = MemGAS(router="uniform", damping=0.1).retrieve(ASKED, bank, 5)
    # Weights 1/2 each: scores .5 (own 0) and .3 (summary 0), all others 0 or below. Shares .625 and .375.
    # own 0 is lonely: a = .1 (a r_a) + .9 r_a with r_a = .625, so its mass returns to both seeds.
    # a = .625 (.9 + .1 a), b = .375 (.9 + .1 a) + .1 c, c = .1 b.
    a = 0.625 * 0.9 / (1 - 0.0625)
    b = 0.375 * (0.9 + 0.1 * a) / (1 - 0.01)
    assert [hit.key for hit in found.hits] == [0, 10, 20]
    assert [hit.score for hit in found.hits] == pytest.approx([a + b, 0.1 * b, 0.0])
    # a = .6, b = .3636..., c = .0363...: session 1 is there through the graph alone, session 2 not at all.
    assert (round(a, 4), round(b, 4)) == (0.6, 0.3636)
    assert found.hits[0].parts == pytest.approx(
        {"pagerank": a + b, "similarity": 0.8, "session": 0.5, "turn": 0.0, "summary": 0.3, "keywords": 0.0}
    )
    assert found.trace["graph"] == "stored"
    assert (found.trace["edges"], found.trace["seeds"]) == (1, 2)
    assert (found.trace["reached"], found.trace["by_graph_only"]) == (2, 1)
    assert found.trace["seeded"] == [{"key": 0, "score": pytest.approx(0.8), "nodes": ["session", "summary"]}]
    assert found.trace["router"]["kinds"]["session"]["weight"] == 0.5


def test_sessions_that_are_not_reached_follow_by_similarity_counted_down_from_zero() -> None:
    units = [
        *made(0, session=[-0.6, 0.8]),
        *made(1, session=EAST),
        *made(2, session=WEST),
        *made(3, session=NORTH),
    ]
    found = MemGAS().retrieve(ASKED, ArrayView(units), 5)
    assert [(hit.key, hit.score) for hit in found.hits] == [
        (10, 1.0),
        (30, 0.0),
        (0, pytest.approx(-0.6)),
        (20, pytest.approx(-1.0)),
    ]


def test_when_no_score_is_positive_sessions_come_by_similarity() -> None:
    units = [*made(0, session=WEST, summary=WEST), *made(1, session=[-0.6, 0.8], summary=NORTH)]
    for relevance in ("node", "memory"):
        found = make("memgas", relevance=relevance).retrieve(ASKED, ArrayView(units), 5)
        assert [hit.key for hit in found.hits] == [10, 0]
        assert found.hits[0].score == 0.0 > found.hits[1].score
        assert (found.trace["graph"], found.trace["seeds"]) == ("none", 0)


def test_all_nodes_that_tie_with_the_last_seed_are_seeds() -> None:
    units = [unit for number in range(4) for unit in made(number, session=SLANTED, summary=EAST)]
    found = MemGAS(seeds=2, router="uniform").retrieve(ASKED, ArrayView(units), 5)
    assert found.trace["seeds"] == 4  # the four summaries


def test_fewer_nodes_than_seeds_are_all_seeds() -> None:
    units = [*made(0, session=EAST, summary=SLANTED), *made(1, session=SLANTED)]
    assert MemGAS(seeds=15).retrieve(ASKED, ArrayView(units), 5).trace["seeds"] == 3


def test_with_damping_zero_the_scores_are_the_sums_of_the_seeds() -> None:
    bank = ArrayView(history(LONG))
    for text in QUESTIONS[:2]:
        found = search(MemGAS(damping=0.0, router="uniform"), bank, text)
        scores: dict[int, float] = {}
        nodes = nodes_of(bank)
        cosines = (nodes.vectors.astype(np.float64) @ word_vector(text)) / 4
        least = np.sort(cosines)[-15]
        for node, score in zip(nodes.ids.tolist(), cosines.tolist(), strict=True):
            if score >= least and score > 0:
                scores[node // 4] = scores.get(node // 4, 0.0) + score
        total = sum(scores.values())
        numbers = {key: place for place, key in enumerate(bank.columns(Granularity.SESSION).keys.tolist())}
        best = {numbers[hit.key]: hit.score for hit in found.hits if hit.score > 0}
        assert best == pytest.approx({session: score / total for session, score in scores.items()}, abs=1e-6)
        assert found.trace["graph"] == "none"


def test_the_scores_of_the_sessions_reached_sum_to_one() -> None:
    for text in QUESTIONS[:2]:
        hits = search(MemGAS(), ArrayView(history(LONG)), text).hits
        assert sum(hit.parts["pagerank"] for hit in hits) == pytest.approx(1.0)


def test_relevance_per_memory_sums_before_seeds_are_chosen() -> None:
    # Per node the two seeds are .5 (summary 1) and .45 (own 1): session 1 alone. Per memory the sums are
    # session 0: .4 + .4 = .8, session 1: .45 + .5 = .95, session 2: .3.
    units = [
        *made(0, session=[0.8, 0.6], summary=[0.8, 0.6]),
        *made(1, session=[0.9, 0.19**0.5], summary=EAST),
        *made(2, session=SLANTED, summary=NORTH),
    ]
    node = MemGAS(seeds=2, router="uniform").retrieve(ASKED, ArrayView(units), 5)
    assert [hit.score for hit in node.hits] == [1.0, 0.0, pytest.approx(0.3 - 0.8)]
    memory = MemGAS(seeds=2, router="uniform", relevance="memory").retrieve(ASKED, ArrayView(units), 5)
    assert [hit.key for hit in memory.hits] == [10, 0, 20]
    assert [hit.score for hit in memory.hits] == pytest.approx([0.95 / 1.75, 0.8 / 1.75, 0.0])


def test_one_session_and_none() -> None:
    for form in ("inverse", "one-minus-raw", "one-minus-norm", "uniform"):
        only = make("memgas", router=form).retrieve(ASKED, ArrayView(made(0, session=EAST)), 5)
        assert [(hit.key, hit.score) for hit in only.hits] == [(0, 1.0)]
        assert make("memgas", router=form).retrieve(ASKED, ArrayView([]), 5).hits == ()


def test_a_session_without_the_kinds_used_comes_last() -> None:
    units = [*made(0, session=EAST), *made(1, session=WEST, summary=SLANTED)]
    found = MemGAS(use_session=False, use_turn=False).retrieve(ASKED, ArrayView(units), 5)
    assert [hit.key for hit in found.hits] == [10, 0]
    assert set(found.hits[0].parts) == {"pagerank", "similarity", "summary", "keywords"}


def test_with_one_kind_and_no_graph_it_ranks_as_that_kind_alone() -> None:
    bank = ArrayView(history(LONG))
    for kind, by in (("session", "session"), ("turn", "turn-mean"), ("summary", "summary"), ("keywords", "keywords")):
        uses = {f"use_{each}": each == kind for each in ("session", "turn", "summary", "keywords")}
        alone = make("memgas", pagerank=False, **uses)
        for text in QUESTIONS[:2]:
            expected = [key for key, _ in ranked(make("dense", by=by), bank, text)]
            assert [key for key, _ in ranked(alone, bank, text)] == expected


def graph_of(bank: BankView, *, without: tuple[int, ...] = ()) -> Edges:
    """What the store keeps of a history in which the sessions ``without`` are not closed yet."""
    nodes = nodes_of(bank)
    kept = np.flatnonzero(~np.isin(nodes.ids // 4, without))
    known = nodes.taken(kept)
    found: list[Link] = links(known, np.arange(len(kept)), Association())
    return Edges(edges_of(found), np.unique(known.ids // 4), settings_text(Association()))


def test_the_stored_graph_gives_the_scores_of_the_graph_built_for_the_query() -> None:
    units = history(LONG)
    bank = ArrayView(units, edges=graph_of(ArrayView(units)))
    for text in QUESTIONS:
        built = search(MemGAS(graph="query"), bank, text)
        for graph in ("auto", "stored"):
            found = search(make("memgas", graph=graph), bank, text)
            assert found.hits == built.hits
            assert {found.trace["graph"], built.trace["graph"]} in ({"stored", "query"}, {"none"})


def test_sessions_that_are_not_linked_yet_are_for_the_query() -> None:
    units = history(LONG)
    bank = ArrayView(units, edges=graph_of(ArrayView(units), without=(11, 12)))
    for text in QUESTIONS[:2]:
        found = search(MemGAS(), bank, text)
        assert found.trace["graph"] == "completed"
        assert found.hits == search(MemGAS(graph="query"), bank, text).hits
        assert search(MemGAS(graph="stored"), bank, text).trace["edges"] < found.trace["edges"]


def test_edges_of_a_session_that_waits_to_be_linked_again_are_not_believed() -> None:
    units = history(LONG)
    whole = graph_of(ArrayView(units))
    waiting = whole._replace(pairs=np.concatenate([whole.pairs, [[3, 50]]]), linked=np.arange(12))
    found = search(MemGAS(), ArrayView(units, edges=waiting), QUESTIONS[0])
    assert found.hits == search(MemGAS(), ArrayView(units, edges=whole), QUESTIONS[0]).hits
    assert found.trace["graph"] == "completed"


def test_a_session_not_linked_before_others_that_are_makes_the_graph_anew() -> None:
    units = history(LONG)
    bank = ArrayView(units, edges=graph_of(ArrayView(units), without=(6,)))
    found = search(MemGAS(), bank, QUESTIONS[0])
    assert found.trace["graph"] == "query"
    assert found.hits == search(MemGAS(graph="query"), bank, QUESTIONS[0]).hits


@pytest.mark.parametrize("params", [{"use_keywords": False}, {"candidate_pool": 8}, {"accept": "all"}])
def test_what_the_stored_graph_was_not_made_for_makes_it_anew(params: dict[str, Any]) -> None:
    units = history(LONG)
    bank = ArrayView(units, edges=graph_of(ArrayView(units)))
    assert search(make("memgas", **params), bank, QUESTIONS[0]).trace["graph"] == "query"
    asked_for = search(make("memgas", graph="stored", **params), bank, QUESTIONS[0])
    assert asked_for.trace["graph"] == "stored"


def test_a_kind_left_out_takes_its_stored_edges_with_it() -> None:
    units = [*made(0, session=EAST, summary=SLANTED), *made(1, session=NORTH, summary=NORTH)]
    bank = ArrayView(units, edges=stored((0, 6), (2, 6), (0, 4), sessions=2))
    assert make("memgas", graph="stored", use_summary=False).retrieve(ASKED, bank, 5).trace["edges"] == 1


def test_without_a_stored_graph_stored_means_no_edges() -> None:
    found = search(MemGAS(graph="stored"), ArrayView(history(LONG)), QUESTIONS[0])
    assert (found.trace["graph"], found.trace["edges"]) == ("stored", 0)


def test_a_history_of_five_sessions_is_ranked_by_its_seeds() -> None:
    bank = ArrayView(history([(session, text) for session, (_, text) in enumerate(TURNS[:5])]))
    for text in QUESTIONS:
        assert ranked(MemGAS(), bank, text) == ranked(MemGAS(pagerank=False), bank, text)


@pytest.mark.parametrize("granularity", ["turn", "summary", "keywords"])
def test_only_sessions_can_be_ranked(granularity: str) -> None:
    assert granularities("memgas") == {Granularity.SESSION}
    assert granularities("dense") == set(Granularity)
    query = Query(text="", vector=ASKED.vector, granularity=Granularity.of(granularity))
    with pytest.raises(InvalidInput, match="pass granularity='session'"):
        MemGAS().retrieve(query, ArrayView([]), 5)


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"router": "entropy"}, UnknownName),
        ({"temperature": 0.0}, InvalidInput),
        ({"temperature": float("nan")}, InvalidInput),
        ({"seeds": 0}, InvalidInput),
        ({"damping": 1.0}, InvalidInput),
        ({"damping": -0.1}, InvalidInput),
        ({"relevance": "turn"}, UnknownName),
        ({"graph": "new"}, UnknownName),
        ({"candidate_pool": 0}, InvalidInput),
        ({"first_edge_session": -1}, InvalidInput),
        ({"accept": "none"}, UnknownName),
        ({"use_session": False, "use_turn": False, "use_summary": False, "use_keywords": False}, InvalidInput),
    ],
)
def test_parameters_that_cannot_be_used_are_refused(params: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        MemGAS(**params)


def test_presets_differ_as_their_sources_do() -> None:
    assert MemGAS.paper() == MemGAS(relevance="memory")
    assert MemGAS.released() == MemGAS(router="one-minus-raw")
    assert MemGAS.quickstart() == MemGAS(router="one-minus-norm", first_edge_session=1)


def test_it_says_what_it_needs() -> None:
    assert MemGAS().uses_units == {Granularity.SUMMARY, Granularity.KEYWORDS}
    assert MemGAS(use_keywords=False).uses_units == {Granularity.SUMMARY}
    assert MemGAS().uses_edges
    assert not MemGAS(graph="query").uses_edges
    assert not MemGAS(pagerank=False).uses_edges
    assert not MemGAS(damping=0.0).uses_edges
    assert Dense().uses_units == frozenset()
    assert Dense(by="combination").uses_units == {Granularity.COMBINATION}


words = st.lists(st.sampled_from(["roof", "Vera", "lake", "tea", "cat"]), min_size=1, max_size=3).map(" ".join)


@given(st.lists(st.tuples(st.integers(0, 8), words), max_size=20), words, st.sampled_from(sorted(SETTINGS)))
def test_any_history_has_every_session_once_in_falling_order(
    turns: list[tuple[int, str]], text: str, name: str
) -> None:
    bank = ArrayView(history(turns))
    found = ranked(make("memgas", **SETTINGS[name]), bank, text)
    assert sorted(key for key, _ in found) == bank.columns(Granularity.SESSION).keys.tolist()
    assert found == sorted(found, key=lambda hit: (-hit[1], hit[0]))
    assert np.isfinite([score for _, score in found]).all()


def test_a_graph_that_is_stored_with_other_settings_is_not_the_one_asked_for() -> None:
    units = history(LONG)
    whole = graph_of(ArrayView(units))
    other = whole._replace(made_with=settings_text(Association(candidate_pool=7)))
    found = search(MemGAS(), ArrayView(units, edges=other), QUESTIONS[0])
    assert found.trace["graph"] == "query"
    assert found.hits == search(MemGAS(), ArrayView(units, edges=whole), QUESTIONS[0]).hits
    assert search(MemGAS(candidate_pool=7), ArrayView(units, edges=other), QUESTIONS[0]).trace["graph"] == "stored"
