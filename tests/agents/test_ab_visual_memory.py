from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from poster_examples import colours, film, picture

from memagent.agents.ab.agent.image_vectors import CLIP, PosterVectors
from memagent.agents.ab.agent.memories import BankedMemory, Experience
from memagent.agents.ab.agent.poster_files import PosterFiles
from memagent.agents.ab.agent.posters import PosterSource
from memagent.agents.ab.agent.visual_memory import VisualMemory, fused
from memagent.errors import EncoderError, InvalidInput
from memagent.testing import HashingEncoder

AT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def posters(tmp_path: Path) -> PosterSource:
    for colour in ("red", "darkred", "blue", "green"):
        (tmp_path / f"{colour}.png").write_bytes(picture(colour, size=(20, 30)))
    return PosterSource(PosterFiles(base=tmp_path))


def memory(posters: PosterSource, **options: Any) -> VisualMemory:
    texts = BankedMemory(retriever="dense", encoder=HashingEncoder(dim=64))
    return VisualMemory(texts, PosterVectors(posters, colours), **options)


def experience(number: int, colour: str | None) -> Experience:
    poster = f"{colour}.png" if colour else None
    return Experience(text=f"Opened number {number}.", at=AT, item=film(number, poster))


SEEN = [experience(1, "blue"), experience(2, None), experience(3, "darkred"), experience(4, "green")]
NEW = film(9, "red.png")


def test_what_looks_alike_is_recalled_though_no_word_says_so(posters: PosterSource) -> None:
    by_poster = memory(posters, weight=1.0)
    by_poster.begin("a/u", SEEN)
    assert by_poster.recall("a/u", "Opened number 1.", [NEW], 1) == ["Opened number 3."]
    by_text = memory(posters, weight=0.0)
    by_text.begin("a/u", SEEN)
    assert by_text.recall("a/u", "Opened number 2.", [NEW], 1) == ["Opened number 2."]


def test_texts_and_posters_are_fused_by_rank() -> None:
    # a: 0.7/61 + 0.3/62, b: 0.7/62 + 0.3/61, c has no poster: 1/63, d was not found by text: 0.7/64 + 0.3/63.
    assert fused(["a", "b", "c"], ["b", "a", "d"], weight=0.3) == ["a", "b", "c", "d"]
    assert fused(["a", "b", "c"], ["b", "a", "d"], weight=0.7) == ["b", "a", "c", "d"]


def test_experiences_are_added_and_forgotten_by_bank(posters: PosterSource) -> None:
    found = memory(posters, weight=1.0)
    found.begin("a/u", SEEN[:2])
    found.remember("a/u", SEEN[2:])
    found.remember("b/u", SEEN[:1])
    assert found.recall("a/u", "x", [NEW], 1) == ["Opened number 3."]
    assert found.recall("b/u", "x", [NEW], 4) == ["Opened number 1."]
    found.begin("a/u", [])
    assert found.recall("a/u", "x", [NEW], 3) == []
    found.forget("b/u")
    assert found.recall("b/u", "x", [NEW], 3) == []


def test_a_page_or_a_past_without_posters_is_recalled_by_text(posters: PosterSource) -> None:
    found = memory(posters)
    found.begin("a/u", SEEN)
    assert found.recall("a/u", "Opened number 2.", [film(9), film(8, "broken.png")], 1) == ["Opened number 2."]
    found.begin("a/u", [experience(2, None)])
    assert found.recall("a/u", "Opened number 2.", [NEW], 1) == ["Opened number 2."]


def test_a_poster_is_encoded_once(posters: PosterSource) -> None:
    asked: list[int] = []

    def counting(images: Sequence[Image.Image]) -> Any:
        asked.append(len(images))
        return colours(images)

    vectors = PosterVectors(posters, counting)
    items = [film(n, "red.png" if n % 2 else None) for n in range(100)]
    assert len(vectors.of([*items, items[1]])) == len(vectors.of(items)) == 50
    assert sum(asked) == 50
    assert max(asked) <= 32
    assert np.linalg.norm(vectors.of(items)["i1"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("rows", [np.zeros((1, 3)), np.ones((2, 3)), np.full((1, 3), np.nan)])
def test_an_encoder_that_gives_no_vectors_is_named(rows: Any, posters: PosterSource) -> None:
    with pytest.raises(EncoderError):
        PosterVectors(posters, lambda _: rows).of([NEW])


def test_memories_by_other_encoders_or_weights_are_told_apart(posters: PosterSource) -> None:
    assert "poster_examples.colours" in memory(posters).fingerprint
    assert memory(posters).fingerprint != memory(posters, weight=0.5).fingerprint
    assert PosterVectors(posters, CLIP("x")).fingerprint == "clip x"
    with pytest.raises(InvalidInput):
        memory(posters, weight=1.5)


@given(st.lists(st.text(max_size=2), max_size=8), st.lists(st.text(max_size=2), max_size=8), st.floats(0, 1))
def test_fusion_loses_nothing_and_a_full_weight_keeps_its_own_order(
    texts: list[str], posters: list[str], weight: float
) -> None:
    assert set(fused(texts, posters, weight=weight)) == {*texts, *posters}
    first = list(dict.fromkeys(texts))
    assert fused(texts, posters, weight=0.0)[: len(first)] == first
    seconds = list(dict.fromkeys(posters))
    assert [one for one in fused(texts, posters, weight=1.0) if one in seconds] == seconds


def small_clip(folder: Path) -> Path:
    """A CLIP without training, small enough for a test."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    part = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**part, "vocab_size": 64, "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 1}
    vision = {**part, "image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a": 2, "a</w>": 3}
    CLIPTokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    crop = {"height": 32, "width": 32}
    settings = {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32}, "crop_size": crop}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def test_clip_gives_pictures_that_look_alike_near_vectors(posters: PosterSource, tmp_path: Path) -> None:
    vectors = PosterVectors(posters, CLIP(small_clip(tmp_path / "clip"), device="cpu"))
    found = vectors.of([film(n, f"{colour}.png") for n, colour in enumerate(("red", "darkred", "blue"))])
    assert found["i0"].shape == (8,)
    assert found["i0"] @ found["i1"] > found["i0"] @ found["i2"]


def test_clip_whose_weights_are_not_there_or_of_a_model_that_only_reads_is_named(
    posters: PosterSource, tmp_path: Path
) -> None:
    with pytest.raises(EncoderError, match="no model folder"):
        PosterVectors(posters, CLIP(tmp_path / "none")).of([NEW])
    (tmp_path / "bad").mkdir()
    with pytest.raises(EncoderError, match="cannot load"):
        PosterVectors(posters, CLIP(tmp_path / "bad")).of([NEW])
    with pytest.raises(EncoderError, match="does not see pictures"):
        PosterVectors(posters, CLIP("all-MiniLM-L6-v2", device="cpu")).of([NEW])
