"""What every memory store must do with the association graph, as tests; part of the contract of stores."""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from memagent.records import Granularity
from memagent.stores.links import Links
from memagent.testing.store_drafts import AT, added, draft

if TYPE_CHECKING:
    from memagent.stores.port import ReadTransaction, UserStore, WriteTransaction


def links(*rows: tuple[int, float, list[int]]) -> Links:
    """Links from (node, floor, targets)."""
    return Links.of((node, floor, np.array(targets, np.int64)) for node, floor, targets in rows)


def rows_of(reader: ReadTransaction) -> list[tuple[int, float | None, list[int]]]:
    """All links, a None for the floor of a node that must be fitted again."""
    found = reader.links()
    ends = np.cumsum(found.counts).tolist()
    return [
        (node, None if math.isnan(floor) else floor, found.targets[end - count : end].tolist())
        for node, floor, count, end in zip(
            found.nodes.tolist(), found.floors.tolist(), found.counts.tolist(), ends, strict=True
        )
    ]


def linked_sessions(ann: UserStore) -> list[int]:
    """Three sessions with summaries: nodes 4, 5, 6, 8, 9, 10, 12, 13, 14; the keys of the summaries."""
    for name in ("a", "b", "c"):
        added(ann, name, ["one", "two"])
    with ann.write() as writer:
        summaries = [
            writer.insert_units([draft(number, f"{number}", "said", granularity=Granularity.SUMMARY)])[0]
            for number in (1, 2, 3)
        ]
        writer.set_association("by hand")
        writer.save_links(
            links(
                (4, -math.inf, []),
                (5, -math.inf, []),
                (6, -math.inf, []),
                (8, 0.5, [4, 6]),
                (9, 0.25, [5]),
                (10, -0.0, []),
                (12, 1 / 3, [6, 8]),
                (13, -1.0, [9, 10]),
                (14, 0.125, [4]),
            )
        )
        for name in ("a", "b", "c"):
            set_derived(writer, name)
    return summaries


def set_derived(writer: WriteTransaction, name: str) -> None:
    """Mark a session as closed and derived."""
    state = writer.session(name)
    assert state is not None
    writer.save_session(replace(state, closed=True, derived=True))


class StoreLinksContract:
    """Tests of one user's store; a subclass gives the fixture ``ann``."""

    def test_a_new_user_has_no_links(self, ann: UserStore) -> None:
        with ann.read() as reader:
            assert rows_of(reader) == []
            assert (reader.links_revision(), reader.association(), reader.unlinked()) == (0, None, [])

    def test_links_come_back_as_they_were_stored(self, ann: UserStore) -> None:
        linked_sessions(ann)
        with ann.read() as reader:
            assert rows_of(reader) == [
                (4, -math.inf, []),
                (5, -math.inf, []),
                (6, -math.inf, []),
                (8, 0.5, [4, 6]),
                (9, 0.25, [5]),
                (10, 0.0, []),
                (12, 1 / 3, [6, 8]),
                (13, -1.0, [9, 10]),
                (14, 0.125, [4]),
            ]
            assert reader.association() == "by hand"
            assert reader.links_revision() == reader.revision()
        assert ann.check() == []

    def test_saved_links_replace_those_of_the_same_nodes_only(self, ann: UserStore) -> None:
        linked_sessions(ann)
        with ann.write() as writer:
            writer.save_links(links((14, math.nan, [8, 9, 2**40]), (13, 0.75, [])))
            writer.save_links(links())
        with ann.read() as reader:
            after = rows_of(reader)
        assert after[-3:] == [(12, 1 / 3, [6, 8]), (13, 0.75, []), (14, None, [8, 9, 2**40])]
        assert len(after) == 9

    def test_other_changes_do_not_count_as_changes_of_the_graph(self, ann: UserStore) -> None:
        linked_sessions(ann)
        with ann.read() as reader:
            before = reader.links_revision()
        keys = added(ann, "d", ["three"])
        with ann.write() as writer:
            writer.delete_units(keys[1:], at=AT)
        with ann.read() as reader:
            assert reader.links_revision() == before < reader.revision()

    def test_nodes_that_are_taken_out_are_named_no_more(self, ann: UserStore) -> None:
        linked_sessions(ann)
        with ann.write() as writer:
            writer.delete_links([6, 9, 7, 99])
        with ann.read() as reader:
            assert rows_of(reader) == [
                (4, -math.inf, []),
                (5, -math.inf, []),
                (8, None, [4]),
                (10, 0.0, []),
                (12, None, [8]),
                (13, None, [10]),
                (14, 0.125, [4]),
            ]
            assert reader.links_revision() == reader.revision()

    def test_the_whole_graph_can_be_dropped(self, ann: UserStore) -> None:
        linked_sessions(ann)
        with ann.write() as writer:
            writer.delete_links()
        with ann.read() as reader:
            assert rows_of(reader) == []
            assert reader.unlinked() == [1, 2, 3]

    def test_sessions_are_unlinked_while_nodes_of_theirs_are_missing_or_marked(self, ann: UserStore) -> None:
        linked_sessions(ann)
        added(ann, "open", ["three"])
        with ann.read() as reader:
            assert reader.unlinked() == []
        with ann.write() as writer:
            writer.save_links(links((9, math.nan, [5])))
            writer.delete_links([4, 5, 6])
        with ann.read() as reader:
            assert reader.unlinked() == [1, 2, 3]
            assert [row[0] for row in rows_of(reader) if row[1] is None] == [8, 9, 12, 14]

    @pytest.mark.parametrize("log", [True, False])
    def test_with_a_unit_its_node_goes(self, ann: UserStore, log: bool) -> None:
        summaries = linked_sessions(ann)
        with ann.write() as writer:
            writer.delete_units([summaries[0]], at=AT, log=log)
        with ann.read() as reader:
            assert [row for row in rows_of(reader) if row[0] < 12] == [
                (4, -math.inf, []),
                (5, -math.inf, []),
                (8, None, [4]),
                (9, 0.25, [5]),
                (10, 0.0, []),
            ]
        assert ann.check() == []

    def test_with_a_session_its_nodes_go(self, ann: UserStore) -> None:
        summaries = linked_sessions(ann)
        with ann.write() as writer:
            state = writer.session("b")
            assert state is not None
            keys = writer.keys_of(state.number, Granularity.TURN)
            writer.delete_units([*keys, summaries[1], state.unit], at=AT)
            writer.delete_session(state.number)
        with ann.read() as reader:
            assert [row[0] for row in rows_of(reader)] == [4, 5, 6, 12, 13, 14]
            assert rows_of(reader)[3:] == [(12, None, [6]), (13, None, []), (14, 0.125, [4])]
        assert ann.check() == []

    def test_a_link_to_what_is_not_there_is_a_problem(self, ann: UserStore) -> None:
        linked_sessions(ann)
        with ann.write() as writer:
            writer.save_links(links((12, 0.5, [6, 16])))
        assert any("16" in problem for problem in ann.check())

    def test_a_node_of_what_is_not_there_is_a_problem(self, ann: UserStore) -> None:
        linked_sessions(ann)
        with ann.write() as writer:
            writer.save_links(links((20, 0.5, [6]), (11, 0.5, [])))
        problems = ann.check()
        assert any("20" in problem for problem in problems)
        assert any("11" in problem for problem in problems)
