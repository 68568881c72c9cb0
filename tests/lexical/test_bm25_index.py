"""The BM25 index against an oracle, through any history of changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import get_args

import numpy as np
import pytest
from bm25_oracle import Turn, as_terms, bm25, documents
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from memagent.errors import InvalidInput, UnknownName
from memagent.lexical import DocumentKind, LexicalIndex, Terms, analyze, postings, query_terms, scoring, table

KINDS: tuple[DocumentKind, ...] = get_args(DocumentKind)
# Some hashes agree in their high bits, which the sort looks at first, and one has the highest bit set.
HASHES = (3, 4, 5, 1 << 40, (1 << 40) + 1, (1 << 64) - 1, (1 << 63) + 7)

counts = st.dictionaries(st.sampled_from(HASHES), st.integers(1, 5), max_size=5)
turns = st.dictionaries(st.integers(-3, 30), st.builds(Turn, st.integers(0, 4), counts), max_size=14)
queries = st.dictionaries(st.sampled_from((*HASHES, 99)), st.integers(1, 3), max_size=5)


@contextmanager
def sizes(buffer: int, dense: int) -> Iterator[None]:
    """Small limits, so that small examples are merged, compacted, and summed without a table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postings, "_BUFFER", buffer)
        patch.setattr(table, "_SLACK", buffer)
        patch.setattr(scoring, "_DENSE", dense)
        yield


limits = st.sampled_from([(0, 0), (4, 0), (4, 1 << 20), (2048, 1 << 20)])


def put(index: LexicalIndex, batch: Mapping[int, Turn]) -> None:
    keys = np.array(list(batch), np.int64)
    sessions = np.array([turn.session for turn in batch.values()], np.int64)
    index.add(keys, sessions, [as_terms(turn.counts) for turn in batch.values()])


def built(collection: Mapping[int, Turn]) -> LexicalIndex:
    index = LexicalIndex()
    put(index, collection)
    return index


def mask_of(index: LexicalIndex, hidden: set[int]) -> NDArray[np.bool_]:
    return np.array([key not in hidden for key in index.keys.tolist()], np.bool_)


@given(turns, st.sets(st.integers(-3, 30)), queries, st.sampled_from([(1.2, 0.75), (0.0, 0.0), (2.0, 1.0)]), limits)
def test_scores_are_those_of_the_formula_over_the_visible_documents(
    collection: dict[int, Turn],
    hidden: set[int],
    query: dict[int, int],
    parameters: tuple[float, float],
    limit: tuple[int, int],
) -> None:
    k1, b = parameters
    with sizes(*limit):
        index = built(collection)
        visible = mask_of(index, hidden)
        scores = index.channels(as_terms(query), KINDS, visible=visible, k1=k1, b=b)
    for kind in KINDS:
        expected = bm25(documents(collection, hidden, kind), query, k1, b)
        assert scores[kind].dtype == np.float64
        np.testing.assert_allclose(scores[kind], expected, rtol=1e-12, atol=0)
    shown = {turn.session for key, turn in collection.items() if key not in hidden}
    assert index.sessions(visible).tolist() == sorted(shown)


changes = st.lists(
    st.one_of(turns, st.sets(st.integers(-3, 30)), st.just("ask")),
    max_size=12,
)


@given(changes, queries, st.sets(st.integers(-3, 30)), limits)
def test_an_index_after_any_changes_equals_a_fresh_one_bit_for_bit(
    history: list[dict[int, Turn] | set[int] | str],
    query: dict[int, int],
    hidden: set[int],
    limit: tuple[int, int],
) -> None:
    held: dict[int, Turn] = {}
    with sizes(*limit):
        index = LexicalIndex()
        for change in history:
            if isinstance(change, dict):
                put(index, change)
                held.update(change)
            elif isinstance(change, set):
                index.remove(change)
                held = {key: turn for key, turn in held.items() if key not in change}
            else:
                index.channels(as_terms(query), KINDS)
        fresh = built(dict(sorted(held.items())))
        assert len(index) == len(held)
        assert index.keys.tolist() == sorted(held)
        for visible in (None, mask_of(index, hidden)):
            ours = index.channels(as_terms(query), KINDS, visible=visible)
            theirs = fresh.channels(as_terms(query), KINDS, visible=visible)
            for kind in KINDS:
                assert ours[kind].tolist() == theirs[kind].tolist()


@given(turns, st.sets(st.integers(-3, 30), max_size=8), st.data(), queries)
def test_what_hidden_documents_say_changes_no_score(
    collection: dict[int, Turn], hidden: set[int], data: st.DataObject, query: dict[int, int]
) -> None:
    other = {
        key: turn._replace(counts=data.draw(counts)) if key in hidden else turn for key, turn in collection.items()
    }
    one, two = built(collection), built(other)
    visible = mask_of(one, hidden)
    ours = one.channels(as_terms(query), KINDS, visible=visible)
    theirs = two.channels(as_terms(query), KINDS, visible=visible)
    for kind in KINDS:
        assert ours[kind].tolist() == theirs[kind].tolist()


@given(turns, st.sets(st.integers(-3, 30), max_size=8), queries)
def test_turns_and_sessions_score_as_if_hidden_documents_did_not_exist(
    collection: dict[int, Turn], hidden: set[int], query: dict[int, int]
) -> None:
    index = built(collection)
    visible = mask_of(index, hidden)
    alone = built({key: turn for key, turn in collection.items() if key not in hidden})
    for kind in ("turn", "session"):
        expected = alone.scores(as_terms(query), kind).tolist()
        assert index.scores(as_terms(query), kind, visible=visible).tolist() == expected


def test_documents_with_the_same_words_and_length_tie_exactly() -> None:
    twins = {key: Turn(key, {3: 2, 5: 1, 4: 7}) for key in range(40)}
    index = built(twins | {50: Turn(50, {3: 1})})
    for kind in KINDS:
        scores = index.scores(as_terms({3: 1, 4: 1, 5: 2}), kind)
        assert len(set(scores[:40].tolist())) == 1


def test_a_word_that_every_document_has_still_scores_above_zero() -> None:
    index = built({key: Turn(0, {3: 1}) for key in range(100)})
    assert (index.scores(as_terms({3: 1})) > 0).all()


def test_an_empty_index_and_an_empty_query_score_nothing() -> None:
    index = LexicalIndex()
    assert len(index) == 0
    for kind in KINDS:
        assert index.scores(as_terms({3: 1}), kind).shape == (0,)
    put(index, {1: Turn(5, {}), 2: Turn(6, {3: 1})})
    for kind in KINDS:
        assert index.scores(as_terms({}), kind).tolist() == [0.0, 0.0]


def test_a_window_reaches_one_turn_each_way_and_not_into_another_session() -> None:
    index = built({1: Turn(0, {3: 1}), 2: Turn(1, {4: 1}), 3: Turn(0, {5: 1}), 4: Turn(0, {4: 1}), 5: Turn(0, {4: 1})})
    assert (index.scores(as_terms({3: 1}), "window") > 0).tolist() == [True, False, True, False, False]
    hidden_middle = np.array([True, True, False, True, True])
    scores = index.scores(as_terms({3: 1}), "window", visible=hidden_middle)
    assert (scores > 0).tolist() == [True, False, False, False]


def test_a_key_given_twice_in_one_call_keeps_the_last() -> None:
    index = LexicalIndex()
    index.add(np.array([7, 7]), np.array([0, 0]), [as_terms({3: 1}), as_terms({4: 1})])
    assert len(index) == 1
    assert index.scores(as_terms({3: 1})).tolist() == [0.0]
    assert index.scores(as_terms({4: 1}))[0] > 0


def test_the_index_keeps_copies_of_what_it_is_given() -> None:
    index = LexicalIndex()
    mine = as_terms({3: 1})
    visible = np.array([True])
    index.add(np.array([1]), np.array([0]), [mine])
    before = index.scores(as_terms({3: 1}), visible=visible).tolist()
    mine.hashes[:] = 4
    assert index.scores(as_terms({3: 1}), visible=visible).tolist() == before
    visible[:] = False
    assert index.scores(as_terms({3: 1}), visible=visible).tolist() == []


def test_the_keys_cannot_be_written_to() -> None:
    index = built({1: Turn(0, {3: 1})})
    with pytest.raises(ValueError, match="read-only"):
        index.keys[0] = 5


def test_removed_documents_give_their_memory_back() -> None:
    index = LexicalIndex()
    rng = np.random.default_rng(0)
    texts = [Terms.of(rng.integers(0, 2**64, 40, dtype=np.uint64).tolist()) for _ in range(600)]
    index.add(np.arange(600), np.arange(600), texts)
    full = index.memory_bytes
    index.remove(range(10, 600))
    assert index.memory_bytes < full / 4
    assert len(index) == 10
    index.remove(range(700))
    assert len(index) == 0
    assert index.scores(texts[0]).shape == (0,)
    index.add(np.arange(2), np.arange(2), texts[:2])
    assert (index.scores(texts[0]) > 0).tolist() == [True, False]


def test_replacing_one_document_over_and_over_stays_small() -> None:
    index = LexicalIndex()
    for round_ in range(2000):
        index.add(np.array([1]), np.array([0]), [as_terms({round_ * 50 + i: 1 for i in range(20)})])
    assert index.memory_bytes < 200_000
    assert index.scores(as_terms({1999 * 50: 1}))[0] > 0


def test_a_mask_of_the_wrong_shape_or_type_is_refused() -> None:
    index = built({1: Turn(0, {3: 1})})
    with pytest.raises(InvalidInput, match="shape"):
        index.scores(as_terms({3: 1}), visible=np.ones(2, np.bool_))
    with pytest.raises(InvalidInput, match="dtype"):
        index.scores(as_terms({3: 1}), visible=np.ones(1, np.int64))


@pytest.mark.parametrize(("k1", "b"), [(-0.1, 0.5), (1.0, -0.1), (1.0, 1.1), (float("nan"), 0.5)])
def test_parameters_outside_their_range_are_refused(k1: float, b: float) -> None:
    with pytest.raises(InvalidInput, match="k1"):
        LexicalIndex().scores(as_terms({}), k1=k1, b=b)


def test_an_unknown_kind_of_document_is_refused() -> None:
    with pytest.raises(UnknownName, match="paragraph"):
        built({1: Turn(0, {3: 1})}).scores(as_terms({3: 1}), "paragraph")  # type: ignore[arg-type]


def test_texts_keys_and_sessions_must_be_as_many() -> None:
    with pytest.raises(InvalidInput, match="2 texts"):
        LexicalIndex().add(np.array([1]), np.array([0]), [as_terms({}), as_terms({})])


def test_the_turn_that_answers_a_question_comes_first() -> None:
    said = ["I adopted a grey cat called Miso.", "The weather was awful today.", "My sister plays the cello in Lisbon."]
    index = LexicalIndex()
    index.add(np.arange(3), np.array([0, 0, 1]), [analyze(text, "en") for text in said])
    assert index.scores(query_terms("What is the cat called?", ["en"])).argmax() == 0
    assert index.scores(query_terms("Where does my sister play her cello?", ["en"]), "session").argmax() == 1
