"""Given summaries and keywords, and combinations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from memagent import AsyncMemory, Memory
from memagent.encoders.cache import CachedEncoder
from memagent.errors import InvalidInput, NotFound, UnknownMemory, UnknownUser
from memagent.retrievers import Dense
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

ENCODER = HashingEncoder(32)
GIVEN = {"summary": "Ann keeps bees and has adopted a dog.", "keywords": "bees; dog"}


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        fill(memory)
        yield memory


def fill(memory: Memory) -> None:
    memory.add("I keep bees in a garden.", user_id="ann", session_id="s", metadata={"topic": "bees"})
    memory.add("I adopted a beagle called Rex.", user_id="ann", session_id="s", metadata={"topic": "bees"})
    memory.close_session("s", user_id="ann")


def texts(memory: Memory, granularity: str, session: str = "s") -> list[str]:
    found = memory.get_all(user_id="ann", granularity=granularity, filters={"session_id": session})
    return [unit["memory"] for unit in found["results"]]


def ids(memory: Memory, granularity: str) -> list[str]:
    return [unit["id"] for unit in memory.get_all(user_id="ann", granularity=granularity)["results"]]


# describing


def test_a_given_description_replaces_the_extracted_one(memory: Memory) -> None:
    before = {granularity: ids(memory, granularity) for granularity in GIVEN}
    reply = memory.describe_session("s", user_id="ann", **GIVEN)
    assert [event["memory"] for event in reply["results"]] == list(GIVEN.values())
    assert {event["event"] for event in reply["results"]} == {"UPDATE"}
    for granularity, text in GIVEN.items():
        assert texts(memory, granularity) == [text]
        assert ids(memory, granularity) == before[granularity]
        (unit,) = memory.get_all(user_id="ann", granularity=granularity)["results"]
        assert unit["metadata"] == {"topic": "bees"}
        assert len(unit["source_ids"]) == 2
        changes = memory.history(unit["id"])
        assert [change["event"] for change in changes] == ["ADD", "UPDATE"]
        assert changes[-1]["new_memory"] == text
    for retriever in ("bm25", "dense"):
        found = memory.search("dog", user_id="ann", granularity="summary", retriever=retriever)["results"]
        assert found[0]["score"] > 0
    assert memory.flush(user_id="ann") == 0
    assert memory.verify()["ok"]


def test_what_is_not_given_stays(memory: Memory) -> None:
    (summary,) = texts(memory, "summary")
    (event,) = memory.describe_session("s", user_id="ann", keywords="bees; dog")["results"]
    assert event["memory"] == "bees; dog"
    assert texts(memory, "summary") == [summary]
    assert texts(memory, "keywords") == ["bees; dog"]


def test_a_session_can_be_described_before_anything_is_extracted(memory: Memory) -> None:
    memory.add_many([{"session_id": "t", "messages": ["I live in Lisbon.", "I play the violin."]}], user_id="ann")
    assert texts(memory, "summary", "t") == []
    reply = memory.describe_session("t", user_id="ann", summary="Ann lives in Lisbon.")
    assert [event["event"] for event in reply["results"]] == ["ADD", "ADD"]
    assert texts(memory, "summary", "t") == ["Ann lives in Lisbon."]
    assert "violin" in texts(memory, "keywords", "t")[0]
    assert memory.flush(user_id="ann") == 0
    assert texts(memory, "summary", "t") == ["Ann lives in Lisbon."]


def test_a_description_is_there_after_a_restart_and_an_import(tmp_path: Path) -> None:
    with Memory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
        fill(memory)
        memory.describe_session("s", user_id="ann", **GIVEN)
    with Memory(tmp_path / "store", encoder=ENCODER, background=False) as memory:
        assert memory.flush(user_id="ann") == 0
        memory.export(tmp_path / "ann.jsonl", user_id="ann")
        memory.import_(tmp_path / "ann.jsonl", user_id="copy")
        assert memory.flush(user_id="copy") == 0
        for user_id in ("ann", "copy"):
            for granularity, text in GIVEN.items():
                found = memory.get_all(user_id=user_id, granularity=granularity)["results"]
                assert [unit["memory"] for unit in found] == [text]


@pytest.mark.parametrize("vectors", ["mean", "text"])
def test_a_description_survives_another_encoder(tmp_path: Path, vectors: Any) -> None:
    options: dict[str, Any] = {"background": False, "session_vectors": vectors}
    with Memory(tmp_path / "store", encoder=ENCODER, **options) as memory:
        fill(memory)
        memory.describe_session("s", user_id="ann", **GIVEN)
    other = HashingEncoder(48)
    with Memory(tmp_path / "store", encoder=other, **options) as memory:
        memory.reindex(user_id="ann")
        assert memory.flush(user_id="ann") == 0
        assert texts(memory, "summary") == [GIVEN["summary"]]
        text = "I keep bees in a garden.\nI adopted a beagle called Rex."
        (hit,) = memory.search(text, user_id="ann", granularity="session", retriever=Dense(by="session"))["results"]
        assert (abs(hit["score"] - 1) < 1e-6) == (vectors == "text")


def test_a_description_goes_when_the_turns_change(memory: Memory) -> None:
    memory.describe_session("s", user_id="ann", **GIVEN)
    memory.update(ids(memory, "turn")[0], "I keep wasps in a shed.")
    assert "wasps" in texts(memory, "summary")[0]
    memory.describe_session("s", user_id="ann", **GIVEN)
    memory.delete(ids(memory, "turn")[0])
    assert texts(memory, "summary") == ["I adopted a beagle called Rex."]
    memory.describe_session("s", user_id="ann", **GIVEN)
    memory.add("Rex eats walnuts.", user_id="ann", session_id="s")
    assert texts(memory, "summary") == texts(memory, "keywords") == []
    memory.close_session("s", user_id="ann")
    assert "walnuts" in texts(memory, "summary")[0]


def test_new_metadata_of_a_turn_leave_the_description_alone(memory: Memory) -> None:
    memory.describe_session("s", user_id="ann", **GIVEN)
    before = ids(memory, "summary")
    for turn in ids(memory, "turn"):
        memory.update(turn, metadata={"topic": "animals", "n": turn})
    assert texts(memory, "summary") == [GIVEN["summary"]]
    assert ids(memory, "summary") == before
    for granularity in ("session", "summary", "keywords"):
        (unit,) = memory.get_all(user_id="ann", granularity=granularity)["results"]
        assert unit["metadata"] == {"topic": "animals"}
    assert memory.search("dog", user_id="ann", granularity="summary", retriever="bm25")["results"][0]["score"] > 0
    assert memory.flush(user_id="ann") == 0
    assert memory.verify()["ok"]


def test_a_deleted_description_leaves_no_text_behind(tmp_path: Path) -> None:
    encoder = CachedEncoder(ENCODER, tmp_path / "cache.sqlite")
    with Memory(tmp_path / "store", encoder=encoder, background=False) as memory:
        fill(memory)
        memory.describe_session("s", user_id="ann", **GIVEN)
        memory.describe_session("s", user_id="ann", summary="Something with xylophones.")
        (session,) = memory.get_all(user_id="ann", granularity="session")["results"]
        memory.delete(session["id"])
        assert encoder.stats().entries == 0
        content = b"".join(path.read_bytes() for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert b"xylophones" not in content
    assert b"adopted a dog" not in content


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"session_id": "none", "summary": "x"}, NotFound, "no session"),
        ({"session_id": "open", "summary": "x"}, InvalidInput, "not closed"),
        ({"session_id": "", "summary": "x"}, InvalidInput, "session_id"),
        ({"session_id": None, "summary": "x"}, InvalidInput, "no session is named"),
        ({}, InvalidInput, "nothing to describe"),
        ({"summary": ""}, InvalidInput, "summary is empty"),
        ({"keywords": " \n"}, InvalidInput, "keywords is empty"),
        ({"summary": 3}, InvalidInput, "summary"),
        ({"keywords": ["bees", "dog"]}, InvalidInput, "keywords"),
        ({"summary": "\ud800"}, InvalidInput, "surrogate"),
        ({"summary": "x" * 2_000_000}, InvalidInput, "bytes"),
        ({"user_id": "eve", "summary": "x"}, UnknownUser, "eve"),
        ({"user_id": "", "summary": "x"}, InvalidInput, "user id"),
    ],
)
def test_what_cannot_describe_a_session_changes_nothing(
    memory: Memory, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    memory.add("I live in Lisbon.", user_id="ann", session_id="open")
    before = texts(memory, "summary"), texts(memory, "keywords")
    arguments: dict[str, Any] = {"session_id": "s", "user_id": "ann", **options}
    with pytest.raises(error, match=said):
        memory.describe_session(**arguments)
    assert (texts(memory, "summary"), texts(memory, "keywords")) == before
    assert memory.users() == ["ann"]


def test_a_memory_that_keeps_no_summaries_takes_none() -> None:
    with Memory(":memory:", encoder=ENCODER, background=False, granularities=["keywords"]) as memory:
        fill(memory)
        with pytest.raises(InvalidInput, match="keeps no summary"):
            memory.describe_session("s", user_id="ann", summary="x")
        memory.describe_session("s", user_id="ann", keywords="bees")
        assert texts(memory, "keywords") == ["bees"]


def test_a_turn_that_is_changed_meanwhile_is_not_described_by_what_was_said_before() -> None:
    class Slow(HashingEncoder):
        def encode_documents(self, texts: Sequence[str]) -> Vectors:
            if GIVEN["summary"] in texts and not changed:
                changed.append(1)
                memory.add("Rex ran away.", user_id="ann", session_id="s")
            return super().encode_documents(texts)

    changed: list[int] = []
    with Memory(":memory:", encoder=Slow(32), background=False) as memory:
        fill(memory)
        with pytest.raises(InvalidInput, match="not closed"):
            memory.describe_session("s", user_id="ann", **GIVEN)
        assert texts(memory, "summary") == []


def interrupted_by(change: Callable[[Memory], object]) -> Memory:
    """A memory in which something else happens while a given summary is encoded for the first time."""

    class Slow(HashingEncoder):
        def encode_documents(self, texts: Sequence[str]) -> Vectors:
            if GIVEN["summary"] in texts and not changed:
                changed.append(1)
                change(memory)
            return super().encode_documents(texts)

    changed: list[int] = []
    memory = combining(encoder=Slow(32))
    fill(memory)
    return memory


def test_two_descriptions_at_once_are_both_in_the_combination() -> None:
    with interrupted_by(lambda memory: memory.describe_session("s", user_id="ann", keywords="wasps")) as memory:
        memory.describe_session("s", user_id="ann", summary=GIVEN["summary"])
        assert texts(memory, "keywords") == ["wasps"]
        assert texts(memory, "summary") == [GIVEN["summary"]]
        assert texts(memory, "combination") == [parts(memory)]


def test_a_summary_that_is_deleted_while_it_is_updated_stays_deleted() -> None:
    with interrupted_by(lambda memory: memory.delete(ids(memory, "summary")[0])) as memory:
        with pytest.raises(UnknownMemory):
            memory.update(ids(memory, "summary")[0], GIVEN["summary"])
        assert texts(memory, "summary") == []


def test_both_faces_describe() -> None:
    async def use() -> list[str]:
        async with AsyncMemory(":memory:", encoder=ENCODER, background=False) as memory:
            await memory.add("I keep bees.", user_id="ann", session_id="s")
            await memory.close_session("s", user_id="ann")
            reply = await memory.describe_session("s", user_id="ann", **GIVEN)
            return [event["memory"] for event in reply["results"]]

    assert asyncio.run(use()) == list(GIVEN.values())


# combinations

ALL = ("summary", "keywords", "combination")


def combining(**options: Any) -> Memory:
    values: dict[str, Any] = {"encoder": ENCODER, "background": False, "granularities": ALL, **options}
    return Memory(":memory:", **values)


def parts(memory: Memory) -> str:
    return "\n".join([*texts(memory, "summary"), *texts(memory, "keywords"), *texts(memory, "session")])


def test_combinations_are_written_only_when_asked_for(memory: Memory) -> None:
    assert memory.stats(user_id="ann")["combination_units"] == 0
    with combining() as other:
        fill(other)
        assert other.stats(user_id="ann")["combination_units"] == 1


def test_a_combination_is_summary_keywords_and_session_in_one_text() -> None:
    with combining() as memory:
        fill(memory)
        (text,) = texts(memory, "combination")
        assert text == parts(memory)
        assert text.count("\n") == 3
        (unit,) = memory.get_all(user_id="ann", granularity="combination")["results"]
        (session,) = memory.get_all(user_id="ann", granularity="session")["results"]
        for key in ("event_at", "source_ids", "roles", "metadata", "agent_id", "session_id"):
            assert unit[key] == session[key]
        expected = float(ENCODER.encode_queries(["bees"])[0] @ ENCODER.encode_documents([text])[0])
        (hit,) = memory.search("bees", user_id="ann", granularity="combination", retriever="dense")["results"]
        assert hit["score"] == pytest.approx(expected, abs=1e-6)
        for retriever in ("bm25", "hybrid"):
            (hit,) = memory.search("bees", user_id="ann", granularity="combination", retriever=retriever)["results"]
            assert hit["memory"] == text
        assert memory.search("bees", user_id="ann", granularity="combination", filters={"topic": "tax"}) == {
            "results": []
        }
        assert memory.verify()["ok"]


def test_combinations_are_searched_though_some_have_no_keywords() -> None:
    with combining() as memory:
        memory.add("!!!", user_id="ann", session_id="t")
        fill(memory)
        memory.flush(user_id="ann")
        assert [len(ids(memory, granularity)) for granularity in ALL] == [2, 1, 2]
        for retriever in ("bm25", "hybrid", "dense"):
            found = memory.search("bees", user_id="ann", granularity="combination", retriever=retriever)["results"]
            assert len(found) == 2
            assert retriever == "bm25" or "bees" in found[0]["memory"]


def test_a_combination_needs_no_summary_units_beside_it() -> None:
    with combining(granularities=["combination"]) as memory:
        fill(memory)
        assert texts(memory, "summary") == []
        (text,) = texts(memory, "combination")
        assert text.endswith("\nI keep bees in a garden.\nI adopted a beagle called Rex.")
        assert text.count("\n") == 3


def test_a_combination_follows_its_parts() -> None:
    with combining() as memory:
        fill(memory)
        before = ids(memory, "combination")
        reply = memory.describe_session("s", user_id="ann", **GIVEN)
        assert len(reply["results"]) == 3
        assert texts(memory, "combination") == [parts(memory)]
        memory.update(ids(memory, "summary")[0], "Ann has a zoo.", metadata={"by": "hand"})
        assert texts(memory, "combination") == [parts(memory)]
        assert "zoo" in parts(memory)
        assert memory.get(ids(memory, "summary")[0])["metadata"] == {"by": "hand"}
        assert ids(memory, "combination") == before
        memory.update(ids(memory, "turn")[0], "I keep wasps in a shed.")
        assert texts(memory, "combination") == [parts(memory)]
        assert "wasps" in parts(memory)
        memory.delete(ids(memory, "turn")[0])
        assert texts(memory, "combination") == [parts(memory)]
        assert memory.verify()["ok"]


def test_with_a_part_the_combination_is_deleted_and_alone_it_can_be() -> None:
    with combining() as memory:
        fill(memory)
        memory.delete(ids(memory, "keywords")[0])
        assert texts(memory, "combination") == []
        assert len(texts(memory, "summary")) == 1
        assert memory.flush(user_id="ann") == 0
        memory.add("Rex sleeps.", user_id="ann", session_id="s")
        memory.close_session("s", user_id="ann")
        memory.delete(ids(memory, "combination")[0])
        assert texts(memory, "combination") == []
        assert len(texts(memory, "summary")) == 1


def test_a_combination_is_not_updated_by_itself() -> None:
    with combining() as memory:
        fill(memory)
        for change in ({"text": "x"}, {"metadata": {"a": 1}}):
            with pytest.raises(InvalidInput, match="its parts"):
                memory.update(ids(memory, "combination")[0], **change)
        assert texts(memory, "combination") == [parts(memory)]


def test_combinations_are_exported_and_imported(tmp_path: Path) -> None:
    with combining() as memory:
        fill(memory)
        memory.export(tmp_path / "ann.jsonl", user_id="ann")
        memory.import_(tmp_path / "ann.jsonl", user_id="copy")
        (unit,) = memory.get_all(user_id="copy", granularity="combination")["results"]
        assert [unit["memory"]] == texts(memory, "combination")
        assert memory.flush(user_id="copy") == 0
        assert memory.verify()["ok"]


def test_metadata_given_to_a_summary_survives_new_metadata_of_a_turn(memory: Memory) -> None:
    (summary,) = ids(memory, "summary")
    memory.update(summary, metadata={"topic": "bees", "reviewed": True}, user_id="ann")
    for turn in ids(memory, "turn"):
        memory.update(turn, metadata={"topic": "animals"}, user_id="ann")
    assert memory.get(summary)["metadata"] == {"topic": "animals", "reviewed": True}
