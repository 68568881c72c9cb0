from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from memagent import Memory, Message, Session
from memagent.errors import (
    DuplicateId,
    EncoderError,
    EncoderMismatch,
    InvalidInput,
    InvalidMessage,
    InvalidTime,
    InvalidUserId,
    NotFound,
    StoreBusy,
    UnknownName,
    UnknownUser,
)
from memagent.memory.replies import Item
from memagent.stores.sqlite import SQLiteStore
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=HashingEncoder(32), background=False) as memory:
        yield memory


def test_add_replies_one_event_a_turn(memory: Memory) -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    reply = memory.add(talk, user_id="ann", session_id="s")
    assert set(reply) == {"results"}
    assert [event["memory"] for event in reply["results"]] == ["[user]: a\n[assistant]: b", "[user]: c"]
    for event in reply["results"]:
        assert set(event) == {"id", "memory", "event", "session_id", "source_ids"}
        assert (event["event"], event["session_id"]) == ("ADD", "s")
        assert memory.get(event["id"])["memory"] == event["memory"]
    assert [len(event["source_ids"]) for event in reply["results"]] == [2, 1]


def test_when_it_was_said_and_when_it_was_stored_are_two_times(memory: Memory) -> None:
    before = datetime.now(UTC)
    memory.add("a", user_id="ann", timestamp=NOON)
    memory.add("b", user_id="ann", timestamp="2025-03-01T13:00:00+01:00")
    memory.add("c", user_id="ann")
    after = datetime.now(UTC)
    a, b, c = memory.get_all(user_id="ann")["results"]
    assert a["event_at"] == b["event_at"] == "2025-03-01T12:00:00+00:00"
    assert before <= datetime.fromisoformat(c["event_at"]) <= after
    for unit in (a, b, c):
        assert before <= datetime.fromisoformat(unit["created_at"]) <= after
        assert unit["updated_at"] == unit["created_at"]


def test_memories_are_listed_in_the_order_they_were_stored_whatever_their_times(memory: Memory) -> None:
    for days in (3, 1, 2, 2, 0):
        memory.add(f"day {days}", user_id="ann", timestamp=NOON + timedelta(days=days))
    found = memory.get_all(user_id="ann")["results"]
    assert [unit["memory"] for unit in found] == ["day 3", "day 1", "day 2", "day 2", "day 0"]


def test_the_time_of_a_message_goes_before_the_time_of_the_call(memory: Memory) -> None:
    said = {"role": "user", "content": "a", "timestamp": "2024-01-01T00:00:00Z"}
    memory.add([said, "b"], user_id="ann", timestamp=NOON)
    a, b = memory.get_all(user_id="ann")["results"]
    assert (a["event_at"], b["event_at"]) == ("2024-01-01T00:00:00+00:00", NOON.isoformat())


def test_metadata_and_agent_are_stored_as_they_were_given(memory: Memory) -> None:
    given = {"topic": "food", "nested": {"list": [1, {"x": None}]}}
    memory.add("a", user_id="ann", agent_id="cook", metadata=given)
    given["nested"]["list"].append(2)  # type: ignore[index]
    (unit,) = memory.get_all(user_id="ann")["results"]
    assert unit["metadata"] == {"topic": "food", "nested": {"list": [1, {"x": None}]}}
    assert unit["agent_id"] == "cook"


def test_what_the_caller_does_to_a_reply_does_not_reach_the_store(memory: Memory) -> None:
    added = memory.add("I keep bees", user_id="ann", metadata={"tags": ["a"]})["results"][0]
    looks: list[Callable[[], Item]] = [
        lambda: memory.get(added["id"]),
        lambda: memory.get_all(user_id="ann")["results"][0],
        lambda: memory.search("bees", user_id="ann", filters={"tags": {"contains": "a"}}, explain=True)["results"][0],
    ]
    for look in looks:
        unit = look()
        unit["metadata"]["tags"].append("b")
        unit["metadata"]["new"] = 1
        unit["roles"].append("nobody")
        unit["source_ids"].clear()
        again = look()
        assert again["metadata"] == {"tags": ["a"]}
        assert (again["roles"], again["source_ids"]) == (["user"], added["source_ids"])


def test_composed_and_decomposed_ids_are_different_users_and_sessions(memory: Memory) -> None:
    for number, name in enumerate(("é", "e\u0301", "É", "ﬁ", "fi")):
        memory.add(f"note {number}", user_id=name, session_id=name)
    assert len(memory.users()) == 5
    assert memory.get_all(user_id="e\u0301")["results"][0]["memory"] == "note 1"


def test_a_memory_on_disk_is_there_after_it_was_closed(tmp_path: Path) -> None:
    with Memory(tmp_path / "deep" / "store", encoder=HashingEncoder(32), background=False) as memory:
        added = memory.add("I keep bees", user_id="ann")["results"][0]
    with Memory(str(tmp_path / "deep" / "store"), encoder=HashingEncoder(32), background=False) as memory:
        assert memory.get(added["id"])["memory"] == "I keep bees"
        assert memory.search("bees", user_id="ann")["results"][0]["id"] == added["id"]


# refusals


@pytest.mark.parametrize("user_id", ["", None, 3, b"ann", "\ud800", ["ann"]])
def test_every_verb_refuses_what_cannot_name_a_user(memory: Memory, user_id: Any) -> None:
    for call in (
        lambda: memory.add("a", user_id=user_id),
        lambda: memory.add_many([], user_id=user_id),
        lambda: memory.search("a", user_id=user_id),
        lambda: memory.context("a", user_id=user_id),
        lambda: memory.get_all(user_id=user_id),
        lambda: memory.delete_all(user_id=user_id),
        lambda: memory.close_session("s", user_id=user_id),
        lambda: memory.flush(user_id=user_id),
        lambda: memory.forget_user(user_id=user_id),
        lambda: memory.export("x", user_id=user_id),
        lambda: memory.backup("x", user_id=user_id),
        lambda: memory.reindex(user_id=user_id),
    ):
        with pytest.raises(InvalidUserId):
            call()
    assert memory.users() == []


def test_a_call_without_a_user_is_a_mistake_python_reports(memory: Memory) -> None:
    with pytest.raises(TypeError, match="user_id"):
        memory.add("a")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="user_id"):
        memory.search("a")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"messages": ""}, InvalidMessage),
        ({"messages": {"content": "x"}}, InvalidMessage),
        ({"messages": "x" * (1 << 20) + "y"}, InvalidMessage),
        ({"messages": "a", "timestamp": "2025-03-01"}, InvalidTime),
        ({"messages": "a", "timestamp": 3}, InvalidTime),
        ({"messages": "a", "session_id": ""}, InvalidInput),
        ({"messages": "a", "session_id": 3}, InvalidInput),
        ({"messages": "a", "agent_id": ""}, InvalidInput),
        ({"messages": "a", "metadata": {"x": {1}}}, InvalidInput),
        ({"messages": "a", "metadata": "x"}, InvalidInput),
        ({"messages": "a", "infer": True}, InvalidInput),
        ({"messages": [{"role": "user", "content": "x", "id": "m"}] * 2}, DuplicateId),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_is_made(
    memory: Memory, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        memory.add(**arguments, user_id="ann")
    assert memory.users() == []


def test_a_message_id_is_stored_once(memory: Memory) -> None:
    memory.add({"role": "user", "content": "a", "id": "m"}, user_id="ann")
    with pytest.raises(DuplicateId):
        memory.add(["b", {"role": "user", "content": "c", "id": "m"}], user_id="ann")
    assert memory.get_all(user_id="ann")["total"] == 1
    assert memory.stats(user_id="ann")["sessions"] == 1
    memory.add({"role": "user", "content": "a", "id": "m"}, user_id="bob")


def test_the_limit_of_a_message_is_an_option() -> None:
    with Memory(":memory:", encoder=HashingEncoder(32), background=False, max_message_bytes=10) as memory:
        memory.add("x" * 10, user_id="ann")
        with pytest.raises(InvalidMessage, match="max_message_bytes"):
            memory.add("x" * 11, user_id="ann")


# many sessions


def test_add_many_stores_sessions_of_both_kinds_and_closes_them(memory: Memory) -> None:
    said = Message(role="user", content="I moved to Lisbon.", event_at=NOON)
    reply = memory.add_many(
        [
            Session(messages=(said,), id="a", agent_id="x", metadata={"k": 1}),
            {"session_id": "b", "messages": ["I keep bees in a garden."], "timestamp": NOON, "metadata": {"k": 2}},
            {"messages": [{"role": "user", "content": "I sail on Sundays."}]},
        ],
        user_id="ann",
    )
    assert [event["session_id"] for event in reply["results"]][:2] == ["a", "b"]
    assert memory.stats(user_id="ann") | {"encoder": None} == {
        "user_id": "ann",
        "units": 6,
        "session_units": 3,
        "turn_units": 3,
        "summary_units": 0,
        "keywords_units": 0,
        "combination_units": 0,
        "fact_units": 0,
        "document_units": 0,
        "sessions": 3,
        "messages": 3,
        "encoder": None,
    }
    assert memory.flush(user_id="ann") == 6
    (first, *_) = memory.get_all(user_id="ann")["results"]
    assert (first["event_at"], first["agent_id"], first["metadata"]) == (NOON.isoformat(), "x", {"k": 1})


def test_add_many_of_nothing_stores_nothing(memory: Memory) -> None:
    assert memory.add_many([], user_id="ann") == {"results": []}
    assert memory.add_many(iter([]), user_id="ann") == {"results": []}
    assert memory.users() == []


@pytest.mark.parametrize(
    "sessions", ["x", b"x", {"messages": "x"}, Session(messages=()), None, 3, [3], [{"messages": ""}]]
)
def test_add_many_of_what_are_no_sessions_is_refused(memory: Memory, sessions: Any) -> None:
    with pytest.raises(InvalidInput):
        memory.add_many(sessions, user_id="ann")
    assert memory.users() == []


def test_add_many_stores_all_or_nothing(memory: Memory) -> None:
    memory.add({"role": "user", "content": "a", "id": "m"}, user_id="ann", session_id="s")
    sessions: list[dict[str, Any]] = [
        {"messages": "b"},
        {"messages": [{"role": "user", "content": "c", "id": "m"}]},
    ]
    with pytest.raises(DuplicateId):
        memory.add_many(sessions, user_id="ann")
    assert memory.get_all(user_id="ann")["total"] == 1
    with pytest.raises(InvalidMessage, match="session 1"):
        memory.add_many([{"messages": "b"}, {"messages": [{"content": "c"}]}], user_id="bob")
    assert memory.users() == ["ann"]


def test_an_error_of_the_iterable_reaches_the_caller(memory: Memory) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield {"messages": "a"}
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        memory.add_many(broken(), user_id="ann")
    assert memory.users() == []


# closing and flushing


def test_an_unknown_session_or_user_cannot_be_closed(memory: Memory) -> None:
    with pytest.raises(UnknownUser):
        memory.close_session("s", user_id="ann")
    with pytest.raises(UnknownUser):
        memory.flush(user_id="ann")
    memory.add("a", user_id="ann", session_id="s")
    with pytest.raises(NotFound, match="'t'"):
        memory.close_session("t", user_id="ann")
    for wrong in ("", 3, None):
        with pytest.raises(InvalidInput):
            memory.close_session(wrong, user_id="ann")  # type: ignore[arg-type]


# settings


@pytest.mark.parametrize(
    "options",
    [
        {"timeout": 0},
        {"timeout": float("inf")},
        {"timeout": float("nan")},
        {"timeout": "30"},
        {"max_open_users": 0},
        {"max_open_users": True},
        {"max_message_bytes": -1},
        {"max_message_bytes": float("inf")},
        {"session_vectors": "sum"},
        {"granularities": ["turns"]},
    ],
)
def test_settings_that_cannot_be_used_are_refused_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        Memory(":memory:", encoder=HashingEncoder(32), **options)


@pytest.mark.parametrize("path", ["", None, 3, b"store"])
def test_a_path_that_is_none_is_refused(path: Any) -> None:
    with pytest.raises(InvalidInput):
        Memory(path, encoder=HashingEncoder(32))


def test_a_file_is_not_a_directory_of_users(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_text("x")
    with pytest.raises(InvalidInput, match="is a file"):
        Memory(file, encoder=HashingEncoder(32))


def test_an_unknown_retriever_or_granularity_names_the_valid_ones(memory: Memory) -> None:
    memory.add("a", user_id="ann")
    with pytest.raises(UnknownName, match="dense"):
        memory.search("a", user_id="ann", retriever="denes")
    with pytest.raises(UnknownName, match="'turn'"):
        memory.search("a", user_id="ann", granularity="turns")
    with pytest.raises(UnknownName, match="'turn'"):
        memory.get_all(user_id="ann", granularity="turns")


def test_a_closed_memory_says_so(tmp_path: Path) -> None:
    memory = Memory(tmp_path, encoder=HashingEncoder(32), background=False)
    added = memory.add("a", user_id="ann")["results"][0]["id"]
    memory.close()
    memory.close()
    for call in (
        lambda: memory.add("a", user_id="ann"),
        lambda: memory.search("a", user_id="ann"),
        lambda: memory.get(added),
        memory.users,
        memory.stats,
        memory.verify,
    ):
        with pytest.raises(InvalidInput, match="closed"):
            call()


# encoders that fail


class Failing(HashingEncoder):
    """An encoder that does something wrong when it meets the word ``poison``."""

    def __init__(self, fault: str) -> None:
        super().__init__(32)
        self.fault = fault

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        vectors = super().encode_documents(texts)
        if not any("poison" in text for text in texts):
            return vectors
        if self.fault == "raises":
            raise RuntimeError("out of memory")
        if self.fault == "stops":
            raise StopIteration
        if self.fault == "nan":
            vectors[0] = np.nan
        if self.fault == "long":
            vectors *= 2
        return vectors[1:] if self.fault == "short" else vectors


@pytest.mark.parametrize("fault", ["raises", "stops", "nan", "long", "short"])
def test_an_encoder_that_fails_stores_nothing(fault: str) -> None:
    with Memory(":memory:", encoder=Failing(fault), background=False) as memory:
        with pytest.raises(EncoderError, match="hashing 32"):
            memory.add("poison", user_id="ann")
        assert memory.users() == []
        added = memory.add("fine", user_id="ann")["results"][0]["id"]
        with pytest.raises(EncoderError):
            memory.update(added, "poison")
        with pytest.raises(EncoderError):
            memory.search("poison", user_id="ann", retriever="dense")
        assert memory.get(added)["memory"] == "fine"
        assert memory.verify()["ok"]


def test_two_encoders_never_mix(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=HashingEncoder(32), background=False) as memory:
        added = memory.add("I adopted a beagle called Rex.", user_id="ann", session_id="s")["results"][0]["id"]
    with Memory(tmp_path, encoder=HashingEncoder(64), background=False) as other:
        for call in (
            lambda: other.add("b", user_id="ann"),
            lambda: other.add({"role": "assistant", "content": "b"}, user_id="ann", session_id="s"),
            lambda: other.search("a", user_id="ann"),
            lambda: other.get_all(user_id="ann"),
            lambda: other.update(added, "b"),
            lambda: other.close_session("s", user_id="ann"),
            lambda: other.flush(user_id="ann"),
        ):
            with pytest.raises(EncoderMismatch, match="hashing/32"):
                call()
        assert not other.verify()["ok"]
        assert "hashing/32" in str(other.verify(user_id="ann")["problems"])
        assert other.get(added)["memory"] == "I adopted a beagle called Rex."
        other.add("bees", user_id="bob")
    with Memory(tmp_path, encoder=HashingEncoder(32), background=False) as memory:
        assert memory.flush(user_id="ann") == 2
        assert memory.verify(user_id="ann")["ok"]
        assert memory.search("beagle", user_id="ann")["results"]


# several at once


def test_all_replies_to_one_turn_are_kept_whoever_is_first(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=HashingEncoder(32), background=False) as memory:
        memory.add({"role": "user", "content": "question"}, user_id="ann", session_id="s")
        others = [Memory(tmp_path, encoder=HashingEncoder(32), background=False) for _ in range(2)]
        errors: list[Exception] = []

        def answer(number: int) -> None:
            try:
                said = {"role": "assistant", "content": f"answer {number}"}
                others[number % 2].add(said, user_id="ann", session_id="s")
            except Exception as error:
                errors.append(error)
                raise

        threads = [Thread(target=answer, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for other in others:
            other.close()
        assert errors == []
        turns = memory.get_all(user_id="ann")["results"]
        lines = [line for turn in turns for line in turn["memory"].split("\n")]
        assert lines[0] == "[user]: question"
        assert sorted(lines[1:]) == sorted(f"[assistant]: answer {number}" for number in range(40))
        assert [len(turn["source_ids"]) for turn in turns] == [32, 9]
        assert [len(memory.history(turn["id"])) for turn in turns] == [32, 9]
        assert memory.verify()["ok"]


def test_replies_that_never_get_their_turn_give_up_in_time(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=HashingEncoder(32), background=False) as rival:
        rival.add({"role": "user", "content": "question"}, user_id="ann", session_id="s")

        class Overtaken(HashingEncoder):
            def encode_documents(self, texts: Sequence[str]) -> Vectors:
                rival.add({"role": "assistant", "content": "me first"}, user_id="ann", session_id="s")
                return super().encode_documents(texts)

        with Memory(tmp_path, encoder=Overtaken(32), background=False, timeout=0.2) as memory:
            with pytest.raises(StoreBusy) as caught:
                memory.add({"role": "assistant", "content": "too late"}, user_id="ann", session_id="s")
            assert caught.value.retryable
        assert "too late" not in str(rival.get_all(user_id="ann", top_k=None))


def test_a_file_that_stays_locked_is_busy_and_can_be_tried_again(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=HashingEncoder(32), background=False, timeout=0.2) as memory:
        memory.add("a", user_id="ann")
        writer = SQLiteStore(tmp_path).open("ann")
        with writer.write(), pytest.raises(StoreBusy) as caught:
            memory.add("b", user_id="ann")
        writer.close()
        assert caught.value.retryable
        memory.add("b", user_id="ann")
        assert memory.get_all(user_id="ann")["total"] == 2
