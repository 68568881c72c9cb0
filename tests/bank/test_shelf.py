"""A shelf that grew row by row is the same as one filled at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.bank.shelf import Shelf, loaded
from memagent.errors import StoreCorrupt
from memagent.lexical import analyze, query_terms, terms_to_bytes
from memagent.records import Granularity
from memagent.stores.port import IndexRow

DIM = 4
TEXTS = {
    "": "en",
    "green tea and bread": "en",
    "the bread of my brother": "en",
    "el pan de mi hermano": "es",
    "das Brot meines Bruders": "de",
}


def row(key: int, text: str, session: int = 1) -> IndexRow:
    vector = np.zeros(DIM, "<f4")
    vector[(key * 7 + len(text)) % DIM] = 1
    blob = terms_to_bytes(analyze(text, TEXTS[text]), TEXTS[text])
    return IndexRow(key, Granularity.TURN, session, 100 - key, blob, vector.tobytes())


Step = tuple[str, list[tuple[int, str, int]]]
rows = st.tuples(st.integers(1, 9), st.sampled_from(sorted(TEXTS)), st.integers(1, 3))
steps = st.lists(st.tuples(st.sampled_from(["put", "remove", "read"]), st.lists(rows, max_size=4)), max_size=8)


def assert_same(shelf: Shelf, fresh: Shelf) -> None:
    for mine, wanted in zip(shelf.columns(), fresh.columns(), strict=True):
        np.testing.assert_array_equal(mine, wanted)
    np.testing.assert_array_equal(shelf.index.matrix, fresh.index.matrix)
    count = len(shelf.columns().keys)
    for visible in (None, np.arange(count) % 2 == 0):
        assert shelf.languages(visible) == fresh.languages(visible)
        terms = query_terms("bread pan Brot tea", shelf.languages(visible))
        np.testing.assert_array_equal(
            shelf.lexical().scores(terms, visible=visible), fresh.lexical().scores(terms, visible=visible)
        )


def filled(known: dict[int, IndexRow]) -> Shelf:
    shelf = Shelf(DIM)
    if known:
        shelf.put([known[key] for key in sorted(known)])
    return shelf


@given(steps)
def test_any_history_of_a_shelf_ends_like_a_shelf_filled_at_once(history: Sequence[Step]) -> None:
    shelf, known = Shelf(DIM), dict[int, IndexRow]()
    for what, asked in history:
        given_rows = {key: row(key, text, session) for key, text, session in asked}
        if what == "put" and given_rows:
            known |= given_rows
            shelf.put([given_rows[key] for key in sorted(given_rows)])
        elif what == "remove":
            shelf.remove(list(given_rows))
            known = {key: value for key, value in known.items() if key not in given_rows}
        elif what == "read":
            assert_same(shelf, filled(known))
    assert_same(shelf, filled(known))


def test_the_languages_are_those_of_the_visible_texts() -> None:
    shelf = Shelf(DIM)
    assert shelf.languages(None) == frozenset()
    shelf.put([row(1, ""), row(2, "green tea and bread"), row(3, "el pan de mi hermano")])
    assert shelf.languages(None) == {"en", "es"}
    assert shelf.languages(np.array([True, False, True])) == {"es"}
    assert shelf.languages(np.array([True, False, False])) == frozenset()
    shelf.remove([3])
    assert shelf.languages(None) == {"en"}


@pytest.mark.parametrize("vector", [None, b"", b"\x00" * 4 * (DIM + 1), np.full(DIM, np.nan, "<f4").tobytes()])
def test_a_damaged_vector_means_a_damaged_store_and_changes_nothing(vector: bytes | None) -> None:
    shelf = Shelf(DIM)
    shelf.put([row(1, "green tea and bread")])
    with pytest.raises(StoreCorrupt):
        loaded(shelf, [row(2, "green tea and bread"), row(3, "")._replace(vector=vector)])
    assert_same(shelf, filled({1: row(1, "green tea and bread")}))


def test_damaged_terms_mean_a_damaged_store() -> None:
    for terms in (b"\x00", b"\x01" * 9 + b"\xff", row(1, "green tea and bread").terms[:-1] + b"\xfe"):
        shelf = Shelf(DIM)
        shelf.put([row(1, "")._replace(terms=terms)])
        with pytest.raises(StoreCorrupt):
            shelf.lexical()
