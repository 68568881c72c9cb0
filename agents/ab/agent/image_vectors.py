"""Vectors of pictures: the port, CLIP behind it, and the vectors of a catalogue's posters."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from memagent.agents.ab.agent.pictures import opened
from memagent.encoders.checks import unit_vectors
from memagent.errors import EncoderError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from memagent.agents.ab.agent.posters import PosterSource
    from memagent.agents.ab.catalogue import Item

CLIP_MODEL = "clip-ViT-B-32"
"""Of sentence-transformers; the paper says CLIP, and not which."""

_AT_ONCE = 32  # pictures


class ImageEncoder(Protocol):
    """Anything that is called with pictures (Pillow, RGB) and returns their vectors, shape (n, dim), float32.

    ``encode`` of a sentence-transformers CLIP model is one. An attribute ``fingerprint``, if there, names the vectors.
    """

    def __call__(self, images: Sequence[Image], /) -> NDArray[np.floating]:
        """A row for each picture, in order; any length but 0."""


class CLIP:
    """CLIP by sentence-transformers: a saved model's folder, or a name on the hub. Loaded at the first picture.

    Raises EncoderError where the weights cannot be had or are of no model that sees. Safe from several threads.
    """

    def __init__(self, model: str | Path = CLIP_MODEL, *, device: str | None = None) -> None:
        self._name = model
        self._device = device
        self._loaded: Any = None
        self._lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """The model's name."""
        return f"clip {self._name}"

    def __call__(self, images: Sequence[Image], /) -> NDArray[np.floating]:
        """See :class:`ImageEncoder`."""
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            found: NDArray[np.floating] = self._loaded.encode(
                list(images), batch_size=_AT_ONCE, show_progress_bar=False, convert_to_numpy=True
            )
        return found

    def _load(self) -> Any:
        from memagent.encoders.hub import find_model
        from memagent.encoders.sentence_transformers import load_folder

        folder, name = find_model(self._name)
        loaded = load_folder(folder, device=self._device)
        if not loaded.supports("image"):
            raise EncoderError(f"{name} does not see pictures", hint=f"name a model like {CLIP_MODEL}")
        return loaded


class PosterVectors:
    """Unit vectors of posters, each made once and kept in memory. Safe from several threads."""

    def __init__(self, posters: PosterSource, encoder: ImageEncoder) -> None:
        self._posters = posters
        self._encoder = encoder
        self._made: dict[str, NDArray[np.float32] | None] = {}
        self._lock = threading.Lock()

    @property
    def posters(self) -> PosterSource:
        """Where the pictures come from."""
        return self._posters

    @property
    def fingerprint(self) -> str:
        """Names the encoder: by its own fingerprint, or by where it is defined."""
        kind = type(self._encoder)
        named = getattr(self._encoder, "__qualname__", kind.__qualname__)
        module = getattr(self._encoder, "__module__", kind.__module__)
        return str(getattr(self._encoder, "fingerprint", None) or f"{module}.{named}")

    def of(self, items: Sequence[Item]) -> dict[str, NDArray[np.float32]]:
        """The vectors by item id, without items that have no poster."""
        with self._lock:
            new = [item for item in {item.id: item for item in items}.values() if item.id not in self._made]
            for first in range(0, len(new), _AT_ONCE):
                self._encode(new[first : first + _AT_ONCE])
            found = {item.id: self._made[item.id] for item in items}
        return {item: vector for item, vector in found.items() if vector is not None}

    def _encode(self, items: Sequence[Item]) -> None:
        pictures = {item.id: self._posters.jpeg(item) for item in items}
        seen = {item: opened(jpeg) for item, jpeg in pictures.items() if jpeg is not None}
        vectors = unit_vectors(self._encoder(list(seen.values())), rows=len(seen)) if seen else ()
        self._made |= dict.fromkeys(pictures)
        self._made |= dict(zip(seen, vectors, strict=True))
