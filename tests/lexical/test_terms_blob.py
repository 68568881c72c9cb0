"""Stored terms: what is written is read back, and nothing damaged is taken for terms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.errors import StoreCorrupt, UnknownName
from memagent.lexical import LANGUAGES, Terms, analyze, languages_of, terms_from_bytes, terms_from_many, terms_to_bytes

counted = st.dictionaries(st.integers(0, 2**64 - 1), st.integers(1, 2**32 - 1) | st.integers(1, 300), max_size=20)


def as_terms(counts: dict[int, int]) -> Terms:
    return Terms(np.array(sorted(counts), np.uint64), np.array([counts[h] for h in sorted(counts)], np.uint32))


def same(one: Terms, other: Terms) -> bool:
    return (
        one.hashes.dtype == other.hashes.dtype == np.uint64
        and one.counts.dtype == other.counts.dtype == np.uint32
        and one.hashes.tolist() == other.hashes.tolist()
        and one.counts.tolist() == other.counts.tolist()
    )


@given(st.lists(st.tuples(counted, st.sampled_from(LANGUAGES)), max_size=6))
def test_terms_and_their_language_survive_being_stored(texts: list[tuple[dict[int, int], str]]) -> None:
    blobs = [terms_to_bytes(as_terms(counts), language) for counts, language in texts]
    for (counts, _), back in zip(texts, terms_from_many(blobs), strict=True):
        assert same(back, as_terms(counts))
    assert languages_of(blobs) == {language for counts, language in texts if counts}


@given(st.binary(max_size=60))
def test_bytes_are_either_refused_or_stand_for_exactly_themselves(blob: bytes) -> None:
    try:
        terms = terms_from_bytes(blob)
    except StoreCorrupt:
        return
    assert (np.diff(terms.hashes.astype(object)) > 0).all()
    assert (terms.counts > 0).all()
    assert len(terms_to_bytes(terms)) <= len(blob)


@given(counted.filter(len), st.data())
def test_a_shortened_blob_is_refused_or_read_as_another_text(counts: dict[int, int], data: st.DataObject) -> None:
    blob = terms_to_bytes(as_terms(counts), "en")
    cut = data.draw(st.integers(1, len(blob) - 1))
    try:
        back = terms_from_bytes(blob[:cut])
    except StoreCorrupt:
        return
    # Cut inside two-byte counts it may read as one-byte counts, but never as if nothing were missing.
    assert dict(zip(back.hashes.tolist(), back.counts.tolist(), strict=True)) != counts


@pytest.mark.parametrize(
    "blob",
    [
        b"\x00",
        b"\x04",
        bytes(9),
        bytes(8) + b"\x00" + b"\x00",
        bytes(8) + b"\x01" + b"\x03",
        bytes(8) + b"\x01" + b"\xfc",
        bytes(16) + b"\x01\x01" + b"\x00",
        b"\x02" + bytes(7) + b"\x01" + bytes(7) + b"\x01\x01" + b"\x00",
    ],
    ids=["no terms", "no terms, a language", "no counts", "a count of zero", "width", "language", "twice", "order"],
)
def test_malformed_blobs_are_damage(blob: bytes) -> None:
    with pytest.raises(StoreCorrupt, match="damaged"):
        terms_from_bytes(blob)


def test_one_damaged_blob_among_many_is_found() -> None:
    good = terms_to_bytes(analyze("the quick brown fox", "en"), "en")
    with pytest.raises(StoreCorrupt):
        terms_from_many([good, b"", good[:-2], good])
    with pytest.raises(StoreCorrupt):
        languages_of([good, b"\xff"])


def test_no_terms_are_no_bytes() -> None:
    assert terms_to_bytes(analyze("", "en"), "en") == b""
    assert len(terms_from_bytes(b"").hashes) == 0
    assert terms_from_many([]) == []
    assert languages_of([b""]) == frozenset()


def test_a_blob_holds_no_word_of_its_text() -> None:
    blob = terms_to_bytes(analyze("Cassandra whispered nebula", "en"), "en")
    assert len(blob) == 3 * 9 + 1
    assert b"cassandra" not in blob.lower()
    assert b"nebula" not in blob


def test_the_order_of_bytes_is_the_same_on_every_machine() -> None:
    terms = Terms(np.array([1, 2**63], np.uint64), np.array([1, 258], np.uint32))
    assert terms_to_bytes(terms, "en").hex() == "0100000000000000" + "0000000000000080" + "0100" + "0201" + "01"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UnknownName, match="klingon"):
        terms_to_bytes(analyze("word", "en"), "klingon")
