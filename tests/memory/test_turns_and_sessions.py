"""What the units of a session are after any sequence of calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent import Memory
from memagent.bank.bank import MemoryBank
from memagent.bank.filters import same_value
from memagent.memory.replies import Item
from memagent.records import Granularity
from memagent.stores.sqlite import MemoryOnlyStore
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

ENCODER = HashingEncoder(32)
START = datetime(2025, 1, 1, tzinfo=UTC)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        yield memory


def units(memory: Memory, granularity: str = "turn", **filters: Any) -> list[Item]:
    return memory.get_all(user_id="ann", granularity=granularity, filters=filters or None, top_k=None)["results"]


def texts(memory: Memory, granularity: str = "turn", **filters: Any) -> list[str]:
    return [unit["memory"] for unit in units(memory, granularity, **filters)]


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


# grouping over calls


def test_a_reply_in_a_later_call_completes_the_turn_and_moves_its_vector(memory: Memory) -> None:
    (added,) = memory.add([user("I adopted a beagle")], user_id="ann", session_id="s", timestamp=at(0))["results"]
    assert memory.search("quiet room", user_id="ann", retriever="dense")["results"][0]["score"] < 0.3
    (completed,) = memory.add([assistant("Give it a quiet room")], user_id="ann", session_id="s", timestamp=at(1))[
        "results"
    ]
    assert (added["event"], completed["event"]) == ("ADD", "UPDATE")
    assert completed["id"] == added["id"]
    assert completed["memory"] == "[user]: I adopted a beagle\n[assistant]: Give it a quiet room"
    (turn,) = units(memory)
    assert turn["memory"] == completed["memory"]
    assert turn["source_ids"] == completed["source_ids"] == [*added["source_ids"], completed["source_ids"][1]]
    assert turn["roles"] == ["user", "assistant"]
    assert turn["event_at"] == at(1).isoformat()
    assert turn["updated_at"] > turn["created_at"]
    found = memory.search("quiet room", user_id="ann", retriever="dense")["results"][0]
    expected = ENCODER.encode_queries(["quiet room"])[0] @ ENCODER.encode_documents([turn["memory"]])[0]
    assert found["score"] == pytest.approx(float(expected), abs=1e-6)
    assert memory.search("quiet", user_id="ann", retriever="bm25")["results"][0]["score"] > 0


def test_the_history_of_a_completed_turn_shows_both_texts(memory: Memory) -> None:
    (added,) = memory.add([user("Hello")], user_id="ann", session_id="s")["results"]
    memory.add([assistant("Hi")], user_id="ann", session_id="s")
    first, second = memory.history(added["id"])
    assert (first["event"], first["old_memory"], first["new_memory"]) == ("ADD", None, "[user]: Hello")
    assert (second["event"], second["old_memory"]) == ("UPDATE", "[user]: Hello")
    assert second["new_memory"] == "[user]: Hello\n[assistant]: Hi"
    assert first["at"] <= second["at"]


@pytest.mark.parametrize("cut", range(7))
def test_turns_do_not_depend_on_how_a_conversation_is_cut_into_calls(memory: Memory, cut: int) -> None:
    talk = [user("a"), assistant("b"), user("c"), {"role": "tool", "content": "d"}, assistant("e"), user("f")]
    for piece in (talk[:cut], talk[cut:]):
        if piece:
            memory.add(piece, user_id="ann", session_id="s")
    assert texts(memory) == ["[user]: a\n[assistant]: b", "[user]: c\n[tool]: d\n[assistant]: e", "[user]: f"]
    assert texts(memory, "session") == ["\n".join(texts(memory))]
    assert len(units(memory, "session")[0]["source_ids"]) == len(talk)


@pytest.mark.parametrize("at_once", [1, 5, 31, 32, 40, 100])
def test_hundreds_of_replies_are_cut_into_turns_however_they_come(memory: Memory, at_once: int) -> None:
    talk = [user("go"), *({"role": "tool", "content": str(number)} for number in range(99))]
    for start in range(0, len(talk), at_once):
        memory.add(talk[start : start + at_once], user_id="ann", session_id="s")
    assert [len(turn["source_ids"]) for turn in units(memory)] == [32, 32, 32, 4]
    assert texts(memory, "session") == ["\n".join(f"[{said['role']}]: {said['content']}" for said in talk)]
    memory.add_many(
        [{"session_id": "t", "messages": talk[i : i + at_once]} for i in range(0, 100, at_once)], user_id="ann"
    )
    assert [len(turn["source_ids"]) for turn in units(memory, session_id="t")] == [32, 32, 32, 4]


def test_a_first_message_that_is_a_reply_opens_a_turn(memory: Memory) -> None:
    (only,) = memory.add(assistant("How can I help?"), user_id="ann", session_id="s")["results"]
    assert only["event"] == "ADD"
    memory.add(user("Tell me about bees"), user_id="ann", session_id="s")
    assert texts(memory) == ["[assistant]: How can I help?", "[user]: Tell me about bees"]


def test_a_reply_without_a_session_is_a_session_of_its_own(memory: Memory) -> None:
    memory.add(user("Hello"), user_id="ann")
    memory.add(assistant("Hi"), user_id="ann")
    assert texts(memory) == ["[user]: Hello", "[assistant]: Hi"]
    assert len(units(memory, "session")) == 2


def test_each_call_without_a_session_begins_a_new_one(memory: Memory) -> None:
    ids = {memory.add("note", user_id="ann")["results"][0]["session_id"] for _ in range(3)}
    assert len(ids) == 3
    assert memory.stats(user_id="ann")["sessions"] == 3


def test_a_note_after_a_reply_is_a_turn_of_its_own(memory: Memory) -> None:
    memory.add([user("Hello"), assistant("Hi"), "a note"], user_id="ann", session_id="s")
    assert texts(memory) == ["[user]: Hello\n[assistant]: Hi", "a note"]


def test_interleaved_sessions_keep_apart(memory: Memory) -> None:
    for session, message in (("a", user("1")), ("b", user("2")), ("a", assistant("3")), ("b", assistant("4"))):
        memory.add(message, user_id="ann", session_id=session)
    assert texts(memory, session_id="a") == ["[user]: 1\n[assistant]: 3"]
    assert texts(memory, session_id="b") == ["[user]: 2\n[assistant]: 4"]


def test_the_same_session_id_of_two_users_is_two_sessions(memory: Memory) -> None:
    memory.add(user("mine"), user_id="ann", session_id="s")
    memory.add(assistant("yours"), user_id="bob", session_id="s")
    assert texts(memory) == ["[user]: mine"]


def test_a_completed_turn_takes_the_metadata_of_its_reply_too(memory: Memory) -> None:
    memory.add(user("a"), user_id="ann", session_id="s", metadata={"topic": "food", "lang": "en"}, agent_id="cook")
    memory.add(assistant("b"), user_id="ann", session_id="s", metadata={"topic": "wine", "model": "m"})
    (turn,) = units(memory)
    assert turn["metadata"] == {"topic": "wine", "lang": "en", "model": "m"}
    assert turn["agent_id"] == "cook"
    (session,) = units(memory, "session")
    assert session["metadata"] == turn["metadata"]
    assert session["agent_id"] == "cook"


def test_a_session_has_the_metadata_that_all_its_turns_share(memory: Memory) -> None:
    for metadata in ({"a": 1, "b": True, "c": [1]}, {"a": 1, "b": 1, "c": [1]}, {"a": 1, "c": [1], "d": None}):
        memory.add(user("x"), user_id="ann", session_id="s", metadata=metadata)
    (session,) = units(memory, "session")
    assert session["metadata"] == {"a": 1, "c": [1]}


def test_an_absent_key_is_not_the_same_as_none(memory: Memory) -> None:
    memory.add(user("x"), user_id="ann", session_id="s", metadata={"a": None})
    (second,) = memory.add(user("y"), user_id="ann", session_id="s")["results"]
    assert units(memory, "session")[0]["metadata"] == {}
    memory.update(second["id"], "z")
    assert units(memory, "session")[0]["metadata"] == {}


def test_a_session_in_two_pieces_of_one_call_is_as_if_added_in_two_calls(memory: Memory) -> None:
    pieces = [
        {"session_id": "s", "messages": [user("a")]},
        {"session_id": "s", "messages": [assistant("b"), user("c")]},
    ]
    reply = memory.add_many(pieces, user_id="ann")
    assert [event["event"] for event in reply["results"]] == ["ADD", "ADD"]
    memory.add_many([*pieces, {"session_id": "s", "messages": [assistant("d")]}], user_id="ann")
    assert texts(memory) == [
        "[user]: a\n[assistant]: b",
        "[user]: c",
        "[user]: a\n[assistant]: b",
        "[user]: c\n[assistant]: d",
    ]
    later = [{"session_id": "s", "messages": [assistant("e")]}, {"session_id": "s", "messages": [assistant("f")]}]
    (event,) = memory.add_many(later, user_id="ann")["results"]
    assert (event["event"], event["memory"]) == ("UPDATE", "[user]: c\n[assistant]: d\n[assistant]: e\n[assistant]: f")
    assert memory.verify()["ok"]


def test_the_labels_of_a_later_piece_reach_the_turn_that_it_completes(memory: Memory) -> None:
    pieces: list[dict[str, Any]] = [
        {"messages": [user("a"), assistant("b"), user("c")], "metadata": {"topic": "food", "n": 1}, "agent_id": "cook"},
        {"messages": [assistant("d")], "metadata": {"topic": "wine", "model": "m"}, "agent_id": "critic"},
        {"messages": [assistant("e"), user("f")], "metadata": {"n": 2}},
    ]
    memory.add_many([{"session_id": "once", **piece} for piece in pieces], user_id="ann")
    for piece in pieces:
        memory.add_many([{"session_id": "twice", **piece}], user_id="ann")
    once, twice = (
        [(unit["memory"], unit["metadata"], unit["agent_id"]) for unit in units(memory, session_id=session)]
        for session in ("once", "twice")
    )
    assert once == twice
    assert once[1] == ("[user]: c\n[assistant]: d\n[assistant]: e", {"topic": "wine", "n": 2, "model": "m"}, "critic")
    own, other = units(memory, "session")
    assert own["metadata"] == other["metadata"] == {}
    assert own["agent_id"] == other["agent_id"] == "critic"


# closing


def test_a_closed_session_has_a_summary_and_keywords(memory: Memory) -> None:
    memory.add(
        [user("I adopted a beagle called Rex."), assistant("Lovely!")],
        user_id="ann",
        session_id="s",
        timestamp=at(3),
        metadata={"topic": "pets"},
        agent_id="vet",
    )
    assert units(memory, "summary") == units(memory, "keywords") == []
    reply = memory.close_session("s", user_id="ann")
    (session,) = units(memory, "session")
    for granularity, event in zip(("summary", "keywords"), reply["results"], strict=True):
        (unit,) = units(memory, granularity)
        assert (event["id"], event["memory"], event["event"]) == (unit["id"], unit["memory"], "ADD")
        assert "Rex" in unit["memory"]
        for key in ("event_at", "source_ids", "roles", "metadata", "agent_id", "session_id"):
            assert unit[key] == session[key]
        assert unit["granularity"] == granularity
    assert memory.close_session("s", user_id="ann")["results"] == []


def test_the_next_session_closes_the_one_before(memory: Memory) -> None:
    memory.add(user("I adopted a beagle called Rex."), user_id="ann", session_id="a")
    assert memory.flush(user_id="ann") == 0
    memory.add(user("I live in Lisbon now."), user_id="ann", session_id="b")
    assert memory.flush(user_id="ann") == 2
    assert {unit["session_id"] for unit in units(memory, "summary")} == {"a"}
    assert memory.flush(user_id="ann") == 0


def test_going_on_with_a_closed_session_opens_it_and_drops_its_summary(memory: Memory) -> None:
    memory.add(user("I adopted a beagle called Rex."), user_id="ann", session_id="s")
    old = memory.close_session("s", user_id="ann")["results"]
    memory.add(user("Rex moved out yesterday."), user_id="ann", session_id="s")
    assert units(memory, "summary") == units(memory, "keywords") == []
    assert memory.flush(user_id="ann") == 0
    new = memory.close_session("s", user_id="ann")["results"]
    assert "yesterday" in new[0]["memory"]
    assert {event["id"] for event in new}.isdisjoint(event["id"] for event in old)


def test_a_session_whose_messages_say_nothing_has_no_summary(memory: Memory) -> None:
    memory.add("!!!", user_id="ann", session_id="s")
    assert [event["memory"] for event in memory.close_session("s", user_id="ann")["results"]] == ["!!!"]
    assert units(memory, "keywords") == []
    assert memory.flush(user_id="ann") == 0


def test_only_the_wanted_granularities_are_written() -> None:
    with Memory(":memory:", encoder=ENCODER, background=False, granularities=["summary"]) as memory:
        memory.add(user("I adopted a beagle called Rex."), user_id="ann", session_id="s")
        memory.close_session("s", user_id="ann")
        assert [len(units(memory, str(g))) for g in ("turn", "session", "summary", "keywords")] == [1, 1, 1, 0]


def test_session_vectors_can_come_from_the_text() -> None:
    store = MemoryOnlyStore()
    with Memory("unused", store=store, encoder=ENCODER, background=False, session_vectors="text") as memory:
        memory.add_many([{"session_id": "s", "messages": ["I keep bees", "I live in Lisbon"]}], user_id="ann")
        assert session_vector(store) == pytest.approx(
            ENCODER.encode_documents(["I keep bees\nI live in Lisbon"])[0], abs=1e-6
        )
        memory.add("Rex eats walnuts", user_id="ann", session_id="s")
        memory.close_session("s", user_id="ann")
        whole = "I keep bees\nI live in Lisbon\nRex eats walnuts"
        assert session_vector(store) == pytest.approx(ENCODER.encode_documents([whole])[0], abs=1e-6)
        memory.update(units(memory)[0]["id"], "I sold the bees")
        whole = "I sold the bees\nI live in Lisbon\nRex eats walnuts"
        assert session_vector(store) == pytest.approx(ENCODER.encode_documents([whole])[0], abs=1e-6)


def session_vector(store: MemoryOnlyStore) -> Any:
    with bank_of(store).view() as view:
        return view.vectors(view.columns(Granularity.SESSION).keys)[0]


def bank_of(store: MemoryOnlyStore) -> MemoryBank:
    return MemoryBank(store.open("ann"), lambda: (ENCODER.fingerprint, ENCODER.dim))


def test_turns_that_cancel_each_other_out_give_some_vector() -> None:
    class Opposite(HashingEncoder):
        def encode_documents(self, texts: Sequence[str]) -> Vectors:
            vectors = super().encode_documents(["the same"] * len(texts))
            vectors[1::2] *= -1
            return vectors

    with Memory(":memory:", encoder=Opposite(32), background=False) as memory:
        memory.add(["one", "two"], user_id="ann", session_id="s")
        assert memory.search("x", user_id="ann", granularity="session")["results"]
        assert memory.verify()["ok"]


# any sequence

words = st.lists(st.sampled_from(["bees", "honey", "Lisbon", "Rex", "walnut."]), min_size=1, max_size=3).map(" ".join)
metadata = st.sampled_from([None, {}, {"a": 1}, {"a": True}, {"a": 1, "b": 2}, {"b": None}])
messages = st.lists(
    st.builds(
        lambda role, text: {"role": role, "content": text}, st.sampled_from(["user", "assistant", "tool"]), words
    ),
    min_size=1,
    max_size=3,
)
calls = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(["s", "t"]), messages, metadata),
    st.tuples(st.just("add"), st.sampled_from(["s", "t"]), messages, metadata),
    st.tuples(st.just("text"), st.integers(0, 9), words),
    st.tuples(st.just("metadata"), st.integers(0, 9), metadata.filter(lambda m: m is not None)),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("close"), st.sampled_from(["s", "t"])),
    st.tuples(st.just("flush")),
)


def perform(memory: Memory, call: tuple[Any, ...], minute: int) -> None:
    name, *arguments = call
    there = units(memory) if memory.users() else []
    if name == "add":
        session, said, meta = arguments
        memory.add(said, user_id="ann", session_id=session, metadata=meta, timestamp=at(minute % 5))
    elif not there:
        return
    elif name == "text":
        memory.update(there[arguments[0] % len(there)]["id"], arguments[1])
    elif name == "metadata":
        memory.update(there[arguments[0] % len(there)]["id"], metadata=arguments[1])
    elif name == "delete":
        memory.delete(there[arguments[0] % len(there)]["id"])
    elif name == "close" and any(turn["session_id"] == arguments[0] for turn in there):
        memory.close_session(arguments[0], user_id="ann")
    else:
        memory.flush(user_id="ann")


@settings(max_examples=80)
@given(st.lists(calls, min_size=1, max_size=10))
def test_a_session_is_always_the_sum_of_its_turns(sequence: list[tuple[Any, ...]]) -> None:
    store = MemoryOnlyStore()
    with Memory("unused", store=store, encoder=ENCODER, background=False) as memory:
        for minute, call in enumerate(sequence):
            perform(memory, call, minute)
            if memory.users():
                check_sessions(memory, bank_of(store))
                assert memory.verify() == {"ok": True, "users": 1, "problems": {}}


def check_sessions(memory: Memory, bank: MemoryBank) -> None:
    turns = units(memory)
    sessions = units(memory, "session")
    assert {turn["session_id"] for turn in turns} == {session["session_id"] for session in sessions}
    for session in sessions:
        own = [turn for turn in turns if turn["session_id"] == session["session_id"]]
        check_session(session, own)
        for granularity in ("summary", "keywords"):
            for derived in units(memory, granularity, session_id=session["session_id"]):
                for key in ("event_at", "source_ids", "roles", "metadata", "agent_id"):
                    assert derived[key] == session[key]
    check_vectors(bank)


def check_session(session: Item, turns: list[Item]) -> None:
    assert session["memory"] == "\n".join(turn["memory"] for turn in turns)
    assert session["source_ids"] == [source for turn in turns for source in turn["source_ids"]]
    assert session["roles"] == list(dict.fromkeys(role for turn in turns for role in turn["roles"]))
    assert session["event_at"] == max(turn["event_at"] for turn in turns)
    shared = {
        key: value
        for key, value in turns[0]["metadata"].items()
        if all(key in turn["metadata"] and same_value(turn["metadata"][key], value) for turn in turns)
    }
    assert same_value(session["metadata"], shared)


def check_vectors(bank: MemoryBank) -> None:
    with bank.view() as view:
        turns, sessions = view.columns(Granularity.TURN), view.columns(Granularity.SESSION)
        assert np.allclose(
            view.vectors(turns.keys), ENCODER.encode_documents([u.text for u in view.units(turns.keys)]), atol=1e-6
        )
        for key, number in zip(sessions.keys, sessions.sessions, strict=True):
            total = view.vectors(turns.keys[turns.sessions == number]).astype(np.float64).sum(axis=0)
            assert np.allclose(view.vectors([key])[0], total / np.linalg.norm(total), atol=1e-5)


# cost


def test_the_cost_of_an_add_does_not_grow_with_its_session() -> None:
    """Counted in steps of SQLite's machine: no statement may read all turns of the session."""
    store = MemoryOnlyStore()
    with Memory("unused", store=store, encoder=ENCODER, background=False) as memory:
        memory.add(user("first"), user_id="ann", session_id="s")
        small = [steps(store, memory, message) for message in (user("a"), assistant("b"), user("c"))]
        memory.add([user(f"turn {number}") for number in range(3000)], user_id="ann", session_id="s")
        large = [steps(store, memory, message) for message in (user("d"), assistant("e"), user("f"))]
    assert max(large) < 2 * max(small)


def steps(store: MemoryOnlyStore, memory: Memory, message: dict[str, str]) -> int:
    taken = []
    connection: Any = store.open("ann")._connection

    def profile(event: Any) -> None:
        taken.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])

    import apsw

    connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profile)
    memory.add(message, user_id="ann", session_id="s", metadata={"topic": "x"})
    connection.trace_v2(0)
    return sum(taken)


def test_beginning_a_session_does_not_cost_more_with_many_sessions() -> None:
    store = MemoryOnlyStore()
    with Memory("unused", store=store, encoder=ENCODER, background=False) as memory:
        memory.add(user("first"), user_id="ann", session_id="s")
        small = steps_of_a_note(store, memory)
        for number in range(300):
            memory.add(f"note {number}", user_id="ann")
        assert steps_of_a_note(store, memory) < 2 * small


def steps_of_a_note(store: MemoryOnlyStore, memory: Memory) -> int:
    import apsw

    taken = []
    connection: Any = store.open("ann")._connection
    connection.trace_v2(
        apsw.SQLITE_TRACE_PROFILE, lambda e: taken.append(e["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])
    )
    memory.add("another note", user_id="ann")
    connection.trace_v2(0)
    return sum(taken)
