from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from memagent.encoders import load_encoder
from memagent.encoders.cache import CachedEncoder
from memagent.encoders.model import read_model
from memagent.encoders.packaged import packaged_folder
from memagent.encoders.related import RelatedWords, neighbours, read, related_words, word_vectors
from memagent.errors import EncoderError
from memagent.testing import HashingEncoder


def model_folder(folder: Path, vocabulary: object, table: object | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 2}))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))
    name = "other.weight" if table is None else "embeddings.word_embeddings.weight"
    save_file(
        {name: np.zeros((1, 1), np.float32) if table is None else np.array(table, np.float32)}, folder / "m.safetensors"
    )
    return folder


VOCABULARY = {"[PAD]": 0, "boat": 1, "ship": 2, "##ship": 3, "tea": 4, "a": 5, "Boat": 6, "c3po": 7, "coffee": 8}
# The mean of boat, ship, tea and coffee is (0, 0): they are centred already.
TABLE = [[9, 9], [1.0, 0.2], [1.0, 0.0], [5, 5], [-1.0, 0.0], [7, 7], [-9, 9], [3, 3], [-1.0, -0.2]]


def test_whole_words_of_the_vocabulary_have_the_closest_as_neighbours(tmp_path: Path) -> None:
    model = read_model(model_folder(tmp_path, VOCABULARY, TABLE), name="small")
    words, vectors = word_vectors(model)
    assert words == ["boat", "ship", "tea", "coffee"]  # pieces, single letters, other spellings and marks are left out
    assert vectors.shape == (4, 2)
    found = neighbours(words, vectors)
    cosine = 1 / np.sqrt(1.04)
    assert dict(found.of("boat")) == {"ship": pytest.approx(cosine)}
    assert found.of("boat's") == found.of("boat")
    assert dict(found.of("coffee")) == {"tea": pytest.approx(cosine)}
    assert found.of("submarine") == ()


def test_vocabularies_that_mark_the_beginnings_of_words_give_no_word_ends(tmp_path: Path) -> None:
    listed = [["<s>", 0.0], ["▁boat", -1.0], ["ship", -2.0], ["▁ship", -3.0]]
    model = read_model(model_folder(tmp_path, listed, [[0, 0], [1, 0], [0, 1], [1, 1]]), name="pieces")
    assert word_vectors(model)[0] == ["boat", "ship"]
    assert word_vectors(model)[1].tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("vocabulary", [VOCABULARY, {}, None])
def test_a_model_without_word_vectors_or_words_knows_no_related_words(tmp_path: Path, vocabulary: object) -> None:
    table = None if vocabulary == VOCABULARY else TABLE
    model = read_model(model_folder(tmp_path / "model", vocabulary, table), name="bare")
    assert len(related_words(model, weights="0" * 64, cache_dir=tmp_path)) == 0


def test_neighbours_are_found_once_and_kept(tmp_path: Path) -> None:
    model = read_model(model_folder(tmp_path / "model", VOCABULARY, TABLE), name="small")
    first = related_words(model, weights="a" * 64, cache_dir=tmp_path)
    (tmp_path / "model" / "m.safetensors").write_bytes(b"gone")
    again = related_words(model, weights="a" * 64, cache_dir=tmp_path)
    assert [again.of(word) for word in again.words] == [first.of(word) for word in first.words]
    with pytest.raises(EncoderError, match="cannot read"):
        related_words(model, weights="b" * 64, cache_dir=tmp_path)


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    model = read_model(model_folder(tmp_path / "model", VOCABULARY, TABLE), name="small")
    related_words(model, weights="a" * 64, cache_dir=tmp_path)
    (path,) = (tmp_path / "related-words").glob("*.npz")
    for damage in (b"", b"PK\x03\x04 not a zip", path.read_bytes()[:200]):
        path.write_bytes(damage)
        assert read(path) is None
        assert related_words(model, weights="a" * 64, cache_dir=tmp_path).of("ship")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    model = read_model(model_folder(tmp_path / "model", VOCABULARY, TABLE), name="small")
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert related_words(model, weights="a" * 64, cache_dir=tmp_path / "cache").of("ship")


def test_a_word_has_at_most_24_neighbours_closest_first() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)  # centred by symmetry
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    found = neighbours([f"w{place}" for place in range(200)], vectors)
    cosines = [cosine for _, cosine in found.of("w7")]
    assert len(cosines) == 24
    assert cosines == sorted(cosines, reverse=True)
    assert {word for word, _ in found.of("w7")[:2]} == {"w6", "w8"}


def test_no_words_at_all_make_an_empty_table(tmp_path: Path) -> None:
    empty = neighbours([], np.zeros((0, 1), np.float32))
    empty.save(tmp_path / "empty.npz")
    known = read(tmp_path / "empty.npz")
    assert isinstance(known, RelatedWords)
    assert len(known) == 0
    assert known.of("boat") == ()


@pytest.mark.skipif(packaged_folder() is None, reason="the packaged model is not installed")
def test_the_packaged_model_knows_words_that_mean_much_the_same(tmp_path: Path) -> None:
    encoder = CachedEncoder(load_encoder(), tmp_path / "cache.sqlite")
    found = encoder.related_words(["injured", "friends", "qwertzuiop"])
    assert set(found) == {"injured", "friends"}
    assert "injury" in dict(found["injured"])
    assert "friend" in dict(found["friends"])
    assert all(0.3 <= cosine <= 1.0 for others in found.values() for _, cosine in others)


def test_a_cache_around_an_encoder_without_related_words_knows_none(tmp_path: Path) -> None:
    assert CachedEncoder(HashingEncoder(), tmp_path / "cache.sqlite").related_words(["boat"]) == {}
