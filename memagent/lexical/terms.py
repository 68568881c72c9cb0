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
    """:func:`terms_from_bytes` of many blobs at once: several times faster than one by one."""
    sizes, widths = [], []
    for blob in blobs:
        _, width = _trailer(blob)
        size, rest = divmod(len(blob) - 1, 8 + (1 << width)) if blob else (0, 0)
        if rest or (blob and not size):
            raise _corrupt(f"{len(blob)} bytes are no whole number of terms")
        sizes.append(size)
        widths.append(width)
    if not any(sizes):
        return [Terms(np.empty(0, np.uint64), np.empty(0, np.uint32)) for _ in blobs]
    rows = list(zip(blobs, sizes, widths, strict=True))
    hashes = np.concatenate([np.frombuffer(blob, _HASH, size) for blob, size, _ in rows if size], dtype=np.uint64)
    counts = np.concatenate(
        [np.frombuffer(blob, _WIDTHS[width], size, 8 * size) for blob, size, width in rows if size],
        dtype=np.uint32,
    )
    ends = np.cumsum(sizes)
    _check_order(hashes, counts, ends)
    bounds = [0, *ends.tolist()]
    return [Terms(hashes[start:end], counts[start:end]) for start, end in pairwise(bounds)]


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
