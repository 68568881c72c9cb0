"""What every memory store must do, as tests: inherit the class and give a ``store`` fixture."""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from memagent.errors import DuplicateId, InvalidUserId, UnknownMemory, UnknownUser, UserForgotten
from memagent.records import Granularity
from memagent.stores.links import Links
from memagent.testing.store_contents import StoreContentsContract
from memagent.testing.store_drafts import AT, add_session, added, draft, everything, job, vector
from memagent.testing.store_inference import StoreInferenceContract
from memagent.testing.store_links import StoreLinksContract

if TYPE_CHECKING:
    from memagent.stores.port import MemoryStore, UserStore

ODD_IDS = (
    "../x",
    "a/b",
    ".",
    "CON",
    "Ann",
    "ann",
    "ANN",
    "nul\0inside",
    "x" * 4096,
    "ß",
    "ss",
    "é",
    "e\u0301",
    "\U0001f600",
)
"""Ids that a file system, a database or a careless comparison may take for one another."""


class Interrupted(BaseException):
    """Stands for what ends a block without being an error: a signal, a cancelled task."""


class MemoryStoreContract(StoreContentsContract, StoreInferenceContract, StoreLinksContract):
    """Tests of one store."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        """The store under test, empty; a subclass must give it."""
        raise NotImplementedError("give a fixture called store")

    @pytest.fixture
    def ann(self, store: MemoryStore) -> UserStore:
        """One user, new."""
        return store.open("ann", create=True)

    # users

    def test_an_unknown_user_cannot_be_opened_or_forgotten(self, store: MemoryStore) -> None:
        with pytest.raises(UnknownUser):
            store.open("ann")
        with pytest.raises(UnknownUser):
            store.forget("ann")
        assert list(store.users()) == []
        assert list(store.owners()) == []

    @pytest.mark.parametrize("owner", ["", "ann", "0" * 64, "../x", "g" * 64, "0" * 63 + "\n"])
    def test_an_unknown_owner_cannot_be_opened(self, store: MemoryStore, owner: str) -> None:
        store.open("ann", create=True)
        with pytest.raises(UnknownMemory):
            store.open_owner(owner)

    @pytest.mark.parametrize("user_id", ["", "\ud800", "a\udfff", None, 3, b"ann"])
    def test_what_cannot_name_a_user_is_refused(self, store: MemoryStore, user_id: Any) -> None:
        with pytest.raises(InvalidUserId):
            store.open(user_id, create=True)
        with pytest.raises(InvalidUserId):
            store.forget(user_id)
        assert list(store.users()) == []

    def test_odd_ids_name_as_many_users(self, store: MemoryStore) -> None:
        for number, user_id in enumerate(ODD_IDS):
            added(store.open(user_id, create=True), "s", [f"text {number}"])
        assert sorted(store.users()) == sorted(ODD_IDS)
        assert len(set(store.owners())) == len(ODD_IDS)
        for number, user_id in enumerate(ODD_IDS):
            user = store.open(user_id)
            assert user.user_id == user_id
            with user.read() as reader:
                assert [m.message.content for m in reader.messages()] == [f"text {number}"]

    def test_an_owner_opens_its_user(self, store: MemoryStore, ann: UserStore) -> None:
        assert list(store.owners()) == [ann.owner]
        assert store.open_owner(ann.owner).user_id == "ann"

    def test_creating_a_user_who_is_there_opens_it(self, store: MemoryStore, ann: UserStore) -> None:
        added(ann, "s", ["one"])
        with store.open("ann", create=True).read() as reader:
            assert reader.counts()["messages"] == 1

    def test_an_odd_user_is_forgotten_alone(self, store: MemoryStore) -> None:
        for user_id in ODD_IDS:
            store.open(user_id, create=True)
        store.forget("ann")
        assert sorted(store.users()) == sorted(set(ODD_IDS) - {"ann"})

    # transactions

    def test_a_commit_is_seen_by_other_handles(self, store: MemoryStore, ann: UserStore) -> None:
        other = store.open("ann")
        added(ann, "s", ["one", "two"])
        with other.read() as reader:
            assert reader.counts()["turn_units"] == 2

    @pytest.mark.parametrize("kind", [ValueError, Interrupted, DuplicateId])
    def test_an_exception_leaves_nothing(self, store: MemoryStore, ann: UserStore, kind: type[BaseException]) -> None:
        keys = added(ann, "s", ["one", "two"])
        with ann.read() as reader:
            before = everything(reader)

        def write() -> None:
            with ann.write() as writer:
                add_session(writer, "t", ["three"])
                writer.replace_unit(keys[1], draft(1, "s.0", "other"), old_text="one")
                writer.delete_units([keys[2]], at=AT)
                writer.set_encoder("other", 8)
                writer.set_association("other")
                writer.save_jobs([job(keys[1])])
                writer.save_links(Links.of([(4, 0.5, np.array([], np.int64))]))
                raise kind("stop")

        with pytest.raises(kind):
            write()
        with ann.read() as reader:
            assert everything(reader) == before
        assert ann.encoder() == ("test/4", 4)
        assert ann.check() == []
        added(ann, "t", ["four"])

    def test_a_writer_sees_its_own_changes(self, ann: UserStore) -> None:
        with ann.write() as writer:
            keys = add_session(writer, "s", ["one"])
            assert writer.keys_of(1, Granularity.TURN) == keys[1:]
            assert [unit.text for unit in writer.units(keys)] == ["one", "one"]

    def test_a_writing_transaction_without_changes_is_allowed(self, ann: UserStore) -> None:
        with ann.write():
            pass
        with ann.read() as reader:
            assert reader.delta(0).rows == []

    # revisions

    def test_a_new_user_has_nothing(self, ann: UserStore) -> None:
        with ann.read() as reader:
            assert reader.revision() == 0
            assert reader.delta(0) == (0, [], [])
            assert set(reader.counts().values()) == {0}
            assert reader.history() == []
            assert list(reader.messages()) == []
            assert reader.sessions() == []
            assert reader.attributes() == {}
        assert ann.encoder() is None
        assert ann.check() == []

    def test_each_commit_has_a_higher_revision(self, ann: UserStore) -> None:
        seen = []
        for number in range(3):
            added(ann, f"s{number}", ["text"])
            with ann.read() as reader:
                seen.append(reader.revision())
        assert seen == sorted(set(seen))

    def test_a_delta_has_what_was_added_changed_and_removed_since(self, ann: UserStore) -> None:
        first = added(ann, "a", ["one", "two", "three"])
        with ann.read() as reader:
            since = reader.revision()
            assert [row.key for row in reader.delta(0).rows] == first
            assert reader.delta(since) == (since, [], [])
        second = added(ann, "b", ["four"])
        with ann.write() as writer:
            writer.replace_unit(first[1], draft(1, "a.0", "changed", terms=b"\1", event_at=AT + 9), old_text="one")
            writer.delete_units([first[2]], at=AT)
        with ann.read() as reader:
            delta = reader.delta(since)
            assert delta.removed == [first[2]]
            assert [row.key for row in delta.rows] == sorted([first[1], *second])
            changed = delta.rows[0]
            assert (changed.event_at, changed.terms, changed.session) == (AT + 9, b"\1", 1)
            assert changed.vector == vector(1.0, len("changed")).tobytes()
            whole = reader.delta(0)
            assert whole.removed == []
            assert [row.key for row in whole.rows] == sorted({*first, *second} - {first[2]})
            assert whole.revision == delta.revision == reader.revision()

    def test_new_vectors_are_in_the_delta(self, ann: UserStore) -> None:
        keys = added(ann, "a", ["one", "two"])
        with ann.read() as reader:
            since = reader.revision()
        with ann.write() as writer:
            writer.set_vectors({keys[2]: vector(0.0, 0.0, 1.0).tobytes()})
        with ann.read() as reader:
            (row,) = reader.delta(since).rows
            assert (row.key, row.vector) == (keys[2], vector(0.0, 0.0, 1.0).tobytes())
            assert reader.vectors([keys[2], 999])[keys[2]] == row.vector

    def test_keys_ascend_and_are_never_used_again(self, ann: UserStore) -> None:
        keys = added(ann, "a", ["one", "two"])
        assert keys == sorted(set(keys))
        with ann.write() as writer:
            writer.delete_units(keys, at=AT)
            writer.delete_session(1)
        assert min(added(ann, "b", ["three"])) > max(keys)

    # forgetting, closing

    def test_a_forgotten_user_is_gone_for_open_handles_too(self, store: MemoryStore, ann: UserStore) -> None:
        added(ann, "s", ["one"])
        other = store.open("ann")
        store.forget("ann")
        for user in (ann, other):
            with pytest.raises(UserForgotten), user.read():
                pass
            with pytest.raises(UserForgotten), user.write():
                pass
            with pytest.raises(UserForgotten):
                user.encoder()
            with pytest.raises(UserForgotten):
                user.check()
        with pytest.raises(UnknownUser):
            store.open("ann")
        with pytest.raises(UnknownMemory):
            store.open_owner(ann.owner)
        assert list(store.users()) == list(store.owners()) == []

    def test_a_forgotten_user_can_begin_anew(self, store: MemoryStore, ann: UserStore) -> None:
        added(ann, "s", ["one"])
        store.forget("ann")
        again = store.open("ann", create=True)
        with again.read() as reader:
            assert reader.revision() == 0
            assert reader.history() == []
        with pytest.raises(UserForgotten), ann.write():
            pass
        added(again, "s", ["two"])
        with store.open("ann").read() as reader:
            assert [s.message.content for s in reader.messages()] == ["two"]

    def test_everything_is_there_after_reopening(self, store: MemoryStore, ann: UserStore) -> None:
        if store.volatile:
            pytest.skip("a store in memory ends with its handle")
        keys = added(ann, "s", ["one", "two"])
        with ann.write() as writer:
            writer.replace_unit(keys[1], draft(1, "s.0", "uno"), old_text="one")
            writer.delete_units([keys[2]], at=AT)
            writer.set_association("by hand")
            writer.save_links(Links.of([(4, 0.5, np.array([], np.int64))]))
        with ann.read() as reader:
            before = everything(reader)
        ann.close()
        with store.open("ann").read() as reader:
            assert everything(reader) == before

    def test_a_sound_store_has_no_problems(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one", "two"])
        assert ann.check() == []
        with ann.write() as writer:
            writer.replace_unit(keys[1], draft(1, "s.0", "uno"), old_text="one")
        assert ann.check() == []
