from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.errors import InvalidInput, UnknownName
from memagent.records import Granularity
from memagent.retrievers.association import KINDS, Association, Link, Nodes, affected, edges_of, links, nodes_of
from memagent.testing.retriever_contract import TURNS
from memagent.testing.views import ArrayView, ViewUnit, history, word_vector

PAPER = Association()
EARLY = Association(candidate_pool=4, first_edge_session=2)

Session = tuple[int, list[int]]
"""A session's number and, for each kind of node it has, which of a few directions its vector has."""


def at(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees))]


def nodes(vectors: Sequence[Sequence[float]], positions: Sequence[int], ids: Sequence[int] | None = None) -> Nodes:
    return Nodes(
        ids=np.arange(len(vectors), dtype=np.int64) if ids is None else np.array(ids, dtype=np.int64),
        positions=np.array(positions, dtype=np.int64),
        vectors=np.array(vectors, dtype=np.float32),
    )


def random_nodes(sessions: int, dim: int = 24, seed: int = 0) -> Nodes:
    """Four nodes a session, around a few topics."""
    random = np.random.default_rng(seed)
    topics = random.standard_normal((5, dim))[random.integers(5, size=sessions)]
    vectors = (topics[:, None] + random.standard_normal((sessions, 4, dim))).reshape(-1, dim)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return nodes(vectors.tolist(), np.repeat(np.arange(sessions), 4).tolist())


def plain(found: Sequence[Link]) -> list[tuple[int, float, list[int]]]:
    return [(link.node, link.floor, link.targets.tolist()) for link in found]


def all_links(known: Nodes, settings: Association = PAPER) -> list[Link]:
    return links(known, np.arange(len(known.ids)), settings)


def test_a_node_is_tied_to_the_upper_part_of_its_closest_earlier_nodes() -> None:
    # Cosines of node 5 (at 0 degrees) with nodes 0 to 4: .985 .966 .5 .423 .342, the pool of 4 without the last. The
    # mixture starts at place floor(4 * .5488) = 2 (.5). Squared distances to it: .235 .217 0 .006, running sums .235
    # .452 .452 .458; the draws .715 and .603 of .458 both choose place 1 (.966). {.985 .966} and {.5 .423} stay.
    known = nodes([at(10), at(15), at(60), at(65), at(70), at(0)], [0, 1, 2, 3, 4, 5])
    (link,) = links(known, np.array([5]), Association(candidate_pool=4))
    assert link.node == 5
    assert link.targets.tolist() == [0, 1]
    assert link.floor == pytest.approx(math.cos(math.radians(65)), abs=1e-6)


def test_the_first_five_sessions_initiate_nothing_and_the_sixth_does() -> None:
    found = all_links(random_nodes(6))
    assert all(not len(link.targets) and link.floor == -math.inf for link in found[:20])
    assert all(len(link.targets) for link in found[20:])


def test_a_history_of_five_sessions_has_no_edges() -> None:
    assert edges_of(all_links(random_nodes(5))).shape == (0, 2)


def test_no_node_is_tied_to_its_own_session_or_to_a_later_one() -> None:
    # All at one point: nothing is closer than a session's own nodes.
    known = nodes([at(0)] * 40, [place // 4 for place in range(40)])
    for link in all_links(known):
        assert (link.targets // 4 < link.node // 4).all()
    assert len(edges_of(all_links(known)))


def test_edges_are_undirected_unique_and_sorted() -> None:
    found = [
        Link(9, 0.0, np.array([2, 5])),
        Link(3, 0.0, np.array([7])),  # a session stored later that was said earlier
        Link(7, 0.0, np.array([3])),
        Link(1, 0.0, np.array([], dtype=np.int64)),
    ]
    assert edges_of(found).tolist() == [[2, 9], [3, 7], [5, 9]]
    assert edges_of([]).shape == (0, 2)


def test_while_a_pool_has_room_its_floor_is_minus_infinity() -> None:
    found = all_links(random_nodes(9))
    # Node 28 is of the eighth session, which has 28 nodes before it; node 32 of the ninth has 32.
    assert [link.floor for link in found[20:32]] == [-math.inf] * 12
    assert all(link.floor > -1 for link in found[32:])


def test_candidates_that_share_the_last_place_are_taken_in_the_order_of_their_ids() -> None:
    # Ids fall while positions rise; nodes of ids 3, 2, 1 share the second place of a pool of 2.
    known = nodes([at(40), at(40), at(40), at(20), at(0)], [0, 1, 2, 3, 4], ids=[3, 2, 1, 0, 9])
    settings = Association(candidate_pool=2, first_edge_session=1, accept="all")
    (link,) = links(known, np.array([4]), settings)
    assert link.targets.tolist() == [0, 1]


def test_without_the_mixture_the_whole_pool_is_tied() -> None:
    known = random_nodes(12)
    assert {len(link.targets) for link in all_links(known, Association(accept="all"))[32:]} == {30}
    assert max(len(link.targets) for link in all_links(known)) < 30


def test_links_are_the_same_to_the_last_bit_one_by_one_and_in_a_batch() -> None:
    known = random_nodes(30, dim=64)
    together = plain(all_links(known))
    assert together == [plain(links(known, np.array([row]), PAPER))[0] for row in range(len(known.ids))]
    # And so with only what is earlier in memory, as when the session was stored.
    for session in range(30):
        then = known.taken(np.arange(4 * session + 4))
        rows = np.arange(4 * session, 4 * session + 4)
        assert plain(links(then, rows, PAPER)) == together[4 * session : 4 * session + 4]


DIRECTIONS = np.array([word_vector(text, 8) for text in ("a", "b", "c", "a b", "a c", "a b c", "b c d")])
histories = st.lists(st.lists(st.integers(0, 6), min_size=1, max_size=4), min_size=1, max_size=9)


def drawn_nodes(sessions: Sequence[Session]) -> Nodes:
    """Nodes of sessions in their order; duplicates of vectors are the rule."""
    return Nodes(
        ids=np.array([number * 4 + kind for number, ways in sessions for kind in range(len(ways))], dtype=np.int64),
        positions=np.array([place for place, (_, ways) in enumerate(sessions) for _ in ways], dtype=np.int64),
        vectors=DIRECTIONS[[way for _, ways in sessions for way in ways]],
    )


@given(histories)
def test_any_history_is_linked_the_same_one_by_one_and_in_a_batch(drawn: list[list[int]]) -> None:
    known = drawn_nodes(list(enumerate(drawn)))
    together = plain(all_links(known, EARLY))
    assert together == [plain(links(known, np.array([row]), EARLY))[0] for row in range(len(known.ids))]
    assert all(target // 4 != node // 4 for node, _, targets in together for target in targets)
    first = {number for number, _ in enumerate(drawn[:2])}
    assert all(not targets for node, _, targets in together if node // 4 in first)


@given(histories, st.data())
def test_refitting_what_is_affected_by_an_insertion_gives_the_links_of_the_whole(
    drawn: list[list[int]], data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(drawn)))
    sessions: list[Session] = [(number, ways) for number, ways in enumerate(drawn)]
    before = {link.node: link for link in all_links(drawn_nodes(sessions), EARLY)}
    sessions.insert(place, (len(drawn), data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))))
    known = drawn_nodes(sessions)
    new = np.flatnonzero(known.ids // 4 == len(drawn))
    floors = np.array([before[node].floor if node in before else -math.inf for node in known.ids.tolist()])
    rows = np.union1d(new, affected(known, new, floors, EARLY))
    refitted = before | {link.node: link for link in links(known, rows, EARLY)}
    assert plain([refitted[node] for node in known.ids.tolist()]) == plain(all_links(known, EARLY))


@given(histories, st.data())
def test_refitting_what_is_affected_by_a_removal_gives_the_links_of_the_rest(
    drawn: list[list[int]], data: st.DataObject
) -> None:
    sessions: list[Session] = [(number, ways) for number, ways in enumerate(drawn)]
    known = drawn_nodes(sessions)
    before = all_links(known, EARLY)
    gone = data.draw(st.sets(st.integers(0, len(drawn) - 1)))
    leaving = np.flatnonzero(np.isin(known.ids // 4, list(gone)))
    touched = known.ids[affected(known, leaving, np.array([link.floor for link in before]), EARLY)]
    rest = known.taken(np.flatnonzero(~np.isin(known.ids // 4, list(gone))))
    places = np.unique(rest.positions, return_inverse=True)[1]
    rest = Nodes(ids=rest.ids, positions=places, vectors=rest.vectors)
    kept = {link.node: link for link in before}
    kept |= {link.node: link for link in links(rest, np.flatnonzero(np.isin(rest.ids, touched)), EARLY)}
    assert plain([kept[node] for node in rest.ids.tolist()]) == plain(all_links(rest, EARLY))


def test_only_later_nodes_that_would_look_at_it_are_affected_by_a_node() -> None:
    known = random_nodes(60)
    floors = np.array([link.floor for link in all_links(known)])
    changed = np.arange(80, 84)
    found = affected(known, changed, floors, PAPER)
    similarities = known.vectors.astype(np.float64) @ known.vectors[changed].T
    for row in found.tolist():
        assert row > 83
        assert similarities[row].max() > floors[row] - 1e-6
    assert 0 < len(found) < 60


def test_nodes_are_four_a_session_in_the_order_of_time() -> None:
    bank = ArrayView(history(TURNS))
    known = nodes_of(bank)
    assert known.ids.tolist() == list(range(24))
    assert known.positions.tolist() == [place // 4 for place in range(24)]
    for kind, granularity in enumerate(KINDS):
        if granularity is not Granularity.TURN:
            own = bank.vectors(bank.columns(granularity).keys)
            assert known.vectors[kind::4].tolist() == own.tolist()
    turns = np.array([word_vector(text) for session, text in TURNS if session == 2], dtype=np.float64)
    mean = turns.mean(axis=0)
    assert known.vectors[9].tolist() == pytest.approx((mean / np.linalg.norm(mean)).tolist(), abs=1e-6)


def unit(key: int, session: int, granularity: str, vector: Sequence[float], event_at: int = 0) -> ViewUnit:
    return ViewUnit(
        key=key,
        session=session,
        text="",
        vector=np.array(vector, dtype=np.float32),
        granularity=Granularity.of(granularity),
        event_at=event_at,
    )


def test_sessions_are_ordered_by_when_they_were_said_then_by_number() -> None:
    bank = ArrayView(
        [
            unit(1, 0, "session", at(0), event_at=9),
            unit(2, 1, "session", at(0), event_at=5),
            unit(3, 2, "session", at(0), event_at=5),
        ]
    )
    known = nodes_of(bank)
    assert known.ids.tolist() == [4, 8, 0]
    assert known.positions.tolist() == [0, 1, 2]


def test_a_session_has_the_nodes_whose_units_are_visible() -> None:
    bank = ArrayView(
        [
            unit(1, 0, "turn", at(0)),
            unit(2, 0, "turn", at(180)),  # cancels the other: no mean
            unit(3, 0, "session", at(0)),
            unit(4, 0, "keywords", at(30)),
            unit(5, 1, "turn", at(0)),
            unit(6, 1, "summary", at(0)),
            unit(7, 2, "turn", at(20)),
            unit(8, 2, "turn", at(40)),
            unit(9, 2, "session", at(90)),
        ],
        hidden={8},
    )
    known = nodes_of(bank)
    # Session 1 has no visible unit of its own; the second turn of session 2 is hidden.
    assert known.ids.tolist() == [0, 3, 8, 9]
    assert known.vectors[3].tolist() == pytest.approx(at(20))


def test_an_empty_memory_has_no_nodes() -> None:
    known = nodes_of(ArrayView([]))
    assert len(known.ids) == 0
    assert all_links(known) == []


@pytest.mark.parametrize("settings", [{"candidate_pool": 0}, {"first_edge_session": -1}, {"candidate_pool": True}])
def test_counts_that_are_none_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        Association(**settings)  # type: ignore[arg-type]  # the wrong values are the point


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UnknownName, match="mixture"):
        Association(accept="some")  # type: ignore[arg-type]  # as above
