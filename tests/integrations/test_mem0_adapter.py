"""mem0's calls on a memagent memory, as mem0 2.2's documentation and signatures have them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chat_doubles import fact_writer

import memagent
from memagent.errors import InvalidFilter, InvalidInput, InvalidTime, UnknownMemory, UnknownName
from memagent.integrations.mem0 import AsyncMemory, Memory
from memagent.testing import HashingEncoder

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "I love hiking."},
    {"role": "assistant", "content": "Where do you hike?"},
]
ITEM = {"id", "memory", "hash", "metadata", "created_at", "updated_at", "user_id", "run_id", "role"}
OURS = {"event_at", "granularity", "source_ids"}


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=HashingEncoder()) as memory:
        yield memory


def texts(reply: dict[str, Any]) -> list[str]:
    return [item["memory"] for item in reply["results"]]


def test_the_calls_of_a_mem0_program_work(memory: Memory) -> None:
    added = memory.add("I love hiking", user_id="ann", metadata={"category": "hobbies"}, infer=False)
    (event,) = added["results"]
    assert event.keys() == {"id", "memory", "event"}
    assert (event["memory"], event["event"]) == ("I love hiking", "ADD")

    (found,) = memory.search("What does she love?", filters={"user_id": "ann"}, top_k=3)["results"]
    assert found.keys() == ITEM | OURS | {"score"}
    assert (found["user_id"], found["metadata"], found["role"]) == ("ann", {"category": "hobbies"}, "user")
    assert memory.get(event["id"]) == {key: value for key, value in found.items() if key != "score"}
    assert texts(memory.get_all(filters={"user_id": "ann"})) == ["I love hiking"]

    assert memory.update(event["id"], text="I love sailing") == {"message": "Memory updated successfully!"}
    assert memory.update(event["id"], data="I love rowing") == {"message": "Memory updated successfully!"}
    entries = memory.history(event["id"])
    assert [(e["event"], e["old_memory"], e["new_memory"]) for e in entries] == [
        ("ADD", None, "I love hiking"),
        ("UPDATE", "I love hiking", "I love sailing"),
        ("UPDATE", "I love sailing", "I love rowing"),
    ]
    assert len({entry["id"] for entry in entries}) == 3
    assert memory.delete(event["id"]) == {"message": "Memory deleted successfully!"}
    assert memory.get(event["id"]) is None
    assert memory.history(event["id"])[-1]["is_deleted"] is True


def test_messages_become_turns_and_instructions_are_left_out(memory: Memory) -> None:
    memory.add(TALK, user_id="ann", agent_id="guide", run_id="r1")
    (item,) = memory.get_all(filters={"user_id": "ann"})["results"]
    assert item["memory"] == "[user]: I love hiking.\n[assistant]: Where do you hike?"
    assert (item["agent_id"], item["run_id"], item["role"]) == ("guide", "r1", "user")
    memory.add({"role": "user", "content": "In Norway."}, user_id="ann", run_id="r1")
    assert len(texts(memory.get_all(filters={"user_id": "ann", "run_id": "r1"}))) == 2


def test_scopes_narrow_what_is_found(memory: Memory) -> None:
    memory.add("one", user_id="ann", agent_id="a", run_id="r", infer=False)
    memory.add("two", user_id="ann", agent_id="b", infer=False)
    memory.add("three", user_id="bob", agent_id="a", infer=False)
    found: Callable[[dict[str, Any]], list[str]] = lambda filters: texts(memory.get_all(filters=filters))  # noqa: E731
    assert found({"user_id": "ann"}) == ["one", "two"]
    assert found({"user_id": "ann", "agent_id": "a"}) == ["one"]
    assert found({"AND": [{"user_id": "ann"}, {"agent_id": "b"}]}) == ["two"]
    assert found({"AND": [{"user_id": "ann"}, {"OR": [{"agent_id": "b"}, {"run_id": "r"}]}]}) == ["one", "two"]
    assert found({"user_id": "ann", "NOT": [{"agent_id": "b"}]}) == ["one"]
    assert memory.delete_all(user_id="ann", agent_id="a")["message"] == "Memories deleted successfully!"
    assert found({"user_id": "ann"}) == ["two"]
    assert memory.delete_all(user_id="nobody")["message"] == "Memories deleted successfully!"
    memory.reset()
    assert found({"user_id": "ann"}) == found({"user_id": "bob"}) == []


def test_filters_have_mem0s_words(memory: Memory) -> None:
    for number, topic in enumerate(["Food", "food", "work"]):
        memory.add(f"fact {number}", user_id="ann", metadata={"topic": topic, "n": number}, infer=False)
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"topic": "food"}, [1]),
        ({"topic": "*"}, [0, 1, 2]),
        ({"topic": {"icontains": "FOO"}}, [0, 1]),
        ({"topic": {"contains": "oo"}}, [0, 1]),
        ({"topic": {"in": ["work", "food"]}}, [1, 2]),
        ({"topic": {"nin": ["work"]}}, [0, 1]),
        ({"n": {"gte": 1, "lt": 2}}, [1]),
        ({"n": {"ne": 1}}, [0, 2]),
        ({"OR": [{"n": {"eq": 0}}, {"n": {"gt": 1}}]}, [0, 2]),
        ({"role": "assistant"}, []),
    ]
    for filters, numbers in cases:
        found = memory.get_all(filters={"user_id": "ann", **filters})
        assert texts(found) == [f"fact {number}" for number in numbers], filters
    # A label that is called like a field of memagent's is the label.
    memory.add("labelled", user_id="ann", metadata={"session_id": "mine"}, infer=False)
    assert texts(memory.get_all(filters={"user_id": "ann", "session_id": "mine"})) == ["labelled"]


def test_metadata_are_laid_over_what_is_there(memory: Memory) -> None:
    identifier = memory.add("x", user_id="ann", metadata={"a": 1, "b": 2}, infer=False)["results"][0]["id"]
    memory.update(identifier, metadata={"b": 3})
    found = memory.get(identifier)
    assert found is not None
    assert found["metadata"] == {"a": 1, "b": 3}
    assert found["memory"] == "x"


def test_a_memory_that_has_expired_is_hidden(memory: Memory) -> None:
    today = datetime.now(UTC).date()
    for day in (today - timedelta(days=1), today):
        memory.add(f"until {day}", user_id="ann", expiration_date=day.isoformat(), infer=False)
    old = memory.add("for ever", user_id="ann", infer=False)["results"][0]["id"]
    mine = {"user_id": "ann"}
    assert texts(memory.get_all(filters=mine)) == [f"until {today}", "for ever"]
    assert len(texts(memory.get_all(filters=mine, show_expired=True))) == 3
    assert len(texts(memory.search("until", filters=mine))) == 2
    assert len(texts(memory.search("until", filters=mine, show_expired=True))) == 3
    memory.update(old, expiration_date=date(2001, 1, 1))
    assert texts(memory.get_all(filters=mine)) == [f"until {today}"]
    memory.update(old, expiration_date=None)
    assert len(texts(memory.get_all(filters=mine))) == 2
    with pytest.raises(InvalidTime, match="no day"):
        memory.add("x", user_id="ann", expiration_date="soon")


def test_a_threshold_is_a_cosine_or_is_refused() -> None:
    with Memory(":memory:", encoder=HashingEncoder(), retriever="dense") as memory:
        memory.add("I love hiking", user_id="ann", infer=False)
        memory.add("The boiler is broken", user_id="ann", infer=False)
        found = memory.search("I love hiking", filters={"user_id": "ann"}, threshold=0.9, explain=True)
        assert texts(found) == ["I love hiking"]
        assert found["results"][0]["score_details"]
    with Memory(":memory:", encoder=HashingEncoder()) as memory, pytest.raises(InvalidInput, match="threshold"):
        memory.search("x", filters={"user_id": "ann"}, threshold=0.3)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda m: m.add("x"), InvalidInput, "no user is named"),
        (lambda m: m.add("x", agent_id="a"), InvalidInput, "no user is named"),
        (lambda m: m.add("x", user_id="ann", infer=True), InvalidInput, "model"),
        (lambda m: m.add("x", user_id="ann", memory_type="procedural_memory"), InvalidInput, "memory_type"),
        (lambda m: m.add("x", user_id="ann", prompt="y"), InvalidInput, "prompt"),
        (lambda m: m.add("x", user_id="a b"), InvalidInput, "has space"),
        (lambda m: m.add("x", user_id=" "), InvalidInput, "empty"),
        (lambda m: m.add(3, user_id="ann"), InvalidInput, "messages cannot be int"),
        (lambda m: m.search("x"), InvalidInput, "no user is named"),
        (lambda m: m.search("x", user_id="ann"), InvalidInput, "name the user in filters"),
        (lambda m: m.search("x", filters={"agent_id": "a"}), InvalidInput, "no user is named"),
        (lambda m: m.search("x", filters={"OR": [{"user_id": "ann"}]}), InvalidInput, "no user is named"),
        (lambda m: m.search("x", filters={"user_id": {"in": ["a", "b"]}}), InvalidInput, "user_id is"),
        (lambda m: m.search("x", filters={"AND": [{"user_id": "a"}, {"user_id": "b"}]}), InvalidInput, "several users"),
        (
            lambda m: m.search("x", filters={"user_id": "ann", "NOT": [{"user_id": "bob"}]}),
            InvalidFilter,
            "inside OR or NOT",
        ),
        (lambda m: m.search("x", filters={"user_id": "ann", "actor_id": "z"}), InvalidFilter, "actor_id"),
        (lambda m: m.search("x", filters={"user_id": "ann", "a": {"like": "z"}}), InvalidFilter, "like"),
        (lambda m: m.search("x", filters="ann"), InvalidFilter, "filters is str"),
        (lambda m: m.search("x", filters={"user_id": "ann"}, rerank=True), InvalidInput, "rerank"),
        (lambda m: m.search("x", filters={"user_id": "ann"}, reference_date="z"), InvalidInput, "reference_date"),
        (lambda m: m.search("", filters={"user_id": "ann"}), InvalidInput, "empty"),
        (lambda m: m.search("x", filters={"user_id": "ann"}, top_k=0), InvalidInput, "top_k"),
        (lambda m: m.get_all(user_id="ann"), InvalidInput, "name the user in filters"),
        (lambda m: m.search("x", filters={"user_id": "*"}), InvalidInput, "everybody"),
        (lambda m: m.delete_all(user_id="*"), InvalidInput, "everybody"),
        (lambda m: m.search("x", filters={"user_id": "ann"}, limit=3), InvalidInput, "limit.*top_k="),
        (lambda m: m.delete_all(), InvalidInput, "reset"),
        (lambda m: m.delete("none"), UnknownMemory, "no memory has the id"),
        (lambda m: m.update("none", text="x"), UnknownMemory, "no memory has the id"),
        (lambda m: Memory.from_config({"llm": {"provider": "openai"}}), InvalidInput, "no llm section"),
        (lambda m: Memory.from_config(None), InvalidInput, "the config is NoneType"),  # type: ignore[arg-type]
        (lambda m: Memory.from_config({"folder": "store"}), InvalidInput, "unknown settings"),
    ],
)
def test_what_memagent_cannot_do_is_refused_by_name(
    call: Callable[[Memory], Any], error: type[Exception], words: str, memory: Memory
) -> None:
    memory.add("I love hiking", user_id="ann", infer=False)
    with pytest.raises(error, match=words):
        call(memory)
    assert len(texts(memory.get_all(filters={"user_id": "ann"}))) == 1


def test_facts_that_a_model_infers_are_searched_if_that_is_wanted() -> None:
    model = fact_writer("The user loves hiking.")
    options: dict[str, Any] = {"infer": True, "wait": 30, "granularity": "fact"}
    with Memory(":memory:", encoder=HashingEncoder(), model=model, **options) as memory:
        memory.add(TALK, user_id="ann")
        memory.add("not looked at", user_id="ann", infer=False)
        mine = {"user_id": "ann"}
        assert texts(memory.search("hiking", filters=mine)) == ["The user loves hiking."]
        assert texts(memory.get_all(filters=mine)) == ["The user loves hiking."]
    with pytest.raises(UnknownName, match="magic"):
        Memory(":memory:", granularity="magic")


def test_calls_that_name_no_user_work_on_the_default_user() -> None:
    with Memory(":memory:", encoder=HashingEncoder(), default_user="everybody") as memory:
        memory.add("x", agent_id="a", infer=False)
        assert texts(memory.search("x", filters={"agent_id": "a"})) == ["x"]
        assert memory.native.users() == ["everybody"]


def test_a_store_is_made_from_a_config_and_used_by_memagent_too(tmp_path: Path) -> None:
    with Memory.from_config({"path": tmp_path, "encoder": HashingEncoder()}) as memory:
        memory.add("I love hiking", user_id=7, infer=False)  # type: ignore[arg-type]  # mem0 takes numbers too
        assert isinstance(memory.native, memagent.Memory)
    with memagent.Memory(tmp_path, encoder=HashingEncoder()) as native:
        assert native.get_all(user_id="7")["total"] == 1


def test_the_twin_for_event_loops_does_the_same() -> None:
    async def talk() -> None:
        async with AsyncMemory(":memory:", encoder=HashingEncoder()) as memory:
            identifier = (await memory.add("I love hiking", user_id="ann", infer=False))["results"][0]["id"]
            mine = {"user_id": "ann"}
            assert texts(await memory.search("hiking", filters=mine)) == ["I love hiking"]
            await memory.update(identifier, text="I love sailing", metadata={"a": 1})
            found = await memory.get(identifier)
            assert found is not None
            assert (found["memory"], found["metadata"]) == ("I love sailing", {"a": 1})
            assert len(await memory.history(identifier)) >= 2
            await memory.delete(identifier)
            assert (await memory.get_all(filters=mine))["results"] == []
            await memory.delete_all(user_id="ann")
            await memory.reset()
            assert await memory.native.users() == []

    asyncio.run(talk())


def test_the_twins_take_the_same_arguments() -> None:
    verbs = ("add", "search", "get", "get_all", "update", "delete", "delete_all", "history", "reset", "close")
    for verb in verbs:
        one, other = (inspect.signature(getattr(kind, verb)) for kind in (Memory, AsyncMemory))
        assert one == other, verb
