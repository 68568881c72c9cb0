"""The terms of one text, as they are stored and searched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memagent.errors import StoreCorrupt
from memagent.lexical.languages import LANGUAGES, check_language

_WIDTHS = (np.dtype("<u1"), np.dtype("<u2"), np.dtype("<u4"))
_HASH = np.dtype("<u8")


class Terms(NamedTuple):
    """The distinct terms of one text (t of them) and how often each occurs.

    ``hashes`` (t,) uint64, strictly ascending; ``counts`` (t,) uint32, at least 1.
    """

    hashes: NDArray[np.uint64]
    counts: NDArray[np.uint32]

    @classmethod
    def of(cls, hashes: Iterable[int]) -> Terms:
        """Terms from one hash for each occurrence, in any order."""
        every = np.fromiter(hashes, dtype=np.uint64)
        distinct, counts = np.unique(every, return_counts=True)
        return cls(distinct, counts.astype(np.uint32))


class TermTable(NamedTuple):
    """The terms of many texts (m of them), one after the other.

    ``sizes`` (m,) int64: how many distinct terms each text has; ``hashes`` uint64 and ``counts`` uint32 as in
    :class:`Terms`, both of the length ``sizes.sum()``.
    """

    sizes: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    counts: NDArray[np.uint32]

    @classmethod
    def of(cls, terms: Sequence[Terms]) -> TermTable:
        """The terms of each text, copied."""
        return cls(
            np.fromiter((len(one.hashes) for one in terms), np.int64, len(terms)),
            np.concatenate([np.empty(0, np.uint64), *(one.hashes for one in terms)]),
            np.concatenate([np.empty(0, np.uint32), *(one.counts for one in terms)]),
        )


def terms_to_bytes(terms: Terms, language: str = "none") -> bytes:
    """``terms`` as a compact blob, with the language they were made under; no terms at all are ``b""``.

    Layout, little endian: t hashes of 8 bytes; t counts of 1, 2 or 4 bytes, whichever is the least that
    holds the largest; one byte with the language's position in ``LANGUAGES`` times 4 plus 0, 1 or 2 for
    the width of the counts. Raises :class:`memagent.errors.UnknownName` for an unknown language.
    """
    code = LANGUAGES.index(check_language(language))
    if not len(terms.hashes):
        return b""
    largest = int(terms.counts.max())
    width = 0 if largest < 1 << 8 else 1 if largest < 1 << 16 else 2
    body = terms.hashes.astype(_HASH, copy=False).tobytes() + terms.counts.astype(_WIDTHS[width]).tobytes()
    return body + bytes([code * 4 + width])


def terms_from_bytes(blob: bytes) -> Terms:
    """The inverse of :func:`terms_to_bytes`; raises :class:`memagent.errors.StoreCorrupt` for anything else."""
    return terms_from_many([blob])[0]


def terms_from_many(blobs: Sequence[bytes]) -> list[Terms]:
    """:func:`terms_from_bytes` of many blobs at once."""
    sizes, hashes, counts = term_table(blobs)
    bounds = [0, *np.cumsum(sizes).tolist()]
    return [Terms(hashes[start:end], counts[start:end]) for start, end in pairwise(bounds)]


def term_table(blobs: Sequence[bytes]) -> TermTable:
    """The terms of many blobs in one table: ten times faster than one by one.

    Raises :class:`memagent.errors.StoreCorrupt` for anything that :func:`terms_to_bytes` does not write.
    """
    trailers = np.frombuffer(b"".join([blob[-1:] or b"\0" for blob in blobs]), np.uint8)
    for trailer in set(trailers.tolist()):
        _trailer(bytes([trailer]))
    widths = (trailers % 4).astype(np.int64)
    lengths = np.fromiter(map(len, blobs), np.int64, len(blobs))
    sizes, rest = np.divmod(np.maximum(lengths - 1, 0), 8 + (1 << widths))
    wrong = np.flatnonzero((rest > 0) | ((lengths > 0) & (sizes == 0)))
    if len(wrong):
        raise _corrupt(f"{lengths[wrong[0]]} bytes are no whole number of terms")
    parts = list(zip(blobs, sizes.tolist(), widths.tolist(), strict=True))
    hashes = np.frombuffer(b"".join([blob[: 8 * size] for blob, size, _ in parts]), _HASH).astype(np.uint64, copy=False)
    counts = np.empty(len(hashes), np.uint32)
    every = np.repeat(widths, sizes)
    for width in set(widths.tolist()):
        packed = b"".join([blob[8 * size : -1] for blob, size, own in parts if own == width])
        counts[every == width] = np.frombuffer(packed, _WIDTHS[width])
    _check_order(hashes, counts, np.cumsum(sizes))
    return TermTable(sizes, hashes, counts)


def languages_of(blobs: Iterable[bytes]) -> frozenset[str]:
    """The languages that blobs were made under; only the last byte of each is read.

    Raises :class:`memagent.errors.StoreCorrupt` for an unknown one.
    """
    return frozenset(LANGUAGES[_trailer(blob)[0]] for blob in blobs if blob)


def _trailer(blob: bytes) -> tuple[int, int]:
    """Position of the language, and width code, of a blob."""
    code, width = divmod(blob[-1], 4) if blob else (0, 0)
    if code >= len(LANGUAGES) or width >= len(_WIDTHS):
        raise _corrupt(f"the last byte is {blob[-1]}")
    return code, width


def _check_order(hashes: NDArray[np.uint64], counts: NDArray[np.uint32], ends: NDArray[np.int64]) -> None:
    ascending = np.ones(len(hashes), np.bool_)
    ascending[:-1] = hashes[1:] > hashes[:-1]
    ascending[ends[ends > 0] - 1] = True  # the last term of one blob and the first of the next
    if not ascending.all():
        raise _corrupt("the hashes are not ascending")
    if not counts.all():
        raise _corrupt("a count is zero")


def _corrupt(reason: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"stored term counts are damaged: {reason}", hint="rebuild them from the texts, or restore a backup"
    )
