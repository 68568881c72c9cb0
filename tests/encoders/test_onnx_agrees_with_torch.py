from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from real_encoders import LongText, onnx_float32, onnx_int8, save_tiny_model, torch_float32

from memagent.encoders import load_encoder
from memagent.encoders.onnx import OnnxEncoder

if TYPE_CHECKING:
    from memagent.records import Vectors

STORY = (
    "We walked along the river until the bridge, where Anna told me that she had sold the bakery and "
    "would open another one in Porto, by the sea, as soon as the papers were signed."
)
TEXTS = [
    *("", " ", "\n\t", "a", "?", "...", "\0", "\u200b", "🙂", "🙂🙃👩‍👩‍👧", "e\u0301te\u0301", "ﬁne ligatures"),
    *(
        "ok",
        "OK",
        "Yes!",
        "No.",
        "My cat's name is Tom.",
        "When did I move to Lyon?",
        "3.14159 and 2,718",
        "#tag @name",
    ),
    *(
        "你好，世界",
        "我上个月搬到了上海",
        "Привет, мир",
        "Я переехал в Лион",
        "مرحبا بالعالم",
        "שלום עולם",
        "नमस्ते दुनिया",
    ),
    *("こんにちは世界", "안녕하세요", "สวัสดีชาวโลก", "Γειά σου Κόσμε", "Çok güzel bir gün", "Đây là tiếng Việt"),
    *(
        "https://example.org/a?b=c#d",
        "def f(x):\n    return x ** 2",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "x" * 99,
        "x" * 101,
    ),
    *(" ".join([STORY] * n) for n in (1, 2, 4, 6, 7, 8, 14, 40)),
    *("word " * n for n in (1, 50, 253, 254, 255, 256, 508, 509, 1000)),
    *("你好" * n for n in (100, 127, 128, 300)),
    "A" * 20_000,
    "[CLS] special [SEP] names [MASK]",
]


@cache
def encoded(long_text: LongText) -> Vectors:
    """The texts' vectors, made once for all tests."""
    return onnx_float32(long_text).encode_documents(TEXTS)


@pytest.mark.parametrize("long_text", ["windows", "truncate"])
def test_float32_vectors_of_both_backends_agree(long_text: LongText) -> None:
    ours, theirs = onnx_float32(long_text), torch_float32(long_text)
    assert ours.fingerprint == theirs.fingerprint
    np.testing.assert_allclose(encoded(long_text), theirs.encode_documents(TEXTS), atol=1e-4)


def test_truncating_gives_the_vectors_of_sentence_transformers() -> None:
    model: Any = torch_float32("truncate")._loaded
    expected = model.encode(TEXTS, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encoded("truncate"), expected, atol=1e-4)


def test_a_long_text_is_the_mean_of_its_windows_weighted_by_tokens() -> None:
    encoder = onnx_float32()
    assert encoder.max_tokens == 256
    room = 254
    words = [f"{word} " for word in ("cat", "dog", "bird")]
    parts = [words[0] * room, words[1] * room, words[2] * 100]
    vectors = encoder.encode_documents([*parts, "".join(parts)])
    expected = (np.array([room, room, 100]) @ vectors[:3]).astype(np.float32)
    np.testing.assert_allclose(vectors[3], expected / np.linalg.norm(expected), atol=1e-4)
    assert np.abs(vectors[3] - onnx_float32("truncate").encode_documents(["".join(parts)])[0]).max() > 0.01


def test_truncating_sees_the_first_window_only() -> None:
    encoder = onnx_float32("truncate")
    first = "word " * 254
    vectors = encoder.encode_documents([first, first + "and then something else entirely " * 50])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


def test_the_policies_have_different_fingerprints_and_so_has_int8() -> None:
    names = {onnx_float32().fingerprint, onnx_float32("truncate").fingerprint, onnx_int8().fingerprint}
    assert len(names) == 3


def test_int8_stays_close_to_float32_and_ignores_companions() -> None:
    full, small = encoded("windows"), onnx_int8().encode_documents(TEXTS)
    cosines = np.einsum("ij,ij->i", full, small)
    assert cosines.mean() > 0.985
    assert cosines.min() > 0.95
    np.testing.assert_allclose(onnx_int8().encode_documents(TEXTS[30:40]), small[30:40], atol=1e-6)


def test_more_texts_than_are_sorted_at_once_keep_their_order() -> None:
    encoder = onnx_int8()
    texts = [f"{n}" for n in range(2050)]
    vectors = encoder.encode_documents(texts)
    some = [0, 1, 2046, 2047, 2048, 2049]
    np.testing.assert_allclose(vectors[some], encoder.encode_documents([texts[n] for n in some]), atol=1e-6)


TINY_TEXTS = [
    "",
    "one",
    "two three four",
    "nine ten one zebra",
    "one two three four five six " * 2,
    "seven eight " * 40,
]


@pytest.mark.parametrize(
    ("architecture", "pooling", "normalise"),
    [
        ("bert", "mean", False),
        ("bert", "cls", True),
        ("roberta", "mean", True),
        ("xlm-roberta", "cls", True),
        ("mpnet", "mean", True),
        ("distilbert", "mean", True),
        ("camembert", "mean", True),
        ("electra", "mean", True),
    ],
)
def test_every_architecture_taken_for_onnx_is_reproduced(
    tmp_path: Path, architecture: str, pooling: str, normalise: bool
) -> None:
    folder = save_tiny_model(tmp_path, architecture, pooling=pooling, normalise=normalise)
    encoder = load_encoder(folder, cache_dir=tmp_path / "cache")
    torch = load_encoder(folder, backend="torch", cache_dir=tmp_path / "cache")
    assert isinstance(encoder, OnnxEncoder)
    assert encoder.fingerprint == torch.fingerprint
    assert encoder.fingerprint.startswith(f"{architecture}-32/")
    vectors = encoder.encode_documents(TINY_TEXTS)
    assert vectors.shape == (len(TINY_TEXTS), 32)
    np.testing.assert_allclose(vectors, torch.encode_documents(TINY_TEXTS), atol=1e-4)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_prompts_are_put_before_queries_and_documents(tmp_path: Path, backend: Any) -> None:
    folder = save_tiny_model(tmp_path, prompts={"query": "query: ", "document": "text: "})
    plain = save_tiny_model(tmp_path / "plain")
    encoder = load_encoder(folder, backend=backend, cache_dir=tmp_path / "cache")
    other = load_encoder(plain, backend=backend, cache_dir=tmp_path / "cache")
    texts = ["one two", "three", "four " * 15]
    assert encoder.fingerprint != other.fingerprint
    np.testing.assert_allclose(
        encoder.encode_queries(texts), other.encode_queries([f"query: {text}" for text in texts]), atol=1e-5
    )
    np.testing.assert_allclose(
        encoder.encode_documents(texts), other.encode_documents([f"text: {text}" for text in texts]), atol=1e-5
    )


def test_every_window_repeats_the_prompt(tmp_path: Path) -> None:
    encoder = load_encoder(save_tiny_model(tmp_path, prompts={"query": "query: "}), cache_dir=tmp_path / "cache")
    room = 24 - 2 - 1
    windows = ["one " * room, "two " * room, "three " * 5]
    vectors = encoder.encode_queries([*windows, "".join(windows)])
    expected = (np.array([room, room, 5]) @ vectors[:3]).astype(np.float32)
    np.testing.assert_allclose(vectors[3], expected / np.linalg.norm(expected), atol=1e-5)
