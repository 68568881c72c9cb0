"""U-U-RAG's index: tasks of other users whose best style is known, found by how near their texts are.

The text of a task is its user's profile and the task, one behind the other (or the task alone), embedded as a document;
nearness is the Euclidean distance of unit vectors, searched exactly. The published embedder is bge-large-en-v1.5; any
encoder does, the default is the packaged all-MiniLM-L6-v2.

What it gives away to whoever holds the file: with ``texts`` (as published) every profile and task in clear; without
them the vectors, from which much of a text can be reconstructed and against which any guess can be tested. A device
that holds no other user's data at all needs :mod:`memagent.agents.lsrp.private_counts`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.lsrp.index_file import damaged, read_arrays, write_arrays
from memagent.agents.lsrp.ports import PrivateTask
from memagent.agents.lsrp.scores import profile_text
from memagent.errors import EncoderMismatch, InvalidInput, InvalidVector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.encoders.port import Encoder
    from memagent.records import Vectors

_KIND = "a U-U-RAG index of neighbours"
_SCORES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """An indexed task: its best style, its squared Euclidean distance (0 to 4), its text (None if not kept)."""

    style: str
    distance: float
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """How a task becomes the text that is embedded. ``profile=False``: the task alone, as a published switch has it."""

    profile: bool = True
    between: str = ": "

    def of(self, task: PrivateTask) -> str:
        """The text: plain concatenation, as published."""
        return profile_text(task.profile, between=self.between) + task.text if self.profile else task.text


class NeighbourIndex:
    """Vectors with a style each, and the texts if they are kept. Searching is safe from several threads.

    ``weights``: what the knee by which the styles were picked gives UDRR, fluency and relevance; None: not known.
    """

    def __init__(
        self,
        encoder: Encoder,
        vectors: Vectors,
        styles: Sequence[str],
        *,
        texts: Sequence[str] | None = None,
        made: Texts | None = None,
        weights: Sequence[float] | None = None,
    ) -> None:
        from memagent.index import VectorIndex

        if len(vectors) != len(styles) or (texts is not None and len(texts) != len(styles)):
            raise InvalidInput(
                f"{len(vectors)} vectors, {len(styles)} styles", hint="a style, and a text if any, for each vector"
            )
        self._encoder = encoder
        self._made = made or Texts()
        self._weights = _checked_weights(weights)
        self._vectors = vectors
        self._styles = tuple(styles)
        self._texts = None if texts is None else tuple(texts)
        self._index = VectorIndex(encoder.dim)
        if len(vectors):
            self._index.put(np.arange(len(vectors)), vectors)

    def __len__(self) -> int:
        return len(self._styles)

    @property
    def styles(self) -> tuple[str, ...]:
        """The styles of the entries, in their order."""
        return self._styles

    @property
    def texts(self) -> tuple[str, ...] | None:
        """The texts of the entries, in their order; None where only vectors are kept."""
        return self._texts

    @property
    def made(self) -> Texts:
        """How a task becomes the text that is embedded."""
        return self._made

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The knee's weights of UDRR, fluency and relevance; None where they are not known."""
        return self._weights

    @property
    def vectors(self) -> Vectors:
        """The vectors of the entries, float32 (n, dim)."""
        return self._vectors

    @classmethod
    def of(
        cls,
        tasks: Sequence[PrivateTask],
        styles: Sequence[str],
        *,
        encoder: Encoder,
        texts: bool = True,
        made: Texts | None = None,
        weights: Sequence[float] | None = None,
    ) -> NeighbourIndex:
        """The index of tasks with their best styles. ``texts=False`` keeps vectors and styles only.

        Raises InvalidInput unless there is a style for each task, and for weights that are none.
        """
        if len(tasks) != len(styles):
            raise InvalidInput(f"{len(tasks)} tasks, {len(styles)} styles", hint="one style for each task")
        weights = _checked_weights(weights)  # before the texts are embedded, which takes a while
        form = made or Texts()
        written = [form.of(task) for task in tasks]
        vectors = encoder.encode_documents(written) if written else np.empty((0, encoder.dim), np.float32)
        return cls(encoder, vectors, styles, texts=written if texts else None, made=form, weights=weights)

    def nearest(self, task: PrivateTask, k: int = 50) -> list[Neighbour]:
        """The k entries nearest to a task, nearest first, equal distances in the order of the entries."""
        if not len(self):
            return []
        return self.nearest_to(self._encoder.encode_documents([self._made.of(task)])[0], k)

    def nearest_to(self, vector: NDArray[np.float32], k: int = 50) -> list[Neighbour]:
        """As :meth:`nearest`, for a text that is embedded already: a unit vector, float32 (dim,)."""
        found = self._index.search(vector, k)
        return [
            Neighbour(
                style=self._styles[row],
                distance=max(0.0, 2.0 - 2.0 * float(score)),
                text=None if self._texts is None else self._texts[row],
            )
            for row, score in zip(found.keys.tolist(), found.scores.tolist(), strict=True)
        ]

    def save(self, path: str | Path) -> None:
        """Write the index to one file, readable by its owner alone. Raises InvalidInput where it cannot be written."""
        header = {
            "kind": _KIND,
            "encoder": self._encoder.fingerprint,
            "profile": self._made.profile,
            "between": self._made.between,
            "styles": list(self._styles),
        }
        if self._weights is not None:
            header["weights"] = list(self._weights)
        arrays: dict[str, NDArray[np.generic]] = {"vectors": self._vectors}
        if self._texts is not None:
            arrays["texts"] = np.frombuffer(json.dumps(self._texts).encode(), dtype=np.uint8)
        write_arrays(path, header, arrays)

    @classmethod
    def load(cls, path: str | Path, *, encoder: Encoder) -> NeighbourIndex:
        """The index of a file.

        Raises InvalidInput where there is none, DataError where it is damaged, and EncoderMismatch where it was made
        with another encoder.
        """
        header, arrays = read_arrays(path, _KIND)
        check_encoder(header.get("encoder"), encoder, path)
        try:
            texts = json.loads(arrays["texts"].tobytes()) if "texts" in arrays else None
            made = Texts(profile=bool(header["profile"]), between=str(header["between"]))
            return cls(
                encoder,
                arrays["vectors"],
                _names(header["styles"]),
                texts=texts and _names(texts),
                made=made,
                weights=_weights(header.get("weights")),
            )
        except (KeyError, TypeError, ValueError, InvalidVector) as error:
            raise damaged(path) from error


def check_encoder(found: object, encoder: Encoder, path: str | Path) -> None:
    """Raise EncoderMismatch unless a file was made with this encoder."""
    if found != encoder.fingerprint:
        raise EncoderMismatch(
            f"{Path(path).name} was made with the encoder {found}, not {encoder.fingerprint}",
            hint="load it with that encoder, or build the index again",
        )


def _weights(found: object) -> list[float] | None:
    if found is None:
        return None
    if not isinstance(found, list) or not _are_weights(found):
        raise ValueError("three numbers were expected")
    return found


def _checked_weights(weights: Sequence[float] | None) -> tuple[float, ...] | None:
    checked = None if weights is None else tuple(map(float, weights))
    if checked is not None and not _are_weights(checked):
        raise InvalidInput(f"weights {checked}", hint="three finite numbers: of UDRR, fluency and relevance")
    return checked


def _are_weights(found: Sequence[object]) -> bool:
    return len(found) == _SCORES and all(isinstance(one, float) and math.isfinite(one) for one in found)


def _names(found: object) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError("a list of texts was expected")
    return found
