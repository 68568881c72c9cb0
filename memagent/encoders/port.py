"""The port through which everything else turns text into vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from memagent.records import Vectors


@runtime_checkable
class Encoder(Protocol):
    """Turns texts into unit vectors.

    Two encoders with the same ``fingerprint`` give the same vectors (to 1e-4) for the same text, so
    stored vectors may be used with either; any change that moves vectors changes the fingerprint.
    Calls are safe from several threads.
    """

    @property
    def name(self) -> str:
        """A readable name, for reports."""

    @property
    def fingerprint(self) -> str:
        """Names the vector space, in at most 64 ASCII characters."""

    @property
    def dim(self) -> int:
        """Width of a vector."""

    @property
    def max_tokens(self) -> int | None:
        """How many tokens of a text are seen at once; None when there is no limit."""

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of questions, shape (len(texts), dim), float32, in the order given."""

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of stored texts, shape (len(texts), dim), float32, in the order given."""

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has, special tokens not counted."""
