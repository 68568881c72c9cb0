"""How much each granularity counts for one query: the more certain its similarities, the more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from memagent.retrievers.ranking import Scores

Router: TypeAlias = Literal["inverse", "one-minus-raw", "one-minus-norm", "uniform"]
"""How an entropy becomes a weight; see :func:`router_weights`."""

_LEAST = 1e-6


def entropy(similarities: Scores, temperature: float) -> float:
    """The entropy in nats of softmax(similarities / temperature), 0 for one similarity (n >= 1)."""
    sharpened = (similarities - similarities.max()) / temperature
    shares = np.exp(sharpened)
    total = shares.sum()
    return float(max(np.log(total) - (shares * sharpened).sum() / total, 0.0))


def router_weights(entropies: Sequence[float], counts: Sequence[int], router: Router) -> Scores:
    """Weights of the granularities, summing to 1, from the entropies H and numbers n of their similarities.

    Before they are brought to the sum 1, with their sources:

    - ``inverse``: 1 / H (paper, Eq. 4);
    - ``one-minus-raw``: 1 - H (released code). H is above 1 for all but the smallest memories: the weight is then
      *larger* for the less certain granularity; where H straddles 1, weights can be negative or above 1;
    - ``one-minus-norm``: max(1e-6, 1 - H / ln n) (the authors' later quickstart);
    - ``uniform``: all the same.

    Not in the sources: a granularity with fewer than two similarities has no uncertainty to speak of and gets the
    mean weight of the others; weights whose sum is 0 are replaced by equal ones.
    """
    h, n = np.array(entropies, dtype=np.float64), np.array(counts)
    raw = np.ones(len(h))
    judged = n >= 2
    if router != "uniform" and judged.any():
        raw[judged] = _raw_weights(h[judged], n[judged], router)
        raw[~judged] = raw[judged].mean()
    total = raw.sum()
    return np.full(len(h), 1.0 / len(h)) if abs(total) < _LEAST else raw / total


def _raw_weights(h: Scores, n: NDArray[np.int64], router: Router) -> Scores:
    if router == "inverse":
        return 1.0 / np.maximum(h, _LEAST)
    return 1.0 - h if router == "one-minus-raw" else np.maximum(_LEAST, 1.0 - h / np.log(n))
