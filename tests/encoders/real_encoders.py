"""The packaged model's encoders, each built once for all tests of a process."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from memagent.encoders import load_encoder
from memagent.encoders.onnx import OnnxEncoder
from memagent.encoders.packaged import packaged_folder
from memagent.encoders.port import Encoder
from memagent.encoders.sentence_transformers import SentenceTransformersEncoder

LongText = Literal["windows", "truncate"]


@cache
def onnx_float32(long_text: LongText = "windows") -> OnnxEncoder:
    encoder = load_encoder(backend="onnx", long_text=long_text)
    assert isinstance(encoder, OnnxEncoder)
    return encoder


@cache
def onnx_int8() -> OnnxEncoder:
    encoder = load_encoder(backend="onnx", precision="int8")
    assert isinstance(encoder, OnnxEncoder)
    return encoder


@cache
def torch_float32(long_text: LongText = "windows") -> SentenceTransformersEncoder:
    import torch

    torch.set_num_threads(1)  # its threads wait for each other, for seconds where test processes share processors
    encoder = load_encoder(backend="torch", long_text=long_text)
    assert isinstance(encoder, SentenceTransformersEncoder)
    return encoder


@cache
def packaged() -> Path:
    folder = packaged_folder()
    assert folder is not None
    return folder


def save_tiny_model(
    folder: Path,
    architecture: str = "bert",
    *,
    pooling: str | tuple[str, ...] = "mean",
    normalise: bool = True,
    prompts: dict[str, str] | None = None,
    max_tokens: int | None = 24,
) -> Path:
    """Save a random model of 2 layers and 32 dimensions over a vocabulary of a few words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    base = folder / "base"
    _tokenizer().save_pretrained(base)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "vocab_size": 64,
        "max_position_embeddings": 64,
        "pad_token_id": 1,
    }
    if architecture == "distilbert":
        sizes |= {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64}
    if architecture == "electra":
        sizes |= {"embedding_size": 32}
    auto: Any = AutoModel
    auto.from_config(AutoConfig.for_model(architecture, **sizes)).save_pretrained(base)
    modules: list[Any] = [Transformer(str(base), max_seq_length=max_tokens), Pooling(32, pooling)]
    model = SentenceTransformer(modules=[*modules, *([Normalize()] if normalise else [])], device="cpu")
    model.prompts |= prompts or {}
    saved = folder / "saved"
    model.save(str(saved), create_model_card=False)
    return saved


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
    ]
    vocabulary = {word: number for number, word in enumerate([*words, "query:", "text:"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    fast: Any = PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def edit_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | changes), "utf-8")


def unloaded(encoder: Encoder) -> bool:
    """Whether nothing of the model is in memory yet."""
    return not getattr(encoder, "_graphs", None) and getattr(encoder, "_loaded_model", None) is None
