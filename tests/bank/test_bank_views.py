from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bank_cases import ENCODER, START, WORDS, Said, bank_of, histories, minute, queries, remember, stored
from hypothesis import example, given, settings
from hypothesis import strategies as st

from memagent import Memory
from memagent.bank.bank import MemoryBank
from memagent.bank.filters import compile_filter
from memagent.bank.port import BankView, LexicalUnit
from memagent.errors import EncoderMismatch, InvalidInput
from memagent.records import Granularity, MemoryUnit, Query, to_micros
from memagent.retrievers import make, names
from memagent.retrievers.registry import granularities
from memagent.stores.sqlite import MemoryOnlyStore, SQLiteStore

topics = st.sampled_from([None, "a", "b", "c"])
limits = st.none() | st.integers(0, 9)


def visible(history: list[Said], topic: str | None, limit: int | None) -> list[Said]:
    return [s for s in history if topic in (None, s.topic) and (limit is None or s.minute <= limit)]


def opened(bank: MemoryBank, topic: str | None, limit: int | None):  # type: ignore[no-untyped-def]
    where = None if topic is None else compile_filter({"topic": topic})
    return bank.view(where=where, as_of=None if limit is None else minute(limit))


def everything(bank: MemoryBank, granularity: Granularity) -> list[MemoryUnit]:
    with bank.view() as view:
        return view.units(view.columns(granularity).keys)


@settings(max_examples=50)
@given(histories, topics, limits)
def test_a_view_shows_exactly_the_units_that_pass(history: list[Said], topic: str | None, limit: int | None) -> None:
    memory, bank = stored(history)
    with memory, opened(bank, topic, limit) as view:
        columns = view.columns(Granularity.TURN)
        units = view.units(columns.keys)
        assert [unit.text for unit in units] == [said.text for said in visible(history, topic, limit)]
        assert columns.event_at.tolist() == [to_micros(unit.event_at) for unit in units]
        assert [len(column) for column in columns] == [len(units)] * 3
        for granularity in Granularity:
            for unit in view.units(view.columns(granularity).keys):
                assert topic in (None, unit.metadata.get("topic"))
                assert limit is None or to_micros(unit.event_at) <= minute(limit)


@settings(max_examples=50)
@given(histories, topics, limits)
def test_groups_are_the_sessions_of_the_visible_turns(
    history: list[Said], topic: str | None, limit: int | None
) -> None:
    memory, bank = stored(history)
    with memory, opened(bank, topic, limit) as view:
        groups = view.groups()
        turns = view.columns(Granularity.TURN)
        assert groups.sessions.tolist() == sorted(set(turns.sessions.tolist()))
        assert groups.sessions[groups.index].tolist() == turns.sessions.tolist()
        shown = view.columns(Granularity.SESSION)
        own = dict(zip(shown.sessions.tolist(), shown.keys.tolist(), strict=True))
        assert groups.units.tolist() == [own.get(session, -1) for session in groups.sessions.tolist()]
        vectors = view.vectors(turns.keys)
        sums = [vectors[groups.index == place].sum(axis=0) for place in range(len(groups.sessions))]
        assert view.turn_lengths().tolist() == pytest.approx([np.linalg.norm(total) for total in sums], abs=1e-5)


@settings(max_examples=50)
@given(histories, topics, limits, queries, st.integers(0, 6), st.sets(st.integers(1, 12), max_size=3))
def test_similar_units_are_those_of_a_full_scan(
    history: list[Said], topic: str | None, limit: int | None, query: str, k: int, exclude: set[int]
) -> None:
    memory, bank = stored(history)
    vector = ENCODER.encode_queries([query])[0]
    with memory, opened(bank, topic, limit) as view:
        for granularity in (Granularity.TURN, Granularity.SESSION):
            keys = view.columns(granularity).keys
            cosines = view.similarities(vector, granularity)
            assert cosines.shape == keys.shape
            assert np.allclose(view.vectors(keys) @ vector, cosines, atol=1e-6)
            rows = [row for row in np.argsort(-cosines, kind="stable") if int(keys[row]) not in exclude][:k]
            nearest = view.nearest(vector, k, granularity=granularity, exclude=sorted(exclude))
            assert nearest.keys.tolist() == keys[rows].tolist()
            assert np.allclose(nearest.scores, cosines[rows], atol=1e-6)
        turns = view.units(view.columns(Granularity.TURN).keys)
        expected = ENCODER.encode_documents([turn.text for turn in turns])
        assert np.allclose(view.vectors([turn.key for turn in turns]), expected, atol=1e-6)


@settings(max_examples=40)
@given(histories, topics, limits, queries)
def test_a_view_is_as_if_the_hidden_turns_had_never_been_stored(
    history: list[Said], topic: str | None, limit: int | None, query: str
) -> None:
    memory, bank = stored(history)
    lesser, lesser_bank = stored(visible(history, topic, limit))
    with memory, lesser, opened(bank, topic, limit) as view, lesser_bank.view() as other:
        # Not windows: a turn whose neighbour is hidden does not get the next one instead.
        assert seen_by_retrievers(view, query, "turn", "session") == seen_by_retrievers(other, query, "turn", "session")


@settings(max_examples=40)
@given(histories, topics, limits, queries, queries)
def test_what_hidden_turns_say_influences_nothing(
    history: list[Said], topic: str | None, limit: int | None, query: str, other_words: str
) -> None:
    shown = visible(history, topic, limit)
    changed = [said if said in shown else said._replace(text=other_words) for said in history]
    memory, bank = stored(history)
    different, different_bank = stored(changed)
    with memory, different, opened(bank, topic, limit) as view, opened(different_bank, topic, limit) as other:
        kinds: tuple[LexicalUnit, ...] = ("turn", "session", "window")
        assert seen_by_retrievers(view, query, *kinds) == seen_by_retrievers(other, query, *kinds)


def seen_by_retrievers(view: BankView, query: str, *kinds: LexicalUnit) -> list[object]:
    """Scores and rankings of turns, by their places among the visible ones."""
    places = view.columns(Granularity.TURN).keys.tolist()
    asked = Query(text=query, vector=ENCODER.encode_queries([query])[0])
    seen: list[object] = []
    for by in kinds:
        scores = view.lexical(query, by)
        if by == "session":  # sessions are numbered in the order they were begun, hidden turns included
            scores = scores[view.groups().index]
        seen.append(scores.round(9).tolist())
    ranking_turns = [name for name in names() if Granularity.TURN in granularities(name)]
    for name in ranking_turns if "window" in kinds else ("dense", "bm25"):
        hits = make(name).retrieve(asked, view, 5).hits
        seen.append([(name, places.index(hit.key), round(hit.score, 6)) for hit in hits])
    return seen


@settings(max_examples=50)
@given(histories, queries, st.integers(1, 5))
def test_matching_ranks_by_lexical_score(history: list[Said], query: str, k: int) -> None:
    memory, bank = stored(history)
    with memory, bank.view() as view:
        scores = view.lexical(query, "turn")
        rows = [row for row in np.argsort(-scores, kind="stable") if scores[row] > 0][:k]
        found = view.matching(query, k, granularity=Granularity.TURN)
        assert found.keys.tolist() == view.columns(Granularity.TURN).keys[rows].tolist()
        assert found.scores.tolist() == scores[rows].tolist()
        groups = view.groups()
        by_turn = view.matching(query, k, granularity=Granularity.SESSION, by="turn")
        best = {int(groups.units[g]): max(scores[groups.index == g]) for g in range(len(groups.sessions))}
        assert dict(zip(by_turn.keys.tolist(), by_turn.scores.tolist(), strict=True)).items() <= best.items()
        by_session = view.matching(query, k, granularity=Granularity.SESSION)
        assert set(by_session.keys.tolist()) <= set(groups.units.tolist())


def test_turns_cannot_be_matched_by_their_sessions() -> None:
    memory, bank = stored([Said(0, "bees", "a", 0)])
    with memory, bank.view() as view, pytest.raises(InvalidInput, match="SESSION"):
        view.matching("bees", 1, granularity=Granularity.TURN, by="session")


def test_derived_units_are_matched_by_their_own_text() -> None:
    memory, bank = stored([Said(0, "I keep bees in the garden behind the harbour.", "a", 0), Said(1, "walnut", "a", 1)])
    with memory:
        memory.flush(user_id="ann")
        with bank.view() as view:
            for granularity, by in ((Granularity.SUMMARY, "summary"), (Granularity.KEYWORDS, "keywords")):
                keys = view.columns(granularity).keys
                assert view.matching("bees", 3, granularity=granularity).keys.tolist() == keys.tolist()
                assert view.lexical("bees", by).shape == keys.shape  # type: ignore[arg-type]


def test_a_query_is_read_in_the_languages_of_the_visible_units_only() -> None:
    """A stemmer of a language that only hidden units have must not change what a word is."""
    english = Said(0, "I was sailing with the children in the harbour and we have seen many boats", "a", 0)
    spanish = Said(1, "estaba navegando con los niños en el puerto y hemos visto muchos barcos", "b", 5)
    memory, bank = stored([english, spanish])
    lesser, lesser_bank = stored([english])
    with memory, lesser, opened(bank, "a", None) as view, lesser_bank.view() as other:
        for query in ("sailing boats", "barcos", "navegar"):
            assert view.lexical(query, "turn").tolist() == other.lexical(query, "turn").tolist()
    with memory, bank.view() as view:
        assert view.lexical("barco", "turn")[1] > 0


# what is not visible cannot be had by its key either


def test_hidden_units_cannot_be_read_by_key() -> None:
    memory, bank = stored([Said(0, "bees", "a", 0), Said(0, "walnut", "b", 5)])
    with memory:
        first, second = (unit.key for unit in everything(bank, Granularity.TURN))
        for topic, limit in (("a", None), (None, 3)):
            with opened(bank, topic, limit) as view:
                assert [unit.text for unit in view.units([first])] == ["bees"]
                assert view.vectors([first]).shape == (1, ENCODER.dim)
                with pytest.raises(KeyError):
                    view.units([second])
                with pytest.raises(KeyError):
                    view.vectors([first, second])
                with pytest.raises(KeyError):
                    view.vectors([999])


def test_units_and_vectors_come_in_the_order_asked_for() -> None:
    memory, bank = stored([Said(0, "bees", "a", 0), Said(1, "walnut", "b", 5)])
    with memory, bank.view() as view:
        keys = view.columns(Granularity.TURN).keys[::-1]
        assert [unit.text for unit in view.units(keys)] == ["walnut", "bees"]
        assert np.allclose(view.vectors(keys), ENCODER.encode_documents(["walnut", "bees"]))
        assert view.vectors([]).shape == (0, ENCODER.dim)
        assert view.user_id == "ann"


def test_as_of_includes_its_own_moment() -> None:
    memory, bank = stored([Said(0, "bees", "a", 3)])
    with memory:
        for limit, count in ((2, 0), (3, 1)):
            with opened(bank, None, limit) as view:
                assert len(view.columns(Granularity.TURN).keys) == count


def test_a_user_without_units_has_an_empty_view() -> None:
    store = MemoryOnlyStore()
    store.open("ann", create=True)
    vector = ENCODER.encode_queries(["bees"])[0]
    with bank_of(store).view() as view:
        check_empty(view, vector)
    memory, bank = stored([Said(0, "bees", "a", 3)])
    with memory:
        with bank.view() as view:
            assert len(view.columns(Granularity.TURN).keys) == 1
        memory.delete_all(user_id="ann")
        with bank.view() as view:
            check_empty(view, vector)


def check_empty(view: BankView, vector: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    for granularity in Granularity:
        assert [len(column) for column in view.columns(granularity)] == [0, 0, 0]
        assert view.similarities(vector, granularity).shape == (0,)
        assert view.nearest(vector, 3, granularity=granularity).keys.tolist() == []
        assert view.matching("bees", 3, granularity=granularity).keys.tolist() == []
    assert view.groups().sessions.tolist() == []
    for name in names():
        for granularity in granularities(name):
            query = Query(text="bees", vector=vector, granularity=granularity)
            assert make(name).retrieve(query, view, 3).hits == ()


# keeping up with the store


@settings(max_examples=40)
@given(st.lists(st.one_of(histories, st.integers(0, 20)), min_size=1, max_size=6), queries)
@example([[Said(0, "bees", "a", 0), Said(0, "walnut", "a", 0)], 0, [Said(0, "honey", "a", 1)]], "honey")
def test_an_open_bank_is_always_as_a_new_one(operations: list[list[Said] | int], query: str) -> None:
    """After any additions and deletions, seen in between or not."""
    store = MemoryOnlyStore()
    store.open("ann", create=True)
    bank = bank_of(store)
    with Memory("unused", store=store, encoder=ENCODER, background=False) as memory:
        for number, operation in enumerate(operations):
            if isinstance(operation, list):
                remember(memory, operation)
            elif there := memory.get_all(user_id="ann", top_k=None)["results"]:
                memory.delete(there[operation % len(there)]["id"])
            if number % 2:
                memory.flush(user_id="ann")
            assert state_of(bank, query) == state_of(bank_of(store), query)


def state_of(bank: MemoryBank, query: str) -> list[list[float]]:
    vector = ENCODER.encode_queries([query])[0]
    state: list[list[float]] = []
    with bank.view() as view:
        for granularity in Granularity:
            state += [column.tolist() for column in view.columns(granularity)]
            state.append(view.similarities(vector, granularity).tolist())
        for by in ("turn", "window", "session", "summary", "keywords"):
            state.append(view.lexical(query, by).round(9).tolist())
        state.append(view.turn_lengths().tolist())
    return state


def test_a_bank_sees_what_another_memory_commits(tmp_path: Path) -> None:
    with (
        Memory(tmp_path, encoder=ENCODER, background=False) as mine,
        Memory(tmp_path, encoder=ENCODER, background=False) as other,
    ):
        added = mine.add("I keep bees.", user_id="ann")["results"][0]["id"]
        assert other.search("bees", user_id="ann")["results"][0]["memory"] == "I keep bees."
        other.update(added, "I sold the bees.")
        assert mine.search("bees", user_id="ann")["results"][0]["memory"] == "I sold the bees."
        mine.delete(added)
        assert other.search("bees", user_id="ann")["results"] == []


def test_a_view_sees_one_commit_from_beginning_to_end(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        memory.add("I keep bees.", user_id="ann")
        store = SQLiteStore(tmp_path)
        bank = MemoryBank(store.open("ann"), lambda: (ENCODER.fingerprint, ENCODER.dim))
        with bank.view() as view:
            memory.add("I keep hens.", user_id="ann")
            assert len(view.columns(Granularity.TURN).keys) == 1
            assert [unit.text for unit in view.units([1, 2])] == ["I keep bees.", "I keep bees."]
        with bank.view() as view:
            assert len(view.columns(Granularity.TURN).keys) == 2
        bank.store.close()


def test_vectors_of_another_encoder_are_refused() -> None:
    memory, bank = stored([Said(0, "bees", "a", 0)])
    with memory:
        for other in (
            MemoryBank(bank.store, lambda: ("hashing/16", 16)),
            MemoryBank(bank.store, lambda: ("hashing/64", 64)),
        ):
            with pytest.raises(EncoderMismatch, match="hashing/32"), other.view():
                pass
        assert everything(bank, Granularity.TURN)


def test_all_words_of_the_cases_are_used() -> None:
    memory, bank = stored([Said(0, " ".join(WORDS), "a", 0)])
    with memory, bank.view() as view:
        assert all(view.lexical(word, "turn")[0] > 0 for word in WORDS if word != "the")
    assert START.tzinfo is not None
