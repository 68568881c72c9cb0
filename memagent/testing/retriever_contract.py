"""What every retriever must do, as tests: inherit the class and give a ``retriever`` fixture."""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import FrozenInstanceError, fields
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from memagent.errors import InvalidInput
from memagent.records import Granularity, Query
from memagent.testing.views import ArrayView, ViewUnit, history, word_vector

if TYPE_CHECKING:
    from memagent.bank.port import BankView
    from memagent.records import Retrieval
    from memagent.retrievers.port import Retriever

ViewFactory: TypeAlias = "Callable[[Sequence[ViewUnit], Collection[int]], BankView]"
"""Makes a view of units without the keys that are hidden."""

TURNS = (
    (0, "the lake house needs a new roof before winter"),
    (0, "my sister Vera paints birds at the lake"),
    (1, "I moved to Lisbon for a job at the harbour"),
    (2, "Vera sold two paintings of birds in Lisbon"),
    (1, "the harbour office closes at noon"),
    (2, "she bought a green bicycle with the money"),
    (3, "winter was short and the bicycle rusted"),
    (4, "noon is when I swim in the lake"),
    (3, "a cat sleeps in the harbour office"),
    (5, "tea without sugar"),
    (4, "the roof leaks again and Vera is away"),
)
"""A small history: (session number, text), the sessions overlapping in time."""

QUESTIONS = ("where does Vera paint birds", "harbour office noon", "zebra xylophone", "")


class RetrieverContract:
    """Tests of one retriever over all granularities (override ``granularity`` for one that ranks fewer)."""

    @pytest.fixture(params=list(Granularity), ids=str)
    def granularity(self, request: pytest.FixtureRequest) -> Granularity:
        """The granularity of the units wanted."""
        granularity: Granularity = request.param
        return granularity

    @pytest.fixture
    def retriever(self) -> Retriever:
        """The retriever under test; a subclass must give it."""
        raise NotImplementedError("give a fixture called retriever")

    @pytest.fixture
    def view(self) -> ViewFactory:
        """Makes the views that are searched."""
        return lambda units, hidden: ArrayView(units, hidden=hidden)

    @pytest.fixture
    def full(self, view: ViewFactory) -> BankView:
        """A view of the whole small history."""
        return view(history(TURNS), ())

    def test_as_many_hits_as_asked_for_come_while_units_are_visible(
        self, retriever: Retriever, full: BankView, granularity: Granularity
    ) -> None:
        visible = len(full.columns(granularity).keys)
        for text in QUESTIONS:
            for k in (1, 3, visible, visible + 5):
                assert len(_search(retriever, full, text, granularity, k).hits) == min(k, visible)

    def test_hits_are_units_of_the_granularity_and_none_comes_twice(
        self, retriever: Retriever, full: BankView, granularity: Granularity
    ) -> None:
        for text in QUESTIONS:
            keys = [hit.key for hit in _search(retriever, full, text, granularity, 50).hits]
            assert sorted(keys) == full.columns(granularity).keys.tolist()

    def test_scores_never_rise_and_are_plain_floats(
        self, retriever: Retriever, full: BankView, granularity: Granularity
    ) -> None:
        for text in QUESTIONS:
            hits = _search(retriever, full, text, granularity, 50).hits
            scores = [hit.score for hit in hits]
            assert scores == sorted(scores, reverse=True)
            assert all(type(hit.score) is float and type(hit.key) is int for hit in hits)

    def test_equal_scores_come_in_the_order_in_which_units_were_stored(
        self, retriever: Retriever, view: ViewFactory, granularity: Granularity
    ) -> None:
        alike = view(history([(session, "the same words") for session in range(9)]), ())
        for text in ("the same words", "other", ""):
            hits = _search(retriever, alike, text, granularity, 5).hits
            assert [hit.key for hit in hits] == alike.columns(granularity).keys.tolist()[:5]

    def test_the_same_search_gives_the_same_hits(
        self, retriever: Retriever, full: BankView, granularity: Granularity
    ) -> None:
        first = _search(retriever, full, QUESTIONS[0], granularity, 5)
        assert _search(retriever, full, QUESTIONS[0], granularity, 5).hits == first.hits

    def test_hidden_units_are_never_returned_and_change_no_score(
        self, retriever: Retriever, view: ViewFactory, granularity: Granularity
    ) -> None:
        units = history(TURNS)
        by_granularity = {each: [unit.key for unit in units if unit.granularity is each] for each in Granularity}
        hidden = {keys[place] for keys in by_granularity.values() for place in (1, len(keys) - 1)}
        absent = view([unit for unit in units if unit.key not in hidden], ())
        concealed = view(units, hidden)
        for text in QUESTIONS:
            found = _search(retriever, concealed, text, granularity, 50)
            assert not hidden & {hit.key for hit in found.hits}
            assert found.hits == _search(retriever, absent, text, granularity, 50).hits

    def test_an_empty_memory_gives_no_hits(
        self, retriever: Retriever, view: ViewFactory, granularity: Granularity
    ) -> None:
        assert _search(retriever, view([], ()), QUESTIONS[0], granularity, 5).hits == ()

    @pytest.mark.parametrize("k", [0, -1, True, 2.0, None])
    def test_a_k_that_is_no_count_is_refused(
        self, retriever: Retriever, full: BankView, granularity: Granularity, k: Any
    ) -> None:
        with pytest.raises(InvalidInput, match="k is"):
            _search(retriever, full, QUESTIONS[0], granularity, k)

    def test_the_trace_and_the_parts_are_json(
        self, retriever: Retriever, full: BankView, view: ViewFactory, granularity: Granularity
    ) -> None:
        for bank in (full, view([], ())):
            found = _search(retriever, bank, QUESTIONS[0], granularity, 5)
            assert json.loads(json.dumps(found.trace, allow_nan=False))["retriever"] == retriever.name
            assert all(json.dumps(dict(hit.parts), allow_nan=False) for hit in found.hits)

    def test_a_missing_vector_is_refused_or_not_needed(self, retriever: Retriever, full: BankView) -> None:
        asked = Query(text=QUESTIONS[0], granularity=Granularity.TURN)
        if retriever.uses_vector:
            with pytest.raises(InvalidInput, match="vector"):
                retriever.retrieve(asked, full, 3)
        else:
            assert len(retriever.retrieve(asked, full, 3).hits) == 3

    def test_hyper_parameters_cannot_be_changed(self, retriever: Retriever) -> None:
        for field in fields(retriever):  # type: ignore[arg-type]  # every retriever is a dataclass
            with pytest.raises(FrozenInstanceError):
                setattr(retriever, field.name, None)
        assert not hasattr(retriever, "__dict__")


def _search(retriever: Retriever, bank: BankView, text: str, granularity: Granularity, k: int) -> Retrieval:
    vector = word_vector(text) if retriever.uses_vector else None
    return retriever.retrieve(Query(text=text, vector=vector, granularity=granularity), bank, k)
