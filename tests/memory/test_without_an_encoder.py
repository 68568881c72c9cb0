from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest

from memagent import Memory
from memagent.encoders.cache import CachedEncoder
from memagent.errors import EncoderError, EncoderMismatch
from memagent.testing import HashingEncoder

NOWHERE = "./nowhere/no model"  # as the name of an encoder: cannot be loaded


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "store"
    with Memory(root, encoder=HashingEncoder(32), background=False) as memory:
        for session in ("s", "t"):
            memory.add("I keep bees.", user_id="ann", session_id=session)
            memory.add("The hens are new.", user_id="ann", session_id=session)
        memory.close_session("s", user_id="ann")
        memory.add("I sail.", user_id="bob")
    return root


def test_what_embeds_nothing_needs_no_encoder(root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Memory(root, encoder=HashingEncoder(32), background=False) as memory:
        of_s, _, of_t, _ = (unit["id"] for unit in memory.get_all(user_id="ann")["results"])
    with Memory(root, encoder=NOWHERE, background=False) as memory:
        assert memory.get(of_t)["memory"] == "I keep bees."
        assert [entry["event"] for entry in memory.history(of_t)] == ["ADD"]
        assert memory.stats(user_id="ann")["turn_units"] == 4
        assert memory.stats()["users"] == 2
        assert memory.users() == ["ann", "bob"]
        assert memory.verify() == {"ok": True, "users": 2, "problems": {}}
        assert memory.export(tmp_path / "ann.jsonl", user_id="ann")["sessions"] == 2
        memory.backup(tmp_path / "ann.db", user_id="ann")
        memory.delete(of_t)
        with caplog.at_level(logging.WARNING, "memagent"):
            memory.delete(of_s)  # of a closed session: its summary has to be written anew, later
        assert not caplog.records
        assert memory.delete_all(user_id="ann", session_id="t")["deleted"] == 1
        assert memory.verify(user_id="ann")["ok"]
        with pytest.raises(EncoderError):
            memory.search("bees", user_id="ann")
        assert memory.forget_user(user_id="ann")["sessions"] == 1
        assert memory.users() == ["bob"]


@pytest.mark.parametrize("background", [False, True])
def test_a_deletion_loads_no_encoder_and_leaves_the_summary_to_the_next_flush(
    tmp_path: Path, background: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with Memory(tmp_path, background=False) as memory:
        memory.add(["I keep bees.", "The hens are new."], user_id="ann", session_id="s")
        memory.close_session("s", user_id="ann")
        first, *_ = (unit["id"] for unit in memory.get_all(user_id="ann")["results"])
    with Memory(tmp_path, background=background) as memory:
        memory.delete(first)
        time.sleep(0.7 if background else 0)  # longer than the pause that background work waits for
        assert not memory._core.has_encoder
        assert not memory.get_all(user_id="ann", granularity="summary")["results"]
        assert memory.flush(user_id="ann") > 0
        assert len(memory.get_all(user_id="ann", granularity="summary")["results"]) == 1
        assert memory.verify(user_id="ann")["ok"]
    assert not caplog.records


def test_a_cache_that_was_given_is_asked_to_forget(root: Path, tmp_path: Path) -> None:
    with CachedEncoder(HashingEncoder(32), tmp_path / "cache.sqlite") as cached:
        cached.encode_documents(["I keep bees.", "something else"])
        with Memory(root, encoder=cached, background=False) as memory:
            assert memory.forget_user(user_id="ann")["cached_vectors"] == 1
        assert cached.stats().entries == 1


def test_an_encoder_that_is_there_is_compared_and_one_that_is_named_is_not_loaded_for_it(root: Path) -> None:
    with Memory(root, encoder=HashingEncoder(64), background=False) as memory:
        assert "hashing/32" in str(memory.verify()["problems"])
        with pytest.raises(EncoderMismatch):
            memory.search("bees", user_id="ann")


def test_open_indexes_follow_a_reindexing_by_others(root: Path) -> None:
    with (
        Memory(root, encoder=HashingEncoder(64), background=False) as wide,
        Memory(root, encoder=HashingEncoder(32), background=False) as narrow,
    ):
        assert narrow.search("bees", user_id="ann", top_k=9)["results"]
        assert wide.reindex(user_id="ann") > 0
        found = wide.search("bees", user_id="ann", top_k=2)["results"]
        assert [unit["memory"] for unit in found] == ["I keep bees."] * 2
        with pytest.raises(EncoderMismatch):
            narrow.search("bees", user_id="ann")
        assert narrow.reindex(user_id="ann") > 0
        assert narrow.search("bees", user_id="ann", top_k=1)["results"][0]["memory"] == "I keep bees."
        assert narrow.verify(user_id="ann")["ok"]
