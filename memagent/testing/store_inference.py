"""What every memory store must do with jobs and facts, as tests; part of the contract of stores."""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from memagent.records import Granularity, to_micros
from memagent.stores.jobs import JOB_KINDS, JOB_STATES, Job
from memagent.stores.port import SUPERSEDE, Change
from memagent.testing.store_drafts import AT, added, draft, job, vector

if TYPE_CHECKING:
    from memagent.stores.port import UserStore


def add_facts(user: UserStore, *names: str, session: str = "s") -> list[int]:
    """A session of one turn, and facts that it tells; the keys of the facts."""
    added(user, session, ["I live in Oslo."])
    with user.write() as writer:
        state = writer.session(session)
        assert state is not None
        return writer.insert_units(
            [
                draft(
                    state.number,
                    name,
                    f"fact {name}",
                    granularity=Granularity.FACT,
                    sources=(f"{session}.m0",),
                    event_at=AT + place,
                    valid_from=None if place == 0 else AT - place,
                    vector=vector(1.0, place),
                )
                for place, name in enumerate(names)
            ]
        )


class StoreInferenceContract:
    """Tests of one user's store; a subclass gives the fixture ``ann``."""

    def test_jobs_come_back_as_they_were_saved(self, ann: UserStore) -> None:
        own, first, second = added(ann, "s", ["one", "two"])
        saved = [
            Job(unit=own, session=1, kind="summary", state="open", asked_at=AT),
            Job(
                unit=first,
                session=1,
                kind="facts",
                state="running",
                asked_at=AT,
                seen=3,
                attempts=2,
                due_at=AT + 1,
                holder="somebody",
                held_until=AT + 2,
                ignored=7,
                reason="Zeitüberschreitung \U0001f600",
            ),
            job(second, state="failed"),
        ]
        with ann.write() as writer:
            writer.save_jobs(reversed(saved))
            assert writer.jobs() == saved
        with ann.read() as reader:
            assert reader.jobs() == saved
            assert reader.jobs(["running", "failed"]) == saved[1:]
            assert reader.jobs(units=[own, 999]) == saved[:1]
            assert reader.jobs(["queued"]) == reader.jobs(["open"], units=[second]) == reader.jobs(units=[]) == []
            assert reader.count_jobs() == {"open": 1, "queued": 0, "running": 1, "failed": 1, "done": 0, "ignored": 7}
        assert ann.check() == []

    def test_a_unit_has_one_job(self, ann: UserStore) -> None:
        _, turn = added(ann, "s", ["one"])
        for state in JOB_STATES:
            with ann.write() as writer:
                writer.save_jobs([job(turn, state=state)])
        with ann.read() as reader:
            assert [found.state for found in reader.jobs()] == [JOB_STATES[-1]]
            assert reader.jobs()[0].kind in JOB_KINDS

    def test_a_job_goes_with_its_unit(self, ann: UserStore) -> None:
        own, first, second = added(ann, "s", ["one", "two"])
        with ann.write() as writer:
            writer.save_jobs(job(key) for key in (own, first, second))
            writer.delete_units([first], at=AT)
            writer.delete_units([second], log=False)
        with ann.read() as reader:
            assert [found.unit for found in reader.jobs()] == [own]

    def test_many_jobs_can_be_asked_for_at_once(self, ann: UserStore) -> None:
        keys = added(ann, "s", [f"text {n}" for n in range(1200)])
        with ann.write() as writer:
            writer.save_jobs(job(key) for key in keys[1:])
        with ann.read() as reader:
            assert [found.unit for found in reader.jobs(["queued"], units=keys)] == keys[1:]

    def test_facts_are_units_with_sources_of_their_own_and_a_beginning(self, ann: UserStore) -> None:
        add_facts(ann, "a", "b")
        with ann.read() as reader:
            facts = [reader.find(name) for name in ("a", "b")]
            assert [fact and fact.source_ids for fact in facts] == [("s.m0",), ("s.m0",)]
            assert [fact and fact.valid_from and to_micros(fact.valid_from) for fact in facts] == [None, AT - 1]
            assert [fact and (fact.valid_to, fact.superseded_by, fact.supersedes) for fact in facts] == [
                (None, None, ())
            ] * 2
            assert reader.counts()["fact_units"] == 2
            turn = reader.find("s.0")
            assert turn is not None
            assert (turn.valid_from, turn.superseded_by, turn.supersedes) == (None, None, ())

    def test_a_superseded_fact_stays_and_says_by_what(self, ann: UserStore) -> None:
        a, b, c = add_facts(ann, "a", "b", "c")
        with ann.read() as reader:
            before = reader.revision()
        with ann.write() as writer:
            writer.supersede(a, c, valid_to=AT + 9)
            writer.supersede(b, c, valid_to=AT + 10)
            writer.append_history([Change("a", SUPERSEDE, "fact a", None, AT + 3)])
        with ann.read() as reader:
            first, second, third = reader.units([a, b, c])
            assert (first.superseded_by, second.superseded_by, third.superseded_by) == ("c", "c", None)
            assert third.supersedes == ("a", "b")
            assert [f.valid_to and to_micros(f.valid_to) for f in (first, second, third)] == [AT + 9, AT + 10, None]
            assert [f.valid_from and to_micros(f.valid_from) for f in (first, second)] == [None, AT - 1]
            rows = {row.key: row for row in reader.delta(before).rows}
            assert {key: row.superseded_at for key, row in rows.items()} == {a: AT + 2, b: AT + 2}
            assert [row.superseded_at for row in reader.delta(0).rows][-3:] == [AT + 2, AT + 2, None]
            assert [(change.event, change.new_text) for change in reader.history("a")] == [
                ("ADD", "fact a"),
                (SUPERSEDE, "fact a"),
            ]
        assert ann.check() == []

    @pytest.mark.parametrize("log", [True, False])
    def test_a_fact_holds_again_when_what_superseded_it_goes(self, ann: UserStore, *, log: bool) -> None:
        a, b = add_facts(ann, "a", "b")
        with ann.write() as writer:
            writer.supersede(a, b, valid_to=AT)
            writer.append_history([Change("a", SUPERSEDE, "fact a", None, AT + 3)])
        with ann.write() as writer:
            before = writer.revision() - 1
            writer.delete_units([b], at=AT, log=log)
        with ann.read() as reader:
            (left,) = reader.units([a])
            assert (left.superseded_by, left.valid_to, left.supersedes) == (None, None, ())
            assert [(row.key, row.superseded_at) for row in reader.delta(before).rows] == [(a, None)]
            assert [change.event for change in reader.history("a")] == ["ADD"]
        assert ann.check() == []

    @pytest.mark.parametrize("together", [True, False])
    def test_a_fact_in_the_middle_of_a_chain_does_not_bring_the_first_back(
        self, ann: UserStore, *, together: bool
    ) -> None:
        a, b, c, d = add_facts(ann, "a", "b", "c", "d")
        with ann.write() as writer:
            for place, (old, new) in enumerate(((a, b), (b, c), (c, d))):
                writer.supersede(old, new, valid_to=AT + place)
            for going in ([b, c],) if together else ([c], [b]):
                writer.delete_units(going, at=AT)
        with ann.read() as reader:
            first, last = reader.units([a, d])
            assert (first.superseded_by, last.supersedes) == ("d", ("a",))
            assert first.valid_to is not None
            assert to_micros(first.valid_to) == AT + 2
        assert ann.check() == []

    def test_jobs_are_due_in_the_order_in_which_was_said_what_they_are_about(self, ann: UserStore) -> None:
        keys = added(ann, "s", ["one", "two", "three", "four"])[1:]
        with ann.write() as writer:
            texts = {unit.key: unit.text for unit in writer.units(keys)}
            for place, key in enumerate(keys):
                writer.replace_unit(key, draft(1, f"s.{place}", texts[key], event_at=AT - place), log=False)
            writer.save_jobs(replace(job(key), kind="facts", state="queued") for key in keys)
        with ann.write() as writer:
            assert [found.unit for found in writer.jobs_due("facts", now=AT, limit=3)] == keys[:0:-1]
            one, two, three, four = (found for found in writer.jobs(["queued"]))
            held = replace(four, state="running", holder="somebody", held_until=AT + 5)
            later = replace(three, due_at=AT + 9, attempts=1)
            writer.replace_unit(two.unit, draft(1, "s.1", "two", event_at=AT + 7), log=False)
            writer.save_jobs([held, later])
        with ann.read() as reader:
            assert reader.jobs_due("facts", now=AT, limit=9) == [one, two]
            assert reader.jobs_due("facts", now=AT + 5, limit=9) == [held, one, two]
            assert reader.jobs_due("facts", now=AT + 9, limit=2) == [held, later]
            assert reader.jobs_due("summary", now=AT + 9, limit=2) == []
            assert (reader.held_until("facts", now=AT), reader.held_until("facts", now=AT + 5)) == (AT + 5, None)
            assert reader.held_until("summary", now=AT) is None
            assert (reader.next_due("facts"), reader.next_due("summary")) == (0, None)
            assert reader.tried_jobs() == [later]
            assert (reader.has_jobs(["running"]), reader.has_jobs(["open", "done"])) == (True, False)
        with ann.write() as writer:
            writer.save_jobs(replace(found, state="done") for found in (one, two))
            assert writer.next_due("facts") == AT + 5
        assert ann.check() == []

    def test_facts_that_go_together_leave_nothing(self, ann: UserStore) -> None:
        a, b = add_facts(ann, "a", "b")
        with ann.write() as writer:
            writer.supersede(a, b, valid_to=AT)
            writer.delete_units([b, a], log=False)
        with ann.read() as reader:
            assert reader.units([a, b]) == []
            assert reader.counts()["fact_units"] == 0
        assert ann.check() == []

    def test_a_fact_that_is_replaced_keeps_when_it_holds(self, ann: UserStore) -> None:
        _, b = add_facts(ann, "a", "b")
        with ann.write() as writer:
            again = draft(1, "b", "other", granularity=Granularity.FACT, sources=("s.m0",), at=AT + 50)
            writer.replace_unit(b, again, old_text="fact b")
        with ann.read() as reader:
            (found,) = reader.units([b])
            assert found.text == "other"
            assert found.valid_from is not None
            assert to_micros(found.valid_from) == AT - 1
        assert ann.check() == []
