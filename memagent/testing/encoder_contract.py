"""What every encoder must do, as tests to inherit.

class TestMyEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Encoder:
        return MyEncoder()
"""

# ruff: noqa: D102 - the names of the tests are sentences that say what is required.

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from memagent.encoders.port import Encoder
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from memagent.records import Vectors

_TEXTS = [
    "I moved to Lyon in March because of the new job.",
    "My sister keeps three cats and a very old dog.",
    "",
    "The recipe wants two eggs, flour, and a spoon of olive oil; bake it for an hour.",
    "ok",
]
_TOLERANCE = 1e-4


class EncoderContract:
    """Inherit, name the class ``Test...`` and override ``encoder``; every method is a test."""

    @pytest.fixture
    def encoder(self) -> Encoder:
        """The encoder under test."""
        raise NotImplementedError("override the fixture `encoder`")

    @pytest.fixture(params=["encode_queries", "encode_documents"])
    def encode(self, encoder: Encoder, request: pytest.FixtureRequest) -> Callable[[Sequence[str]], Vectors]:
        """Each of the two ways to encode."""
        method: Callable[[Sequence[str]], Vectors] = getattr(encoder, request.param)
        return method

    def test_it_satisfies_the_port(self, encoder: Encoder) -> None:
        assert isinstance(encoder, Encoder)
        assert encoder.name
        assert encoder.dim >= 1
        assert encoder.max_tokens is None or encoder.max_tokens >= 1

    def test_the_fingerprint_is_short_ascii_and_stays(self, encoder: Encoder) -> None:
        before = encoder.fingerprint
        encoder.encode_documents(["a text"])
        assert encoder.fingerprint == before
        assert before.isascii()
        assert 1 <= len(before) <= 64

    def test_vectors_are_contiguous_float32_rows_of_length_one(
        self, encoder: Encoder, encode: Callable[[Sequence[str]], Vectors]
    ) -> None:
        _check(encode(_TEXTS), rows=len(_TEXTS), dim=encoder.dim)

    def test_no_texts_give_no_rows_of_the_right_width(
        self, encoder: Encoder, encode: Callable[[Sequence[str]], Vectors]
    ) -> None:
        vectors = encode([])
        assert vectors.shape == (0, encoder.dim)
        assert vectors.dtype == np.float32

    def test_rows_keep_the_order_of_texts_and_ignore_their_companions(
        self, encode: Callable[[Sequence[str]], Vectors]
    ) -> None:
        together = encode(_TEXTS)
        alone = np.concatenate([encode([text]) for text in _TEXTS])
        np.testing.assert_allclose(together, alone, atol=_TOLERANCE)
        np.testing.assert_allclose(encode(_TEXTS[::-1]), together[::-1], atol=_TOLERANCE)

    def test_the_same_text_has_the_same_vector_in_any_crowd(self, encode: Callable[[Sequence[str]], Vectors]) -> None:
        crowd = [f"{text} number {n}" for n in range(12) for text in _TEXTS]
        vectors = encode([_TEXTS[0], *crowd, _TEXTS[0]])
        alone = encode([_TEXTS[0]])[0]
        np.testing.assert_allclose(vectors[0], alone, atol=_TOLERANCE)
        np.testing.assert_allclose(vectors[-1], alone, atol=_TOLERANCE)

    def test_different_texts_have_different_vectors(self, encode: Callable[[Sequence[str]], Vectors]) -> None:
        vectors = encode(_TEXTS)
        similar = vectors @ vectors.T - 2 * np.eye(len(_TEXTS), dtype=np.float32)
        assert similar.max() < 0.999

    def test_a_text_is_nearer_to_its_like_than_to_another(self, encoder: Encoder) -> None:
        query = encoder.encode_queries(["Which cats does my sister keep?"])[0]
        scores = encoder.encode_documents(_TEXTS) @ query
        assert int(scores.argmax()) == 1

    @pytest.mark.parametrize("text", ["", " ", "\n\t ", "\0", "\u200b"])
    def test_texts_of_nothing_have_a_valid_vector(
        self, encoder: Encoder, encode: Callable[[Sequence[str]], Vectors], text: str
    ) -> None:
        _check(encode([text]), rows=1, dim=encoder.dim)

    @pytest.mark.parametrize(
        "text", ["你好，世界", "Привет, мир", "مرحبا بالعالم", "こんにちは", "🙂🙃", "e\u0301", "!?"]
    )
    def test_any_script_has_a_valid_vector(
        self, encoder: Encoder, encode: Callable[[Sequence[str]], Vectors], text: str
    ) -> None:
        _check(encode([text]), rows=1, dim=encoder.dim)

    @pytest.mark.parametrize("text", ["word " * 3000, "x" * 20_000], ids=["many words", "one long word"])
    def test_a_very_long_text_has_a_valid_vector(
        self, encoder: Encoder, encode: Callable[[Sequence[str]], Vectors], text: str
    ) -> None:
        _check(encode(["short", text]), rows=2, dim=encoder.dim)

    def test_a_lone_surrogate_is_refused_and_located(self, encode: Callable[[Sequence[str]], Vectors]) -> None:
        with pytest.raises(InvalidInput, match=r"texts\[1\].*surrogate"):
            encode(["fine", "not \ud800 fine"])

    @pytest.mark.parametrize("texts", ["one string", b"bytes", [b"bytes"], [None], 5, [["nested"]]])
    def test_anything_but_a_list_of_strings_is_refused(
        self, encode: Callable[[Sequence[str]], Vectors], texts: Any
    ) -> None:
        with pytest.raises(InvalidInput):
            encode(texts)

    def test_threads_get_the_vectors_of_their_own_texts(self, encode: Callable[[Sequence[str]], Vectors]) -> None:
        expected = encode(_TEXTS)
        jobs = [[position, (position + 1) % len(_TEXTS)] for position in range(len(_TEXTS))] * 4
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda job: encode([_TEXTS[position] for position in job]), jobs))
        for job, vectors in zip(jobs, found, strict=True):
            np.testing.assert_allclose(vectors, expected[job], atol=_TOLERANCE)

    def test_tokens_are_counted_and_nothing_has_none(self, encoder: Encoder) -> None:
        assert encoder.count_tokens("") == 0
        assert 2 <= encoder.count_tokens("two words") <= 10
        assert encoder.count_tokens("word " * 500) >= 500


def _check(vectors: Vectors, *, rows: int, dim: int) -> None:
    assert vectors.shape == (rows, dim)
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
