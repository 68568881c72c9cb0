"""The encoder over sentence-transformers and torch: any model it can load."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from memagent.encoders.batching import batches, padded
from memagent.encoders.checks import unit_vectors
from memagent.encoders.files import default_cache_dir
from memagent.encoders.model import ModelFolder
from memagent.encoders.text_encoder import TextEncoder
from memagent.encoders.tokens import Tokens
from memagent.encoders.windows import LongText
from memagent.errors import EncoderError

if TYPE_CHECKING:
    from memagent.records import Vectors


class SentenceTransformersEncoder(TextEncoder):
    """Runs a model with torch, on the device sentence-transformers chooses, in float32.

    Transformers over text follow the same windows and batches as ONNX and share its fingerprint. Any
    other chain of modules is given whole texts: it cuts those longer than its limit, so
    ``long_text="windows"`` is refused for one that has a limit.
    """

    def __init__(
        self,
        model: ModelFolder,
        *,
        long_text: LongText = "windows",
        batch_size: int = 32,
        cache_dir: Path | None = None,
    ) -> None:
        super().__init__(
            model,
            precision="float32",
            long_text=long_text,
            batch_size=batch_size,
            cache_dir=cache_dir or default_cache_dir(),
        )
        self._loaded_model: Any = None

    @property
    def max_tokens(self) -> int | None:
        """Tokens of one window, special tokens included."""
        if self._model.max_tokens is not None or self._model.plain:
            return self._model.max_tokens
        return _limit(self._loaded)

    @property
    def _loaded(self) -> Any:
        if self._loaded_model is None:
            with self._lock:
                if self._loaded_model is None:
                    self._loaded_model = self._load()
        return self._loaded_model

    def _load(self) -> Any:
        _ = self._weights  # the packaged model's weights are checked before they are used
        loaded = load_sentence_transformer(self._model)
        limit = _limit(loaded)
        if self._long_text == "windows" and limit is not None and not self._model.plain:
            raise EncoderError(
                f"{self.name} sees {limit} tokens and cannot be given windows of tokens",
                hint='pass long_text="truncate" to let it cut longer texts',
            )
        return loaded

    def _encode_some(self, texts: list[str], prompt: str) -> Vectors:
        if self._model.plain:
            return super()._encode_some(texts, prompt)
        loaded = self._loaded
        with self._lock:  # sentence-transformers changes its tokenizer's settings during a call
            found = loaded.encode(
                texts,
                prompt=prompt or None,
                batch_size=self._batch_size,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        return unit_vectors(found, rows=len(texts))

    def _embed(self, sequences: list[list[int]]) -> Vectors:
        import torch

        loaded = self._loaded
        side: Literal["left", "right"] = "left" if loaded.tokenizer.padding_side == "left" else "right"
        out: Vectors = np.empty((len(sequences), self.dim), dtype=np.float32)
        with torch.inference_mode():
            for rows in batches([len(sequence) for sequence in sequences], texts=self._batch_size):
                ids, mask = padded([sequences[row] for row in rows], pad=self._model.pad_id, side=side)
                features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
                features = {key: value.to(loaded.device) for key, value in features.items()}
                out[rows] = loaded(features)["sentence_embedding"].cpu().numpy()
        return out

    def _loaded_dim(self) -> int:
        return int(self._loaded.get_embedding_dimension())

    def _load_tokens(self) -> Tokens:
        from tokenizers import Tokenizer

        found = self._loaded.tokenizer
        backend = found if isinstance(found, Tokenizer) else getattr(found, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise EncoderError(f"{self.name} has no tokenizer that counts", hint="choose a model with tokenizer.json")
        # A copy, because sentence-transformers changes its own one's settings.
        return Tokens(Tokenizer.from_str(backend.to_str()))


def load_sentence_transformer(model: ModelFolder, *, device: str | None = None) -> Any:
    """See :func:`load_folder`."""
    return load_folder(model.folder, device=device)


def load_folder(folder: Path, *, device: str | None = None) -> Any:
    """A folder's model as sentence-transformers loads it, in float32; raises :class:`EncoderError`."""
    from sentence_transformers import SentenceTransformer

    try:
        with _no_progress_bars():
            loaded = SentenceTransformer(str(folder), device=device, local_files_only=True)
    except Exception as error:  # loading runs the model's own code, which may raise anything
        raise EncoderError(
            f"sentence-transformers cannot load {folder}: {error}", hint="reinstall or download the model"
        ) from error
    return loaded.float().eval()


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """A library prints nothing: transformers' bars are off meanwhile, and as they were afterwards."""
    from transformers.utils import logging

    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()


def _limit(loaded: Any) -> int | None:
    limit = loaded.max_seq_length
    return int(limit) if limit is not None and math.isfinite(limit) else None
