"""What happens to a text longer than the encoder's window.

``windows``: the text's tokens are cut into consecutive windows of equal room, without overlap; each
is encoded, and the text's vector is the normalised mean of the window vectors, each weighted by
its number of tokens (so a short last window counts for as little as it holds). ``truncate``: only
the first window is encoded, as sentence-transformers does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.records import Vectors

LongText: TypeAlias = Literal["windows", "truncate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The windows of a list of texts.

    ``ids`` holds each window's token ids, without special tokens; ``owner`` (intp, one a window) the
    text it comes from, ascending; ``weights`` (float32, one a window) its number of tokens, at least 1.
    """

    ids: list[list[int]]
    owner: NDArray[np.intp]
    weights: NDArray[np.float32]


def cut(texts: Sequence[list[int]], *, room: int | None, head: int, long_text: LongText) -> Windows:
    """Cut token lists to windows of at most ``room`` tokens (None: no limit).

    The first ``head`` tokens of every list are a prompt, which each of its windows repeats.
    """
    ids: list[list[int]] = []
    owner: list[int] = []
    weights: list[int] = []
    for position, tokens in enumerate(texts):
        pieces = [tokens] if room is None or len(tokens) <= room else _pieces(tokens, room, head, long_text)
        for piece in pieces:
            ids.append(piece)
            owner.append(position)
            weights.append(max(1, len(piece) - head))
    return Windows(ids=ids, owner=np.array(owner, dtype=np.intp), weights=np.array(weights, dtype=np.float32))


def merge(vectors: Vectors, windows: Windows, *, rows: int) -> Vectors:
    """One vector for each of ``rows`` texts: the weighted sum of its windows' unit vectors, not yet normalised."""
    if len(windows.ids) == rows:
        return vectors
    total: Vectors = np.zeros((rows, vectors.shape[1]), dtype=np.float32)
    np.add.at(total, windows.owner, vectors * windows.weights[:, None])
    return total


def _pieces(tokens: list[int], room: int, head: int, long_text: LongText) -> list[list[int]]:
    if long_text == "truncate":
        return [tokens[:room]]
    prompt = tokens[: min(head, room - 1)]
    step = room - len(prompt)
    return [prompt + tokens[start : start + step] for start in range(len(prompt), len(tokens), step)]
