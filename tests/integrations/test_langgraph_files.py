"""Items in the users' files: whose they are, what outlives a crash, exports, and erasure."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.base import ListNamespacesOp, MatchCondition

from memagent import Memory
from memagent.errors import DataError, DuplicateId, EncoderMismatch, InvalidInput
from memagent.integrations import MemagentStore
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder()


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path / "store", encoder=ENCODER) as memory:
        yield memory


@pytest.fixture
def store(memory: Memory) -> Iterator[MemagentStore]:
    with MemagentStore(memory, index={"fields": ["text"]}) as store:
        yield store


def found(store: MemagentStore, *namespace: str, **options: Any) -> list[str]:
    return [item.key for item in store.search(namespace, **options)]


def test_the_first_element_names_the_user_whose_file_holds_an_item(store: MemagentStore, memory: Memory) -> None:
    store.put(("ann", "facts"), "home", {"text": "Lisbon"})
    store.put(("bob",), "home", {"text": "Porto"})
    assert memory.users() == ["ann", "bob"]
    memory.forget_user(user_id="ann")
    assert memory.users() == ["bob"]
    assert store.get(("ann", "facts"), "home") is None
    assert store.list_namespaces() == [("bob",)]
    assert found(store) == ["home"]


def test_another_element_may_name_the_user(memory: Memory) -> None:
    store = MemagentStore(memory, user_at=1)
    store.put(("memories", "ann"), "a", {"text": "Lisbon"})
    store.put(("profiles", "ann"), "b", {"text": "tall"})
    store.put(("memories", "bob"), "c", {"text": "Porto"})
    assert memory.users() == ["ann", "bob"]
    assert sorted(found(store, "memories")) == ["a", "c"]
    assert store.list_namespaces(prefix=("*", "ann")) == [("memories", "ann"), ("profiles", "ann")]
    assert store.list_namespaces(prefix=("*", "ann"), suffix=("bob",)) == []
    with pytest.raises(InvalidInput, match="too short to name its user"):
        store.put(("memories",), "a", {"text": "nobody's"})
    assert store.get(("memories",), "a") is None
    memory.forget_user(user_id="ann")
    assert store.search((), limit=10)[0].namespace == ("memories", "bob")


def test_two_conditions_that_name_different_users_match_nothing(store: MemagentStore) -> None:
    store.put(("ann",), "a", {"n": 1})
    both = (MatchCondition("prefix", ("ann",)), MatchCondition("prefix", ("bob",)))
    assert store.batch([ListNamespacesOp(both)]) == [[]]


def test_items_and_conversations_of_a_user_do_not_see_each_other(store: MemagentStore, memory: Memory) -> None:
    memory.add("I moved to Lisbon.", user_id="ann", session_id="s")
    store.put(("ann",), "home", {"text": "Lisbon by the river"})
    assert [hit["memory"] for hit in memory.search("Lisbon", user_id="ann")["results"]] == ["I moved to Lisbon."]
    assert memory.get_all(user_id="ann")["total"] == 1
    assert memory.get_all(user_id="ann", granularity="session")["total"] == 1
    assert found(store, "ann", query="Lisbon") == ["home"]
    (document,) = memory.search("Lisbon", user_id="ann", granularity="document")["results"]
    assert (document["memory"], document["metadata"]["key"]) == ("Lisbon by the river", "home")
    assert memory.delete_all(user_id="ann")["deleted"] == 1
    assert found(store, "ann") == ["home"]


def test_conversations_begun_and_closed_leave_items_alone(store: MemagentStore, memory: Memory) -> None:
    store.put(("ann",), "home", {"text": "Lisbon"})
    for session in ("one", "two"):
        memory.add([{"role": "user", "content": f"In {session} I said so."}], user_id="ann", session_id=session)
    memory.close_session("two", user_id="ann")
    assert memory.flush(user_id="ann") >= 0
    assert found(store, "ann", query="Lisbon") == ["home"]
    assert memory.verify()["ok"]


def test_what_was_stored_is_there_after_reopening(tmp_path: Path) -> None:
    with MemagentStore(tmp_path, encoder=ENCODER) as store:
        store.put(("ann", "a"), "key", {"text": "bread"}, ttl=60)
    with MemagentStore(tmp_path, encoder=ENCODER) as store:
        assert found(store, "ann", query="bread") == ["key"]
        assert store.get(("ann", "a"), "key").value == {"text": "bread"}  # type: ignore[union-attr]


def test_another_process_sees_a_put_that_has_returned(store: MemagentStore, memory: Memory, tmp_path: Path) -> None:
    store.put(("ann",), "mine", {"text": "bread"})
    assert found(store, "ann", query="bread") == ["mine"]
    code = (
        "import sys\n"
        "from memagent.integrations import MemagentStore\n"
        "from memagent.testing import HashingEncoder\n"
        "with MemagentStore(sys.argv[1], encoder=HashingEncoder(), index={'fields': ['text']}) as store:\n"
        "    assert store.get(('ann',), 'mine').value == {'text': 'bread'}\n"
        "    store.put(('ann',), 'theirs', {'text': 'bread and olives'})\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "store")], check=True, timeout=300)
    assert sorted(found(store, "ann", query="bread")) == ["mine", "theirs"]


WRITING = """
import sys
from langgraph.store.base import PutOp
from memagent.integrations import MemagentStore
from memagent.testing import HashingEncoder

store = MemagentStore(sys.argv[1], encoder=HashingEncoder(), index={"fields": ["t[*]"]})
for number in range(100_000):
    value = {"number": number, "t": ["bread"] * (number % 3)}
    store.batch([PutOp(("ann",), str(key), value) for key in range(5)])
    print(number, flush=True)
"""


def test_after_a_kill_a_batch_is_there_or_not_and_what_was_acknowledged_is(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITING, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 20:
                writer.kill()
        acknowledged = int(line)
    with MemagentStore(tmp_path, encoder=ENCODER, index={"fields": ["t[*]"]}) as store:
        numbers = {item.value["number"] for item in store.search(("ann",))}
        assert numbers in ({acknowledged}, {acknowledged + 1})
        assert len(store.search(("ann",), query="bread")) in (0, 5)
        assert isinstance(store.memory, Memory)
        assert store.memory.verify()["ok"]


def test_an_export_holds_the_items(store: MemagentStore, memory: Memory, tmp_path: Path) -> None:
    memory.add("I moved to Lisbon.", user_id="ann", session_id="s")
    store.put(("ann", "a"), "one", {"text": "bread", "n": 1})
    store.put(("ann", "a"), "many", {"t": ["olives", "rain"]}, index=["t[*]"], ttl=60)
    store.put(("ann", "b"), "none", {"text": "cat"}, index=False)
    file = tmp_path / "ann.jsonl"
    memory.export(file, user_id="ann")
    memory.import_(file, user_id="eve")
    with Memory(":memory:", encoder=HashingEncoder(64)) as elsewhere:
        elsewhere.import_(file)
        copy = MemagentStore(elsewhere, index={"fields": ["text"]})
        for key in ("one", "many"):
            before, after = store.get(("ann", "a"), key), copy.get(("ann", "a"), key)
            assert before == after
        assert found(copy, "ann", query="rain")[0] == "many"
        assert found(copy, "ann", query="cat", limit=9) == found(copy, "ann", query="cat", filter={"n": {"$ne": 5}})
        assert "none" not in found(copy, "ann", query="cat")
        assert elsewhere.search("Lisbon", user_id="ann")["results"][0]["memory"] == "I moved to Lisbon."
        assert elsewhere.verify()["ok"]
        assert elsewhere.reindex(user_id="ann") > 0
        with pytest.raises(DuplicateId):
            elsewhere.import_(file)
    assert memory.verify()["ok"]


def test_the_largest_values_come_back_from_an_export(store: MemagentStore, memory: Memory, tmp_path: Path) -> None:
    value = {"quotes": '"' * 500_000}  # twice as long as JSON, four times as long inside of JSON
    store.put(("ann",), "key", value, index=False)
    assert memory.export(tmp_path / "ann.jsonl", user_id="ann")["sessions"] == 0
    with Memory(":memory:", encoder=ENCODER) as elsewhere:
        assert elsewhere.import_(tmp_path / "ann.jsonl")["sessions"] == 0
        assert MemagentStore(elsewhere).get(("ann",), "key").value == value  # type: ignore[union-attr]


def test_items_can_be_imported_beside_others(store: MemagentStore, memory: Memory, tmp_path: Path) -> None:
    store.put(("ann",), "one", {"text": "bread"})
    memory.export(tmp_path / "ann.jsonl", user_id="ann")
    store.put(("bob",), "two", {"text": "olives"})
    memory.import_(tmp_path / "ann.jsonl", user_id="bob")
    assert found(store, "bob") == ["two"]  # the other one says that it is ann's
    assert sorted(item.namespace for item in store.search(())) == [("ann",), ("bob",)]
    assert store.list_namespaces() == [("ann",), ("bob",)]
    assert memory.get_all(user_id="bob", granularity="document")["total"] == 2
    with Memory(":memory:", encoder=ENCODER) as elsewhere:
        copy = MemagentStore(elsewhere, index={"fields": ["text"]})
        copy.put(("ann",), "two", {"text": "olives"})
        elsewhere.import_(tmp_path / "ann.jsonl")
        assert sorted(found(copy, "ann", query="bread")) == ["one", "two"]


@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {}},
        {"metadata": {"document": "x"}},
        {"session_id": "s"},
        {"granularity": "turn"},
        {"value": 1},
        {"path": "ann"},
        {"path": ["bob"]},
        {"key": 1},
        {"parts": None},
        {"expires_at": 5},
        {"value": "[1]"},
        {"value": "{"},
        {"key": "\ud800"},
    ],
    ids=str,
)
def test_an_export_with_a_document_that_cannot_be_one_is_refused(
    store: MemagentStore, memory: Memory, tmp_path: Path, change: dict[str, Any]
) -> None:
    memory.add("I moved to Lisbon.", user_id="ann", session_id="s")
    store.put(("ann",), "one", {"text": "bread"})
    memory.export(tmp_path / "ann.jsonl", user_id="ann")
    lines = [json.loads(line) for line in (tmp_path / "ann.jsonl").read_text().splitlines()]
    (unit,) = (line for line in lines if line.get("granularity") == "document")
    for name, value in change.items():
        (unit if name in unit else unit["metadata"])[name] = value
    (tmp_path / "bad.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DataError, match=r"document|session"):
        memory.import_(tmp_path / "bad.jsonl", user_id="eve")
    assert memory.users() == ["ann"]


def test_a_deleted_item_leaves_no_bytes(store: MemagentStore, memory: Memory, tmp_path: Path) -> None:
    store.put(("ann",), "keep", {"text": "olives"})
    store.put(("ann",), "gone", {"text": "first-secret", "t": ["second-secret"]}, index=["text", "t[*]"])
    store.put(("ann",), "gone", {"text": "third-secret", "deep": {"er": "fourth-secret"}})
    store.delete(("ann",), "gone")
    raw = b"".join(path.read_bytes() for path in sorted((tmp_path / "store").rglob("*")) if path.is_file())
    assert b"olives" in raw
    for secret in (b"first-secret", b"second-secret", b"third-secret", b"fourth-secret"):
        assert secret not in raw
    assert memory.verify()["ok"]


def test_an_item_has_a_memory_id_which_can_be_deleted_but_not_updated(store: MemagentStore, memory: Memory) -> None:
    store.put(("ann",), "key", {"t": ["bread", "olives"]}, index=["t[*]"])
    ids = [hit["id"] for hit in memory.get_all(user_id="ann", granularity="document")["results"]]
    assert len(ids) == 2
    with pytest.raises(InvalidInput, match="a document has a value"):
        memory.update(ids[0], "rain")
    with pytest.raises(InvalidInput, match="a document has a value"):
        memory.update(ids[0], metadata={"key": "other"})
    memory.delete(ids[1])
    assert store.get(("ann",), "key") is None
    assert memory.get_all(user_id="ann", granularity="document")["total"] == 0
    assert [entry["event"] for entry in memory.history(ids[0])] == ["ADD", "DELETE"]
    assert memory.verify()["ok"]


def test_no_conversation_can_have_the_name_that_items_are_kept_under(memory: Memory) -> None:
    for work in (
        lambda: memory.add("x", user_id="ann", session_id="memagent:documents"),
        lambda: memory.close_session("memagent:documents", user_id="ann"),
        lambda: memory.delete_all(user_id="ann", session_id="memagent:documents"),
        lambda: memory.describe_session("memagent:documents", user_id="ann", summary="x"),
    ):
        with pytest.raises(InvalidInput, match="documents are kept under it"):
            work()


def test_another_encoder_is_refused_until_the_user_is_reindexed(tmp_path: Path) -> None:
    with MemagentStore(tmp_path, encoder=ENCODER) as store:
        store.put(("ann",), "key", {"text": "bread"})
        store.put(("ann",), "none", {"text": "bread"}, index=False)
    with MemagentStore(tmp_path, encoder=HashingEncoder(64)) as store:
        for work in (
            lambda: store.put(("ann",), "more", {"text": "olives"}),
            lambda: store.search(("ann",), query="bread"),
        ):
            with pytest.raises(EncoderMismatch):
                work()
        assert sorted(found(store, "ann")) == ["key", "none"]
        assert isinstance(store.memory, Memory)
        assert store.memory.reindex(user_id="ann") == 1
        assert found(store, "ann", query="bread") == ["key"]
        assert store.memory.verify()["ok"]
