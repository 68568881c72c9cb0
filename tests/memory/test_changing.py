from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from memagent import Memory
from memagent.encoders.cache import CachedEncoder
from memagent.errors import EncoderMismatch, InvalidFilter, InvalidInput, StoreBusy, UnknownMemory, UnknownUser
from memagent.testing import HashingEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

ENCODER = HashingEncoder(32)
START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:", encoder=ENCODER, background=False) as memory:
        yield memory


def texts(memory: Memory, granularity: str = "turn") -> list[str]:
    found = memory.get_all(user_id="ann", granularity=granularity, top_k=None)["results"]
    return [unit["memory"] for unit in found]


def add(memory: Memory, text: str, **options: Any) -> str:
    return memory.add(text, user_id="ann", **options)["results"][0]["id"]


# update


def test_an_updated_memory_is_found_by_its_new_text_only(memory: Memory) -> None:
    one = add(memory, "I keep bees", timestamp=START, metadata={"topic": "animals"})
    add(memory, "I like tea")
    before = memory.get(one)
    reply = memory.update(one, "I collect stamps", user_id="ann")
    assert reply == {"id": one, "event": "UPDATE", "message": reply["message"]}
    after = memory.get(one)
    changed = {key for key in after if after[key] != before[key]}  # type: ignore[literal-required]
    assert changed == {"memory", "updated_at"}
    for retriever in ("dense", "bm25", "hybrid"):
        best = memory.search("stamps", user_id="ann", retriever=retriever)["results"][0]
        assert best["id"] == one
    assert memory.search("bees", user_id="ann", retriever="bm25")["results"][0]["score"] == 0


def test_metadata_is_replaced_as_a_whole_and_alone(memory: Memory) -> None:
    one = add(memory, "I keep bees", metadata={"topic": "animals", "sure": True})
    memory.update(one, metadata={"topic": "insects"})
    assert memory.get(one)["metadata"] == {"topic": "insects"}
    assert memory.get(one)["memory"] == "I keep bees"
    assert memory.search("bees", user_id="ann", retriever="bm25")["results"][0]["score"] > 0
    memory.update(one, "I keep wasps", metadata={})
    assert memory.get(one)["metadata"] == {}
    assert memory.get_all(user_id="ann", granularity="session")["results"][0]["metadata"] == {}


def test_updating_a_turn_of_a_closed_session_writes_its_summary_anew(memory: Memory) -> None:
    one = add(memory, "I adopted a beagle called Rex.", session_id="s")
    memory.close_session("s", user_id="ann")
    memory.update(one, "I adopted a poodle called Max.", metadata={"topic": "pets"})
    assert texts(memory, "summary") == ["I adopted a poodle called Max."]
    assert texts(memory, "session") == ["I adopted a poodle called Max."]
    assert "Rex" not in texts(memory, "keywords")[0]
    assert memory.get_all(user_id="ann", granularity="summary")["results"][0]["metadata"] == {"topic": "pets"}


def test_a_summary_can_be_corrected_by_hand(memory: Memory) -> None:
    add(memory, "I adopted a beagle called Rex.", session_id="s")
    (summary, _) = memory.close_session("s", user_id="ann")["results"]
    memory.update(summary["id"], "Ann has a dog now.")
    assert texts(memory, "summary") == ["Ann has a dog now."]
    assert memory.search("dog", user_id="ann", granularity="summary", retriever="bm25")["results"][0]["score"] > 0
    assert memory.flush(user_id="ann") == 0
    assert [entry["event"] for entry in memory.history(summary["id"])] == ["ADD", "UPDATE"]


def test_the_text_of_a_session_is_not_updated_but_its_turns_are(memory: Memory) -> None:
    add(memory, "I keep bees", session_id="s")
    session = memory.get_all(user_id="ann", granularity="session")["results"][0]["id"]
    for change in ({"text": "x"}, {"metadata": {"a": 1}}):
        with pytest.raises(InvalidInput, match="turns"):
            memory.update(session, **change)
    assert texts(memory, "session") == ["I keep bees"]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"text": ""},
        {"text": "  "},
        {"text": 3},
        {"text": "\ud800"},
        {"text": "x" * 2_000_000},
        {"metadata": "x"},
        {"metadata": {"a": object()}},
    ],
)
def test_an_update_that_cannot_be_stored_changes_nothing(memory: Memory, arguments: dict[str, Any]) -> None:
    one = add(memory, "I keep bees")
    before = memory.get(one)
    with pytest.raises(InvalidInput):
        memory.update(one, **arguments)
    assert memory.get(one) == before
    assert len(memory.history(one)) == 1


# delete


def test_a_deleted_turn_leaves_its_session_as_if_it_had_never_been(memory: Memory) -> None:
    for minute, note in enumerate(
        ("I keep bees in a garden.", "I adopted a beagle called Rex.", "I live near the harbour.")
    ):
        add(memory, note, session_id="s", timestamp=START + timedelta(minutes=minute), metadata={"n": minute == 1})
    memory.close_session("s", user_id="ann")
    gone = memory.get_all(user_id="ann")["results"][1]
    reply = memory.delete(gone["id"], user_id="ann")
    assert reply == {"id": gone["id"], "event": "DELETE", "message": reply["message"]}
    assert len(texts(memory)) == 2
    for granularity in ("session", "summary", "keywords"):
        (text,) = texts(memory, granularity)
        assert "Rex" not in text
        assert "beagle" not in text
    (session,) = memory.get_all(user_id="ann", granularity="session")["results"]
    assert session["metadata"] == {"n": False}
    assert len(session["source_ids"]) == 2
    assert memory.search("beagle", user_id="ann", retriever="bm25")["results"][0]["score"] == 0
    with pytest.raises(UnknownMemory):
        memory.delete(gone["id"])


def test_with_its_last_turn_a_session_goes(memory: Memory) -> None:
    one = add(memory, "I keep bees in a garden.", session_id="s")
    memory.close_session("s", user_id="ann")
    memory.delete(one)
    assert memory.stats(user_id="ann")["units"] == 0
    assert memory.stats(user_id="ann")["sessions"] == 0
    add(memory, "Again.", session_id="s")
    assert texts(memory, "session") == ["Again."]


def test_deleting_a_session_deletes_its_turns(memory: Memory) -> None:
    turn = add(memory, "I keep bees in a garden.", session_id="s")
    add(memory, "I adopted a beagle called Rex.", session_id="t")
    session = memory.get_all(user_id="ann", granularity="session", filters={"session_id": "s"})["results"][0]["id"]
    memory.delete(session)
    assert texts(memory) == ["I adopted a beagle called Rex."]
    for memory_id in (turn, session):
        assert memory.history(memory_id)[-1]["is_deleted"]


def test_a_deleted_summary_is_not_written_again(memory: Memory) -> None:
    add(memory, "I keep bees in a garden.", session_id="s")
    (summary, _) = memory.close_session("s", user_id="ann")["results"]
    memory.delete(summary["id"])
    assert memory.flush(user_id="ann") == 0
    assert texts(memory, "summary") == []
    assert len(texts(memory, "keywords")) == 1
    assert len(texts(memory)) == 1


# delete_all


def filled(memory: Memory) -> None:
    for number in range(6):
        add(memory, f"note number {number}", session_id=f"s{number // 2}", metadata={"odd": number % 2 == 1})
    memory.add("not mine", user_id="bob", session_id="s0")
    memory.flush(user_id="ann")


def test_delete_all_empties_one_user(memory: Memory) -> None:
    filled(memory)
    reply = memory.delete_all(user_id="ann")
    assert reply == {"deleted": 6, "message": reply["message"]}
    assert memory.stats(user_id="ann")["units"] == 0
    assert memory.users() == ["ann", "bob"]
    assert memory.get_all(user_id="bob")["total"] == 1
    assert memory.delete_all(user_id="ann")["deleted"] == 0


def test_delete_all_can_be_restricted(memory: Memory) -> None:
    filled(memory)
    assert memory.delete_all(user_id="ann", session_id="s0")["deleted"] == 2
    assert memory.delete_all(user_id="ann", filters={"odd": True})["deleted"] == 2
    assert texts(memory) == ["note number 2", "note number 4"]
    assert texts(memory, "session") == ["note number 2", "note number 4"]
    assert memory.delete_all(user_id="ann", session_id="s1", filters={"odd": True})["deleted"] == 0
    assert memory.delete_all(user_id="ann", session_id="unknown")["deleted"] == 0
    assert len(texts(memory, "summary")) == 1  # s2 is still open
    assert memory.verify()["ok"]


def test_a_session_id_is_never_a_pattern(memory: Memory) -> None:
    filled(memory)
    assert memory.delete_all(user_id="ann", session_id="*")["deleted"] == 0
    assert memory.get_all(user_id="ann")["total"] == 6
    add(memory, "starred", session_id="*")
    assert memory.delete_all(user_id="ann", session_id="*")["deleted"] == 1


@pytest.mark.parametrize(
    "arguments", [{"session_id": ""}, {"session_id": 3}, {"filters": {"a": {"x": 1}}}, {"filters": "odd"}]
)
def test_what_cannot_be_meant_deletes_nothing(memory: Memory, arguments: dict[str, Any]) -> None:
    filled(memory)
    with pytest.raises((InvalidInput, InvalidFilter)):
        memory.delete_all(user_id="ann", **arguments)
    assert memory.get_all(user_id="ann")["total"] == 6
    with pytest.raises(UnknownUser):
        memory.delete_all(user_id="eve")


# what follows a change may fail without undoing it


class Moody(HashingEncoder):
    """An encoder that can be told to fail."""

    broken = False

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        if self.broken:
            raise RuntimeError("no memory left")
        return super().encode_documents(texts)


def test_a_deletion_holds_even_if_the_summary_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    encoder = Moody(32)
    with Memory(":memory:", encoder=encoder, background=False) as memory:
        add(memory, "I keep bees in a garden.", session_id="s")
        gone = add(memory, "I adopted a beagle called Rex.", session_id="s")
        memory.close_session("s", user_id="ann")
        encoder.broken = True
        with caplog.at_level(logging.WARNING, logger="memagent"):
            assert memory.delete(gone)["event"] == "DELETE"
        assert "no memory left" in caplog.text
        assert texts(memory) == ["I keep bees in a garden."]
        assert texts(memory, "summary") == []
        encoder.broken = False
        assert memory.flush(user_id="ann") == 2
        assert texts(memory, "summary") == ["I keep bees in a garden."]


def test_memories_can_be_deleted_without_the_encoder_that_made_them(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        one = add(memory, "I keep bees in a garden.", session_id="s")
        add(memory, "I adopted a beagle called Rex.", session_id="s")
        memory.close_session("s", user_id="ann")
    with Memory(tmp_path, encoder=HashingEncoder(64), background=False) as other:
        other.delete(one)
        with pytest.raises(EncoderMismatch):
            other.flush(user_id="ann")
        assert other.history(one)[-1]["is_deleted"]
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        assert memory.flush(user_id="ann") == 2
        assert texts(memory) == texts(memory, "summary") == ["I adopted a beagle called Rex."]
        assert memory.verify()["ok"]


# forget


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_forgotten_user_is_gone_and_may_come_back(tmp_path: Path, on_disk: bool) -> None:
    with Memory(tmp_path if on_disk else ":memory:", encoder=ENCODER, background=False) as memory:
        filled(memory)
        counts = memory.stats(user_id="ann")
        erased = memory.forget_user(user_id="ann")
        assert erased == {
            "user_id": "ann",
            "units": counts["units"],
            "sessions": 3,
            "messages": 6,
            "cached_vectors": 0,
        }
        assert memory.users() == ["bob"]
        for call in (lambda: memory.search("a", user_id="ann"), lambda: memory.forget_user(user_id="ann")):
            with pytest.raises(UnknownUser):
                call()
        add(memory, "I am back.")
        assert texts(memory) == ["I am back."]
        assert memory.get_all(user_id="bob")["total"] == 1


def test_nothing_that_was_embedded_stays_in_the_cache(tmp_path: Path) -> None:
    encoder = CachedEncoder(ENCODER, tmp_path / "cache.sqlite")
    with Memory(tmp_path / "store", encoder=encoder, background=False) as memory:
        memory.add("Somebody else's words.", user_id="bob")
        kept = encoder.stats().entries
        talk = [f"I saw bird number {number} today. It was sitting in a tree." for number in range(6)]
        first = add(memory, talk[0], session_id="s")
        memory.add({"role": "assistant", "content": "How nice."}, user_id="ann", session_id="s")
        memory.update(first, "I saw an owl today. It was asleep in the barn.")
        memory.add(talk[1:], user_id="ann", session_id="s")
        memory.close_session("s", user_id="ann")
        assert encoder.stats().entries > kept
        session = memory.get_all(user_id="ann", granularity="session")["results"][0]["id"]
        memory.delete(session)
        assert encoder.stats().entries == kept

        add(memory, talk[0], session_id="t")
        memory.add({"role": "assistant", "content": "How nice."}, user_id="ann", session_id="t")
        memory.add(talk[1:], user_id="ann", session_id="t")
        memory.close_session("t", user_id="ann")
        cached = encoder.stats().entries - kept
        assert memory.forget_user(user_id="ann")["cached_vectors"] == cached
        assert encoder.stats().entries == kept


def test_a_deleted_turn_takes_the_vectors_of_its_older_texts_along(tmp_path: Path) -> None:
    encoder = CachedEncoder(ENCODER, tmp_path / "cache.sqlite")
    with Memory(tmp_path / "store", encoder=encoder, background=False) as memory:
        one = add(memory, "I live in Porto", session_id="s")
        memory.add({"role": "assistant", "content": "Since when?"}, user_id="ann", session_id="s")
        memory.update(one, "I live in Lisbon")
        assert encoder.stats().entries > 0
        memory.delete(one)
        assert encoder.stats().entries == 0


# reindex


def test_reindexing_moves_a_user_to_another_encoder(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        filled(memory)
        stranger = Memory(tmp_path, encoder=HashingEncoder(48), background=False)
        before = memory.get_all(user_id="ann")
        with pytest.raises(EncoderMismatch, match="reindex"):
            stranger.search("note", user_id="ann")
        assert stranger.reindex(user_id="ann") == 6 + 2 * 2
        assert stranger.get_all(user_id="ann") == before
        assert stranger.stats(user_id="ann")["encoder"] == "hashing/48"
        assert stranger.verify(user_id="ann")["ok"]
        best = stranger.search("note number 3", user_id="ann", retriever="dense")["results"][0]
        assert (best["memory"], round(best["score"], 4)) == ("note number 3", 1)
        assert stranger.search("note", user_id="ann", granularity="session")["results"]
        with pytest.raises(EncoderMismatch):
            memory.search("note", user_id="ann")
        assert memory.search("mine", user_id="bob")["results"]
        stranger.add("one more", user_id="ann")
        stranger.close()


def test_reindexing_with_the_same_encoder_changes_nothing(memory: Memory) -> None:
    filled(memory)
    before = memory.search("number 3", user_id="ann", granularity="session")
    assert memory.reindex(user_id="ann") == 10
    assert memory.search("number 3", user_id="ann", granularity="session") == before
    assert memory.verify()["ok"]
    memory.delete_all(user_id="ann")
    assert memory.reindex(user_id="ann") == 0
    with pytest.raises(UnknownUser):
        memory.reindex(user_id="eve")


def test_a_change_during_reindexing_is_noticed(tmp_path: Path) -> None:
    with Memory(tmp_path, encoder=ENCODER, background=False) as memory:
        filled(memory)

        class Slow(HashingEncoder):
            def encode_documents(self, texts: Sequence[str]) -> Vectors:
                add(memory, "said meanwhile")
                return super().encode_documents(texts)

        with Memory(tmp_path, encoder=Slow(48), background=False) as stranger:
            with pytest.raises(StoreBusy) as caught:
                stranger.reindex(user_id="ann")
            assert caught.value.retryable
        assert memory.verify()["ok"]
        assert "said meanwhile" in texts(memory)
