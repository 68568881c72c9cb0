"""The association graph that a memory keeps: exact after any sequence of calls."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent import AsyncMemory, Memory
from memagent.bank.bank import MemoryBank
from memagent.bank.port import Edges
from memagent.errors import InvalidInput, NotFound
from memagent.retrievers.association import KINDS, Association, Nodes, edges_of, links, nodes_of, settings_text
from memagent.stores.links import NODE_KINDS
from memagent.stores.port import MemoryStore
from memagent.stores.sqlite import MemoryOnlyStore
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder(32)
START = datetime(2025, 1, 1, tzinfo=UTC)
SMALL = Association(candidate_pool=6, first_edge_session=2)
WORDS = ("bees", "honey", "Lisbon", "harbour", "walnut", "beagle", "Rex", "violin", "garden", "tax", "winter", "rain")


def opened(store: MemoryStore, **options: Any) -> Memory:
    values: dict[str, Any] = {"encoder": ENCODER, "background": False, "association": SMALL, **options}
    return Memory("unused", store=store, **values)


def at(day: int) -> datetime:
    return START + timedelta(days=day)


def text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(2, 5))).capitalize() + "."


def session(name: str, day: int, rng: random.Random, turns: int = 2) -> dict[str, Any]:
    return {"session_id": name, "timestamp": at(day), "messages": [text(rng) for _ in range(turns)]}


def all_nodes(store: MemoryStore, sessions: list[int] | None = None) -> Nodes:
    """All nodes of these sessions (None: of those that are derived), from a bank that was just opened."""
    with MemoryBank(store.open("ann"), lambda: (ENCODER.fingerprint, ENCODER.dim)).view() as view:
        nodes = nodes_of(view)
    if sessions is None:
        with store.open("ann").read() as reader:
            sessions = [state.number for state in reader.sessions(derived=True)]
    rows = np.isin(nodes.ids // len(KINDS), sessions)
    _, positions = np.unique(nodes.positions[rows], return_inverse=True)
    return Nodes(ids=nodes.ids[rows], positions=positions, vectors=nodes.vectors[rows])


def from_scratch(nodes: Nodes, association: Association = SMALL) -> dict[int, tuple[float, list[int]]]:
    """What links() gives for all nodes at once."""
    found = links(nodes, np.arange(len(nodes.ids)), association)
    return {link.node: (link.floor, link.targets.tolist()) for link in found}


def stored_links(store: MemoryStore) -> dict[int, tuple[float, list[int]]]:
    with store.open("ann").read() as reader:
        found = reader.links()
    ends = np.cumsum(found.counts).tolist()
    return {
        node: (floor, found.targets[end - count : end].tolist())
        for node, floor, count, end in zip(
            found.nodes.tolist(), found.floors.tolist(), found.counts.tolist(), ends, strict=True
        )
    }


def check_true(store: MemoryStore, *, complete: bool) -> None:
    """What is stored and not marked is what links() gives for the sessions in the graph, and names no other.

    With ``complete`` all derived sessions are in it, and nothing is marked.
    """
    if "ann" not in store.users():
        return
    found = stored_links(store)
    marked = {node for node, (floor, _) in found.items() if np.isnan(floor)}
    nodes = all_nodes(store, sorted({node // len(NODE_KINDS) for node in found}))
    expected = from_scratch(nodes)
    assert found.keys() == expected.keys()
    assert {target for _, targets in found.values() for target in targets} <= found.keys()
    assert {n: link for n, link in found.items() if n not in marked} == {
        n: link for n, link in expected.items() if n not in marked
    }
    if complete:
        assert not marked
        assert found.keys() == from_scratch(all_nodes(store)).keys()
    assert store.open("ann").check() == []


def test_a_kind_of_node_has_the_same_place_everywhere() -> None:
    assert NODE_KINDS == KINDS


# any sequence of calls

names = st.sampled_from([f"s{number}" for number in range(9)])
days = st.integers(0, 20)
calls = st.one_of(
    st.tuples(st.just("add_many"), st.lists(st.tuples(names, days), min_size=1, max_size=4)),
    st.tuples(st.just("add_many"), st.lists(st.tuples(names, days), min_size=3, max_size=6)),
    st.tuples(st.just("add"), names, days),
    st.tuples(st.just("close"), names),
    st.tuples(st.just("flush")),
    st.tuples(st.just("delete"), st.sampled_from(["turn", "session", "summary", "keywords"]), st.integers(0, 50)),
    st.tuples(st.just("delete_all"), names),
    st.tuples(st.just("update"), st.sampled_from(["turn", "summary", "keywords"]), st.integers(0, 50)),
    st.tuples(st.just("label"), st.integers(0, 50)),
    st.tuples(st.just("describe"), names),
    st.tuples(st.just("describe"), names),
    st.tuples(st.just("search")),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("reindex")),
    st.tuples(st.just("no graph"), names, days),
)


def add_many(memory: Memory, rng: random.Random, pieces: list[tuple[str, int]]) -> None:
    memory.add_many([session(name, day, rng) for name, day in pieces], user_id="ann")


def describe(memory: Memory, rng: random.Random, name: str) -> None:
    memory.describe_session(name, user_id="ann", summary=text(rng), keywords=rng.choice([None, text(rng)]))


ACTIONS: dict[str, Callable[..., Any]] = {
    "add_many": add_many,
    "add": lambda memory, rng, name, day: memory.add(text(rng), user_id="ann", session_id=name, timestamp=at(day)),
    "close": lambda memory, _, name: memory.close_session(name, user_id="ann"),
    "flush": lambda memory, _: memory.flush(user_id="ann"),
    "delete": lambda memory, _, granularity, number: memory.delete(pick(memory, granularity, number)),
    "delete_all": lambda memory, _, name: memory.delete_all(user_id="ann", session_id=name),
    "update": lambda memory, rng, granularity, number: memory.update(pick(memory, granularity, number), text(rng)),
    "label": lambda memory, _, number: memory.update(pick(memory, "turn", number), metadata={"n": number}),
    "describe": describe,
    "search": lambda memory, _: memory.search("bees", user_id="ann"),
    "reindex": lambda memory, _: memory.reindex(user_id="ann"),
}
MAY_FAIL = ("close", "delete", "update", "label", "describe")  # what they name need not be there


def pick(memory: Memory, granularity: str, number: int) -> str:
    units = memory.get_all(user_id="ann", granularity=granularity, top_k=None)["results"]
    return units[number % len(units)]["id"] if units else f"{'0' * 64}-0"


@settings(max_examples=60)
@given(
    st.lists(calls, min_size=3, max_size=12),
    st.integers(0, 10**6),
    st.sampled_from(["mean", "text"]),
    st.sampled_from([(), ("summary",), ("summary", "keywords", "combination")]),
)
def test_the_stored_graph_is_that_of_all_sessions_after_any_calls(
    sequence: list[tuple[Any, ...]], seed: int, vectors: str, kept: tuple[str, ...]
) -> None:
    rng = random.Random(seed)
    store = MemoryOnlyStore()
    options: dict[str, Any] = {"session_vectors": vectors, "granularities": kept}
    memory = opened(store, **options)
    memory.add_many([session(f"s{number}", number * 2, rng) for number in range(4)], user_id="ann")
    for call in sequence:
        if call[0] == "reopen":
            memory = opened(store, **options)
        elif call[0] == "no graph":
            other = opened(store, association=None, **options)
            other.add_many([session(call[1], call[2], rng)], user_id="ann")
            other.flush(user_id="ann")
        else:
            with suppress(*((InvalidInput, NotFound) if call[0] in MAY_FAIL else ())):
                ACTIONS[call[0]](memory, rng, *call[1:])
        check_true(store, complete=False)
    memory.flush(user_id="ann")
    check_true(store, complete=True)
    assert memory.verify(user_id="ann")["ok"]


# single calls


@pytest.fixture
def store() -> MemoryOnlyStore:
    return MemoryOnlyStore()


@pytest.fixture
def memory(store: MemoryOnlyStore) -> Iterator[Memory]:
    with opened(store) as memory:
        yield memory


def filled(memory: Memory, count: int = 12, *, seed: int = 1) -> None:
    rng = random.Random(seed)
    memory.add_many([session(f"s{number}", number, rng) for number in range(count)], user_id="ann")
    memory.flush(user_id="ann")


def marked(store: MemoryStore) -> set[int]:
    return {node for node, (floor, _) in stored_links(store).items() if np.isnan(floor)}


def shown(memory: Memory, **options: Any) -> Edges | None:
    """What a view of the open bank says of the graph."""
    with memory._core.banks.lease("ann") as bank, bank.view(**options) as view:
        return view.edges()


def test_a_closed_session_is_linked_to_earlier_ones(memory: Memory, store: MemoryOnlyStore) -> None:
    filled(memory)
    found = stored_links(store)
    assert len(found) == 12 * 4
    assert all(not targets for node, (_, targets) in found.items() if node < 3 * 4)
    assert sum(len(targets) for _, targets in found.values()) > 40
    assert all(target // 4 < node // 4 for node, (_, targets) in found.items() for target in targets)
    check_true(store, complete=True)


def test_a_session_is_linked_when_it_is_closed_and_not_before(memory: Memory, store: MemoryOnlyStore) -> None:
    filled(memory)
    memory.add("Bees in the garden.", user_id="ann", session_id="new", timestamp=at(30))
    assert len(stored_links(store)) == 48
    memory.close_session("new", user_id="ann")
    assert len(stored_links(store)) == 52
    check_true(store, complete=True)


def test_without_summaries_and_keywords_a_session_has_two_nodes(store: MemoryOnlyStore) -> None:
    with opened(store, granularities=[]) as memory:
        filled(memory)
    assert len(stored_links(store)) == 24
    check_true(store, complete=True)


def test_links_are_there_after_a_restart(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False, association=SMALL) as memory:
        filled(memory)
        before = shown(memory)
    with Memory(tmp_path, encoder=ENCODER, background=False, association=SMALL) as memory:
        after = shown(memory)
        assert memory.flush(user_id="ann") == 0
        assert memory.verify()["ok"]
    assert before is not None
    assert after is not None
    assert before.pairs.tolist() == after.pairs.tolist()
    assert len(after.linked) == 12


def test_a_session_said_earlier_but_stored_later_changes_only_what_it_concerns(
    memory: Memory, store: MemoryOnlyStore
) -> None:
    filled(memory)
    before = stored_links(store)
    memory.add_many([session("between", 5, random.Random(7))], user_id="ann")
    memory.flush(user_id="ann")
    check_true(store, complete=True)
    after = stored_links(store)
    changed = {node for node, link in before.items() if after[node] != link}
    assert changed
    assert min(changed) // 4 > 5
    assert len(changed) < len(before)


def test_between_a_deletion_and_the_next_derivation_no_link_names_what_is_gone(store: MemoryOnlyStore) -> None:
    class Moody(HashingEncoder):
        broken = False

        def encode_documents(self, texts: Any) -> Any:
            if self.broken:
                raise RuntimeError("no memory left")
            return super().encode_documents(texts)

    encoder = Moody(32)
    with opened(store, encoder=encoder) as memory:
        filled(memory)
        gone = memory.get_all(user_id="ann", filters={"session_id": "s3"})["results"]
        encoder.broken = True
        memory.delete(gone[0]["id"])  # the session's summary cannot be written now
        assert {node // 4 for node in stored_links(store)} == set(range(1, 13)) - {4}
        check_true(store, complete=False)
        edges = shown(memory)
        assert edges is not None
        assert 4 not in edges.pairs // 4
        assert 4 not in edges.linked
        encoder.broken = False
        memory.flush(user_id="ann")
    check_true(store, complete=True)


def test_a_deleted_session_leaves_the_graph_and_what_it_concerned_is_fitted_again(
    memory: Memory, store: MemoryOnlyStore
) -> None:
    filled(memory)
    (own,) = memory.get_all(user_id="ann", granularity="session", filters={"session_id": "s4"})["results"]
    memory.delete(own["id"])
    assert {node // 4 for node in stored_links(store)} == set(range(1, 13)) - {5}
    check_true(store, complete=True)
    memory.delete_all(user_id="ann")
    assert stored_links(store) == {}
    check_true(store, complete=True)


def test_the_session_that_becomes_one_of_the_first_initiates_no_more(memory: Memory, store: MemoryOnlyStore) -> None:
    filled(memory, 6)
    assert any(targets for node, (_, targets) in stored_links(store).items() if node // 4 == 3)
    memory.delete_all(user_id="ann", session_id="s0")
    assert not any(targets for node, (_, targets) in stored_links(store).items() if node // 4 == 3)
    check_true(store, complete=True)


def test_a_session_that_goes_on_leaves_the_graph_until_it_is_closed_again(
    memory: Memory, store: MemoryOnlyStore
) -> None:
    filled(memory)
    memory.add("Rain on the harbour.", user_id="ann", session_id="s5", timestamp=at(40))
    assert 6 not in {node // 4 for node in stored_links(store)}
    check_true(store, complete=False)
    memory.close_session("s5", user_id="ann")
    check_true(store, complete=True)
    assert 6 in {node // 4 for node in stored_links(store)}


@pytest.mark.parametrize("granularity", ["turn", "summary", "keywords"])
def test_a_changed_text_moves_its_nodes(memory: Memory, store: MemoryOnlyStore, granularity: str) -> None:
    filled(memory)
    units = memory.get_all(user_id="ann", granularity=granularity, filters={"session_id": "s5"})["results"]
    before = stored_links(store)
    memory.update(units[0]["id"], "Violin lessons in winter.")
    assert stored_links(store) != before
    check_true(store, complete=True)


@pytest.mark.parametrize("granularity", ["summary", "keywords"])
def test_without_its_summary_a_session_has_a_node_less(
    memory: Memory, store: MemoryOnlyStore, granularity: str
) -> None:
    filled(memory)
    (unit,) = memory.get_all(user_id="ann", granularity=granularity, filters={"session_id": "s5"})["results"]
    memory.delete(unit["id"])
    assert sum(node // 4 == 6 for node in stored_links(store)) == 3
    check_true(store, complete=True)


def test_a_description_moves_the_nodes_of_its_session(memory: Memory, store: MemoryOnlyStore) -> None:
    filled(memory)
    before = stored_links(store)
    memory.describe_session("s4", user_id="ann", summary="Violin, violin, violin.", keywords="tax; walnut")
    check_true(store, complete=True)
    after = stored_links(store)
    assert {node // 4 for node, link in before.items() if after[node] != link} > {5}


def test_other_settings_link_everything_anew_at_the_next_derivation(memory: Memory, store: MemoryOnlyStore) -> None:
    filled(memory)
    other = Association(candidate_pool=3, first_edge_session=1)
    with opened(store, association=other) as changed:
        changed.search("bees", user_id="ann")
        check_true(store, complete=True)
        changed.flush(user_id="ann")
        assert stored_links(store) == from_scratch(all_nodes(store), other)
        changed.add_many([session("new", 3, random.Random(3))], user_id="ann")
        changed.flush(user_id="ann")
        assert stored_links(store) == from_scratch(all_nodes(store), other)
    memory.add_many([session("newer", 3, random.Random(4))], user_id="ann")
    memory.close_session("newer", user_id="ann")
    check_true(store, complete=True)


def test_what_a_deletion_concerns_is_not_known_under_other_settings_and_all_is_fitted_again(
    memory: Memory, store: MemoryOnlyStore
) -> None:
    filled(memory)
    with opened(store, association=None) as other:
        other.delete_all(user_id="ann", session_id="s7")
        assert marked(store) == stored_links(store).keys()
        check_true(store, complete=False)
    memory.flush(user_id="ann")
    check_true(store, complete=True)


@pytest.mark.parametrize("warm", [True, False])
def test_a_damaged_vector_elsewhere_does_not_keep_a_memory_from_being_deleted(
    memory: Memory, store: MemoryOnlyStore, warm: bool
) -> None:
    filled(memory)
    (unit,) = memory.get_all(user_id="ann", granularity="summary", filters={"session_id": "s2"})["results"]
    user = store.open("ann")
    with user.write() as writer:
        found = writer.find(unit["id"])
        assert found is not None
        sound = writer.vectors([found.key])
        writer.set_vectors({found.key: np.full(32, np.nan, "<f4").tobytes()})
    memory = memory if warm else opened(store)
    memory.delete_all(user_id="ann", session_id="s5")
    assert 6 not in {node // 4 for node in stored_links(store)}
    assert memory._core.store.open("ann").check() == []
    with user.write() as writer:
        writer.set_vectors(sound)
    memory.flush(user_id="ann")
    check_true(store, complete=True)


@pytest.mark.parametrize("change", ["leave", "enter"])
def test_damaged_links_are_made_again(memory: Memory, store: MemoryOnlyStore, change: str) -> None:
    filled(memory)
    connection = store.open("ann")._connection
    assert connection is not None
    connection.execute("update links set targets = x'0102' where node = 20")
    assert not memory.verify(user_id="ann")["ok"]
    assert shown(memory) is None
    if change == "leave":
        memory.delete_all(user_id="ann", session_id="s1")
    else:
        memory.add("One more about bees.", user_id="ann", session_id="new", timestamp=at(50))
        memory.close_session("new", user_id="ann")
    check_true(store, complete=True)
    assert shown(memory) is not None


def test_without_association_nothing_is_linked(store: MemoryOnlyStore) -> None:
    with opened(store, association=None) as memory:
        filled(memory)
        assert stored_links(store) == {}
        assert shown(memory) is None
    with opened(store) as memory:
        memory.flush(user_id="ann")
        check_true(store, complete=True)


@pytest.mark.parametrize("association", ["memgas", 30, True, {"candidate_pool": 3}])
def test_what_is_no_association_is_refused(association: Any) -> None:
    with pytest.raises(InvalidInput, match="association"):
        Memory(":memory:", encoder=ENCODER, association=association)


def test_the_settings_tell_every_parameter() -> None:
    assert settings_text(Association()) != settings_text(Association(candidate_pool=31))
    assert settings_text(Association()) != settings_text(Association(first_edge_session=4))


def test_another_encoder_links_by_its_own_vectors(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False, association=SMALL) as memory:
        filled(memory)
        before = shown(memory)
    with Memory(tmp_path, encoder=HashingEncoder(48), background=False, association=SMALL) as memory:
        memory.reindex(user_id="ann")
        after = shown(memory)
        assert before is not None
        assert after is not None
        assert before.pairs.tolist() != after.pairs.tolist()
        with memory._core.banks.lease("ann") as bank, bank.view() as view:
            nodes = nodes_of(view)
        assert after.pairs.tolist() == edges_of(links(nodes, np.arange(len(nodes.ids)), SMALL)).tolist()
        assert len(after.linked) == 12
        assert memory.verify()["ok"]


def test_a_deletion_without_the_encoder_that_made_the_vectors_keeps_the_graph_true(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False, association=SMALL) as memory:
        filled(memory)
    with Memory(tmp_path, encoder=HashingEncoder(48), background=False, association=SMALL) as other:
        other.delete_all(user_id="ann", session_id="s4")
    with Memory(tmp_path, encoder=ENCODER, background=False, association=SMALL) as memory:
        assert memory.flush(user_id="ann") == 0
        check_true(memory._core.store, complete=True)


def test_an_import_is_linked_at_the_next_derivation(memory: Memory, store: MemoryOnlyStore, tmp_path: Path) -> None:
    filled(memory)
    memory.export(tmp_path / "ann.jsonl", user_id="ann")
    assert "targets" not in (tmp_path / "ann.jsonl").read_text()
    with opened(MemoryOnlyStore()) as other:
        copy = other._core.store
        other.import_(tmp_path / "ann.jsonl", user_id="ann")
        assert stored_links(copy) == {}
        assert other.flush(user_id="ann") == 0
        check_true(copy, complete=True)
        assert [targets for _, targets in stored_links(copy).values()] == [
            targets for _, targets in stored_links(store).values()
        ]


def test_many_sessions_are_linked_in_several_transactions(
    memory: Memory, store: MemoryOnlyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(memory, 20)
    expected = stored_links(store)
    with store.open("ann").write() as writer:
        writer.delete_links()
    monkeypatch.setattr("memagent.memory.association._AT_ONCE", 8)
    with store.open("ann").read() as reader:
        before = reader.revision()
    memory.flush(user_id="ann")
    assert stored_links(store) == expected
    with store.open("ann").read() as reader:
        assert reader.revision() - before == 10
    memory.delete_all(user_id="ann", session_id="s1")
    assert not marked(store)
    check_true(store, complete=True)


# what a view shows


def test_a_view_shows_the_edges_of_visible_sessions(memory: Memory) -> None:
    filled(memory)
    whole = shown(memory)
    assert whole is not None
    assert whole.linked.tolist() == list(range(1, 13))
    assert (whole.pairs[:, 0] < whole.pairs[:, 1]).all()
    assert whole.pairs.tolist() == sorted(map(list, {tuple(pair) for pair in whole.pairs.tolist()}))
    moment = int(at(6).timestamp() * 1e6)
    early = shown(memory, as_of=moment)
    assert early is not None
    assert early.linked.tolist() == list(range(1, 8))
    assert early.pairs.tolist() == [pair for pair in whole.pairs.tolist() if max(pair) // 4 < 8]
    assert shown(memory, where=lambda unit: True) is None
    assert shown(memory, where=lambda unit: True, as_of=moment) is None


def test_the_graph_of_the_past_is_that_of_the_sessions_of_then(store: MemoryOnlyStore) -> None:
    rng = random.Random(5)
    with opened(store) as memory:
        memory.add_many([session(f"s{number}", rng.randrange(30), rng) for number in range(14)], user_id="ann")
        memory.flush(user_id="ann")
        for day in (0, 7, 15, 22, 30):
            moment = int(at(day).timestamp() * 1e6)
            with memory._core.banks.lease("ann") as bank, bank.view(as_of=moment) as view:
                nodes = nodes_of(view)
                found = view.edges()
            assert found is not None
            assert found.pairs.tolist() == edges_of(links(nodes, np.arange(len(nodes.ids)), SMALL)).tolist()


def test_marked_sessions_do_not_count_as_linked(memory: Memory, store: MemoryOnlyStore) -> None:
    filled(memory)
    with opened(store, association=None) as other:
        other.delete_all(user_id="ann", session_id="s7")
    edges = shown(memory)
    assert edges is not None
    assert edges.linked.tolist() == []
    memory.flush(user_id="ann")
    edges = shown(memory)
    assert edges is not None
    assert len(edges.linked) == 11


def test_an_open_bank_follows_what_others_link(tmp_path: Path) -> None:
    options: dict[str, Any] = {"encoder": ENCODER, "background": False, "association": SMALL}
    with Memory(tmp_path, **options) as one, Memory(tmp_path, **options) as other:
        filled(one)
        first = shown(other)
        one.add_many([session("new", 40, random.Random(2))], user_id="ann")
        one.flush(user_id="ann")
        second = shown(other)
        assert first is not None
        assert second is not None
        assert len(second.linked) == len(first.linked) + 1
        one.delete_all(user_id="ann", session_id="s2")
        third = shown(other)
        assert third is not None
        assert 3 not in third.pairs // 4
        assert other.verify()["ok"]


def test_verify_reports_a_link_that_names_a_missing_session(memory: Memory, store: MemoryOnlyStore) -> None:
    filled(memory)
    user = store.open("ann")
    with user.write() as writer:
        found = writer.links()
        writer.save_links(found._replace(targets=np.where(found.targets == 4, 400, found.targets)))
    report = memory.verify(user_id="ann")
    assert not report["ok"]
    assert any("400" in problem for problem in report["problems"]["ann"])


# the other face, and the background


def test_the_asynchronous_face_links_too(store: MemoryOnlyStore) -> None:
    async def use() -> None:
        rng = random.Random(1)
        options: dict[str, Any] = {"encoder": ENCODER, "background": False, "association": SMALL}
        async with AsyncMemory("unused", store=store, **options) as memory:
            await memory.add_many([session(f"s{number}", number, rng) for number in range(8)], user_id="ann")
            await memory.flush(user_id="ann")
            (unit,) = (await memory.describe_session("s3", user_id="ann", summary="Winter in Lisbon."))["results"]
            assert (unit["memory"], unit["event"]) == ("Winter in Lisbon.", "UPDATE")

    asyncio.run(use())
    check_true(store, complete=True)


def test_an_import_is_linked_in_the_background(memory: Memory, tmp_path: Path) -> None:
    filled(memory, 4)
    memory.export(tmp_path / "ann.jsonl", user_id="ann")
    with opened(MemoryOnlyStore(), background=True) as other:
        other.import_(tmp_path / "ann.jsonl", user_id="ann")
        deadline = time.monotonic() + 60
        while len(stored_links(other._core.store)) < 16 and time.monotonic() < deadline:
            time.sleep(0.05)
        check_true(other._core.store, complete=True)


def test_threads_that_store_close_change_and_delete_leave_a_true_graph(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, association=SMALL, background=True) as memory:
        filled(memory, 6)

        def work(number: int) -> None:
            rng = random.Random(number)
            for step in range(6):
                name = f"t{number}.{step}"
                memory.add_many([session(name, rng.randrange(10), rng)], user_id="ann")
                memory.close_session(name, user_id="ann")
                memory.describe_session(name, user_id="ann", summary=text(rng))
                memory.search("bees", user_id="ann")
                if step % 2:
                    memory.delete_all(user_id="ann", session_id=f"t{number}.{step - 1}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        memory.flush(user_id="ann")
        check_true(memory._core.store, complete=True)
        assert memory.verify()["ok"]
