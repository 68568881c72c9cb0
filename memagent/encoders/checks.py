"""What every encoder checks at its door, going in and coming out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from memagent.errors import EncoderError, InvalidInput

if TYPE_CHECKING:
    from memagent.records import Vectors


def checked_texts(texts: Sequence[str]) -> list[str]:
    """The texts as a list; raises :class:`InvalidInput` for anything but a sequence of Unicode strings.

    A lone surrogate is refused here because tokenizers and UTF-8 have no form for it.
    """
    given: Any = texts
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise InvalidInput(
            f"texts must be a list of strings, not {type(given).__name__}", hint="for one text pass [text]"
        )
    for position, text in enumerate(given):
        if not isinstance(text, str):
            raise InvalidInput(
                f"texts[{position}] is {type(text).__name__}, not a string", hint="pass text, or leave it out"
            )
        if not text.isascii():
            _refuse_surrogates(text, position)
    return list(given)


def _refuse_surrogates(text: str, position: int) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"texts[{position}] holds a lone surrogate at character {error.start}",
            hint="decode the text with errors='replace' before storing it",
        ) from None


def unit_vectors(vectors: Any, *, rows: int) -> Vectors:
    """The rows at length 1: float32, C-contiguous, shape (rows, dim).

    Raises :class:`EncoderError` when the shape is wrong or a row is not finite or zero, which a
    damaged model gives.
    """
    found: Vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    if found.ndim != 2 or len(found) != rows:
        raise EncoderError(
            f"the encoder gave shape {found.shape} for {rows} texts", hint="reinstall the model; its files are damaged"
        )
    lengths = np.sqrt(np.einsum("ij,ij->i", found, found, dtype=np.float64))
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise EncoderError("the encoder gave a vector without direction", hint="reinstall the model")
    unit: Vectors = (found / lengths[:, None]).astype(np.float32)
    return unit
