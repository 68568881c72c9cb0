from __future__ import annotations

from pathlib import Path

import pytest
from real_encoders import onnx_float32, onnx_int8, save_tiny_model, torch_float32

from memagent.encoders import load_encoder
from memagent.encoders.cache import CachedEncoder
from memagent.encoders.port import Encoder
from memagent.testing import EncoderContract, HashingEncoder


class TestHashingEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Encoder:
        return HashingEncoder()


class TestOnnxFloat32(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Encoder:
        return onnx_float32()


class TestOnnxTruncating(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Encoder:
        return onnx_float32("truncate")


class TestOnnxInt8(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Encoder:
        return onnx_int8()


class TestTorch(EncoderContract):
    @pytest.fixture
    def encoder(self) -> Encoder:
        return torch_float32()


class TestCachedHashingEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self, tmp_path: Path) -> Encoder:
        return CachedEncoder(HashingEncoder(), tmp_path / "cache.sqlite")


class TestCachedOnnxEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self, tmp_path: Path) -> Encoder:
        return CachedEncoder(onnx_float32(), tmp_path)


@pytest.fixture(scope="module")
def two_poolings(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = tmp_path_factory.mktemp("model")
    return load_encoder(save_tiny_model(folder, pooling=("mean", "max")), cache_dir=folder / "cache")


class TestTwoPoolings(EncoderContract):
    """A chain that only torch runs."""

    @pytest.fixture
    def encoder(self, two_poolings: Encoder) -> Encoder:
        return two_poolings

    def test_a_text_is_nearer_to_its_like_than_to_another(self, encoder: Encoder) -> None:
        """Random weights know no likeness."""

    def test_different_texts_have_different_vectors(self, encoder: Encoder) -> None:  # type: ignore[override]
        """To a vocabulary of ten words most texts are alike."""
