"""A language model of some thousand weights with a tokenizer and a chat template, made in place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memagent.tuning.pairs import PreferencePair

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|pad|>", "<|im_start|>", "<|im_end|>"]


def save_tiny_model(folder: Path, *, template: str | None = TEMPLATE, width: int = 32) -> Path:
    """Save a Llama with random weights and a tokenizer of bytes; returns the folder."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {token: place for place, token in enumerate([*SPECIAL, *sorted(letters)])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    kind: Any = PreTrainedTokenizerFast
    fast = kind(tokenizer_object=tokenizer, pad_token="<|pad|>", eos_token="<|im_end|>", model_max_length=4096)
    fast.chat_template = template
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: so small a model is slower with several, on a busy machine many times over."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def pair(number: int, **changes: Any) -> PreferencePair:
    """A pair that prefers to answer."""
    fields: dict[str, Any] = {
        "instruction": "Think.",
        "input": f"Who was number {number}?",
        "chosen": f"So the answer is <answer>Ann {number}</answer>",
        "rejected": f"So the next query is <query>number {number}</query>",
        "chosen_action_type": "answer",
        "rejected_action_type": "query",
        "layer": 1,
        "group": f"q{number // 2}",
    }
    return PreferencePair(**{**fields, **changes})
