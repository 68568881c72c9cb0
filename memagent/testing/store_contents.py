"""What every memory store must do with what it is given, as tests; part of the contract of stores."""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from memagent.errors import DuplicateId
from memagent.records import Attachment, Granularity, to_micros
from memagent.stores.port import Change, SessionState, StoredMessage
from memagent.testing.store_drafts import AT, add_session, added, draft, message

if TYPE_CHECKING:
    from memagent.stores.port import UserStore


class StoreContentsContract:
    """Tests of one user's store; a subclass gives the fixture ``ann``."""

    # what is stored

    def test_units_come_back_as_they_were_stored(self, ann: UserStore) -> None:
        with ann.write() as writer:
            number = writer.insert_session("s", agent_id="helper")
            keys = writer.insert_units(
                [
                    draft(
                        number,
                        "u1",
                        "Olá, 世界 \U0001f600\0 end",
                        updated_at=AT + 7,
                        sources=("m1", "m2"),
                        roles=("user", "assistant"),
                        agent_id="helper",
                        metadata={"b": [1, None, {"x": 2.5}], "a": "é"},
                    )
                ]
            )
            (unit,) = writer.units(keys)
        assert (unit.id, unit.text, unit.session_id) == ("u1", "Olá, 世界 \U0001f600\0 end", "s")
        assert [to_micros(t) for t in (unit.event_at, unit.created_at, unit.updated_at)] == [AT, AT + 5, AT + 7]
        assert unit.source_ids == ("m1", "m2")
        assert (unit.roles, unit.agent_id) == (("user", "assistant"), "helper")
        assert unit.metadata == {"b": [1, None, {"x": 2.5}], "a": "é"}
        assert (unit.user_id, unit.key) == ("ann", keys[0])

    def test_units_come_in_the_order_asked_for(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one", "two", "three"])
        with ann.read() as reader:
            asked = [keys[3], 999, keys[1], keys[2]]
            assert [unit.text for unit in reader.units(asked)] == ["three", "one", "two"]
            assert set(reader.attributes(asked)) == {keys[1], keys[2], keys[3]}
            assert set(reader.attributes()) == set(keys)
            assert reader.units([]) == []

    def test_many_units_can_be_read_at_once(self, ann: UserStore) -> None:
        keys = added(ann, "s", [f"text {n}" for n in range(1200)])
        with ann.read() as reader:
            assert [unit.text for unit in reader.units(keys[1:])] == [f"text {n}" for n in range(1200)]
            assert len(reader.attributes(keys)) == len(reader.vectors(keys)) == 1201
            assert len(list(reader.messages(keys))) == 1200

    def test_a_session_unit_has_the_text_of_its_turns(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one", "two"])
        added(ann, "t", ["else"])
        with ann.read() as reader:
            (unit,) = reader.units(keys[:1])
            assert unit.text == "one\ntwo"
            assert unit.source_ids == ("s.m0", "s.m1")
            (bare,) = reader.units(keys[:1], whole=False)
            assert (bare.text, bare.source_ids) == ("", ())

    def test_a_unit_is_found_by_its_id_alone(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one"])
        with ann.read() as reader:
            found = reader.find("s.0")
            assert found is not None
            assert found.key == keys[1]
            assert reader.find("S.0") is None
            assert reader.find("") is None

    def test_messages_come_in_the_order_they_were_added(self, ann: UserStore) -> None:
        with ann.write() as writer:
            keys = add_session(writer, "s", ["one", "two"])
            late = message(
                "late", "three", role="tool", name="clock", attachments=(Attachment(kind="image_url", reference="u"),)
            )
            writer.insert_messages([StoredMessage(keys[1], late, AT + 3)])
        with ann.read() as reader:
            stored = list(reader.messages())
            assert [s.message.content for s in stored] == ["one", "two", "three"]
            assert stored[2] == StoredMessage(keys[1], late, AT + 3)
            assert [s.message.content for s in reader.messages([keys[1]])] == ["one", "three"]

    def test_a_message_id_cannot_be_stored_twice(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one"])

        def again() -> None:
            with ann.write() as writer:
                writer.insert_messages(
                    [StoredMessage(keys[1], message("new", "x"), AT), StoredMessage(keys[1], message("s.m0", "x"), AT)]
                )

        with pytest.raises(DuplicateId):
            again()
        with ann.read() as reader:
            assert [stored.message.id for stored in reader.messages()] == ["s.m0"]

    def test_sessions_are_kept_with_their_state(self, ann: UserStore) -> None:
        for name in ("b", "a", "c"):
            added(ann, name, ["text"])
        with ann.write() as writer:
            state = writer.session("a")
            assert state is not None
            total = np.array([0.5, -1.0, 3.0, 1e-300])
            changed = SessionState(
                number=state.number,
                id="a",
                unit=state.unit,
                closed=True,
                derived=True,
                agent_id="helper",
                turns=1,
                vector_sum=total,
            )
            writer.save_session(changed)
        with ann.read() as reader:
            assert [s.id for s in reader.sessions()] == ["b", "a", "c"]
            assert [s.id for s in reader.sessions(closed=True)] == ["a"]
            assert [s.id for s in reader.sessions(closed=False, derived=False)] == ["b", "c"]
            found = reader.session("a")
            assert found is not None
            assert (found.closed, found.derived, found.agent_id, found.turns) == (True, True, "helper", 1)
            assert found.vector_sum is not None
            assert found.vector_sum.tolist() == total.tolist()
            assert reader.session("A") is None
            assert reader.last_key(found.number, Granularity.TURN) == reader.keys_of(found.number, Granularity.TURN)[-1]
            assert reader.last_key(999, Granularity.TURN) is None

    # history and deletion

    def test_history_tells_what_a_unit_was(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one", "two"])
        with ann.write() as writer:
            writer.replace_unit(keys[1], draft(1, "s.0", "uno", at=AT + 10), old_text="one")
        with ann.write() as writer:
            writer.replace_unit(keys[1], draft(1, "s.0", "eins", at=AT + 20), old_text="uno")
        with ann.read() as reader:
            assert reader.history("s.0") == [
                Change("s.0", "ADD", None, "one", AT + 5),
                Change("s.0", "UPDATE", "one", "uno", AT + 10),
                Change("s.0", "UPDATE", "uno", "eins", AT + 20),
            ]
            assert reader.history("none") == []
            assert [change.unit_id for change in reader.history()] == ["s.s", "s.0", "s.1", "s.0", "s.0"]

    def test_a_deletion_stays_in_history_without_texts(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one", "two"])
        with ann.write() as writer:
            writer.replace_unit(keys[1], draft(1, "s.0", "uno"), old_text="one")
            writer.delete_units([keys[1]], at=AT + 30)
        with ann.read() as reader:
            changes = reader.history("s.0")
            assert [change.event for change in changes] == ["ADD", "UPDATE", "DELETE"]
            assert {(change.old_text, change.new_text) for change in changes} == {(None, None)}
            assert changes[-1].at == AT + 30
            assert reader.find("s.0") is None
            assert [s.message.content for s in reader.messages()] == ["two"]
            assert reader.vectors(keys[1:2]) == {}

    def test_a_silent_deletion_leaves_no_history(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one", "two"])
        with ann.write() as writer:
            writer.delete_units([keys[2]], log=False)
        with ann.read() as reader:
            assert reader.history("s.1") == []

    def test_past_changes_can_be_entered(self, ann: UserStore) -> None:
        with ann.write() as writer:
            number = writer.insert_session("s", agent_id=None)
            writer.insert_units([draft(number, "u", "now")], event="")
            writer.append_history([Change("u", "ADD", None, None, 1), Change("u", "UPDATE", "then", None, 2)])
        with ann.read() as reader:
            assert reader.history("u") == [Change("u", "ADD", None, "then", 1), Change("u", "UPDATE", "then", "now", 2)]

    def test_counts_follow_what_is_stored(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one", "two"])
        added(ann, "t", ["three"])
        with ann.write() as writer:
            writer.delete_units([keys[2]], at=AT)
        with ann.read() as reader:
            counts = reader.counts()
        assert (counts["turn_units"], counts["session_units"], counts["units"]) == (2, 2, 4)
        assert (counts["sessions"], counts["messages"]) == (2, 2)

    def test_the_encoder_can_be_replaced(self, ann: UserStore) -> None:
        added(ann, "s", ["one"])
        assert ann.encoder() == ("test/4", 4)
        with ann.write() as writer:
            writer.set_encoder("other/8", 8)
        assert ann.encoder() == ("other/8", 8)
