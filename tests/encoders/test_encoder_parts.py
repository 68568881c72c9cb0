"""The pure parts: windows, batches, checks, and the hashing double."""

from __future__ import annotations

import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.encoders.batching import batches, padded
from memagent.encoders.checks import checked_texts, unit_vectors
from memagent.encoders.windows import cut, merge
from memagent.errors import EncoderError, InvalidInput
from memagent.testing import HashingEncoder

REPOSITORY = Path(__file__).resolve().parents[2]
token_lists = st.lists(st.lists(st.integers(0, 99), max_size=40), max_size=10)


@given(texts=token_lists, room=st.integers(1, 12))
def test_windows_partition_every_text_and_leave_short_ones_whole(texts: list[list[int]], room: int) -> None:
    windows = cut(texts, room=room, head=0, long_text="windows")
    assert [list(chain.from_iterable(part)) for part in grouped(windows.ids, windows.owner, len(texts))] == texts
    assert all(len(ids) <= room for ids in windows.ids)
    assert [max(1, len(ids)) for ids in windows.ids] == windows.weights.tolist()
    for position, text in enumerate(texts):
        assert (windows.owner == position).sum() == max(1, -(-len(text) // room))


@given(texts=token_lists, room=st.integers(1, 12))
def test_truncating_keeps_the_beginning(texts: list[list[int]], room: int) -> None:
    windows = cut(texts, room=room, head=0, long_text="truncate")
    assert windows.ids == [text[:room] for text in texts]


@given(texts=token_lists, room=st.integers(2, 12), head=st.integers(1, 15))
def test_every_window_begins_with_the_prompt_as_far_as_it_fits(texts: list[list[int]], room: int, head: int) -> None:
    prompt = list(range(100, 100 + head))
    windows = cut([prompt + text for text in texts], room=room, head=head, long_text="windows")
    kept = prompt[: min(head, room - 1)]
    assert all(ids[: len(kept)] == kept for ids in windows.ids)
    assert all(len(ids) <= room for ids in windows.ids)


def test_without_a_limit_nothing_is_cut() -> None:
    assert cut([list(range(10_000))], room=None, head=0, long_text="windows").ids == [list(range(10_000))]


def test_merging_weighs_windows_by_their_tokens() -> None:
    windows = cut([[1], [1, 2, 3]], room=2, head=0, long_text="windows")
    vectors = np.array([[0, 1], [1, 0], [0, 1]], dtype=np.float32)
    np.testing.assert_array_equal(merge(vectors, windows, rows=2), [[0, 1], [2, 1]])


def grouped(ids: list[list[int]], owner: Any, texts: int) -> list[list[list[int]]]:
    return [[part for part, of in zip(ids, owner, strict=True) if of == position] for position in range(texts)]


@given(lengths=st.lists(st.integers(0, 300), max_size=60), texts=st.integers(1, 40), tokens=st.integers(1, 700))
def test_batches_hold_every_sequence_once_within_their_limits(lengths: list[int], texts: int, tokens: int) -> None:
    made = batches(lengths, texts=texts, tokens=tokens)
    assert sorted(row for rows in made for row in rows.tolist()) == list(range(len(lengths)))
    widest = [max(lengths[row] for row in rows) for rows in made]
    assert widest == sorted(widest, reverse=True)
    for rows, width in zip(made, widest, strict=True):
        assert len(rows) <= texts
        assert len(rows) == 1 or len(rows) * width <= tokens


@pytest.mark.parametrize(("side", "expected"), [("right", [[5, 6], [7, 9]]), ("left", [[5, 6], [9, 7]])])
def test_padding_goes_to_the_side_and_out_of_the_mask(side: Any, expected: list[list[int]]) -> None:
    ids, mask = padded([[5, 6], [7]], pad=9, side=side)
    assert ids.tolist() == expected
    assert (ids[mask == 0] == 9).all()
    assert mask.sum() == 3


def test_texts_may_be_any_sequence_of_strings() -> None:
    assert checked_texts(("a", "é", "𝄞")) == ["a", "é", "𝄞"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_a_vector_without_direction_is_an_encoder_error(value: float) -> None:
    with pytest.raises(EncoderError, match="without direction"):
        unit_vectors(np.array([[1.0, 0.0], [value, 0.0]]), rows=2)


@pytest.mark.parametrize("shape", [(2,), (1, 2), (2, 2, 2)])
def test_a_wrong_shape_is_an_encoder_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(EncoderError, match="shape"):
        unit_vectors(np.ones(shape), rows=2)


def test_tiny_and_huge_vectors_are_brought_to_length_one() -> None:
    found = unit_vectors(np.array([[1e-30, 0], [0, 3e38]]), rows=2)
    np.testing.assert_allclose(found, np.eye(2))


def test_hashing_gives_near_vectors_to_texts_that_share_words() -> None:
    encoder = HashingEncoder()
    query, *texts = encoder.encode_documents(
        ["Where do I keep my red bicycle?", "I keep the red bicycle in the cellar.", "Pasta with basil and oil."]
    )
    near, far = (float(query @ text) for text in texts)
    assert near > 0.3
    assert abs(far) < 0.2
    inflected = encoder.encode_documents(["walking dogs", "walked dog", "green paint"])
    assert float(inflected[0] @ inflected[1]) > 0.1 + float(inflected[0] @ inflected[2])


def test_hashing_gives_blank_texts_one_vector_and_punctuation_its_own() -> None:
    vectors = HashingEncoder().encode_documents(["", "  \n", "?!", "..."])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert len({row.tobytes() for row in vectors}) == 3


@given(text=st.text(st.characters(exclude_categories=["Cs"])), dim=st.sampled_from([1, 2, 7, 384]))
def test_hashing_gives_any_text_a_unit_vector(text: str, dim: int) -> None:
    np.testing.assert_allclose(np.linalg.norm(HashingEncoder(dim).encode_queries([text])), 1, atol=1e-6)


def test_hashing_is_the_same_in_every_process() -> None:
    code = (
        "from memagent.testing import HashingEncoder\n"
        "print(HashingEncoder(32).encode_queries(['my cat, and yours'])[0].tobytes().hex())\n"
    )
    seeds = [{"PYTHONHASHSEED": seed, "PYTHONPATH": str(REPOSITORY)} for seed in ("1", "2")]
    printed = {
        subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True).stdout
        for env in seeds
    }
    assert len(printed) == 1
    assert printed.pop().strip() == HashingEncoder(32).encode_queries(["my cat, and yours"])[0].tobytes().hex()


def test_hashing_needs_a_width() -> None:
    with pytest.raises(InvalidInput):
        HashingEncoder(0)
    assert HashingEncoder(12).fingerprint == "hashing/12"
