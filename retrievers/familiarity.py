"""How familiar a query is: the signal of its first look at the memory, and the gate that chooses a path from it.

Source: RF-Mem (arXiv 2603.09250), section 2.2, equations 1 to 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Path: TypeAlias = Literal["familiarity", "recollection"]
"""How a query is answered: at one look, or by following what it brings to mind."""

Reduction: TypeAlias = Literal["mean", "sum"]
"""How the terms -p ln p of the probe make one number; see :func:`signal_of`."""


class Signal(NamedTuple):
    """What the probe shows: how many units it has, the mean of their cosines, and the entropy of the list.

    Mean and entropy are NaN for an empty probe.
    """

    size: int
    mean: float
    entropy: float


class Decision(NamedTuple):
    """The path, and the test that settled it: ``mean-high``, ``mean-low``, ``entropy`` or ``empty-probe``."""

    path: Path
    by: str


def signal_of(cosines: NDArray[np.floating], *, sharpness: float, reduction: Reduction) -> Signal:
    """The familiarity signal of the cosines (k,) of a probe.

    With p_i proportional to exp(sharpness * cosine_i) the entropy is -sum p_i ln p_i (0 to ln k) for ``sum``, the
    paper's formula, and that divided by k (0 to ln k / k) for ``mean``, which is what the released code computes and
    the scale of every tau the paper prints. One unit has entropy 0.
    """
    size = len(cosines)
    if not size:
        return Signal(0, math.nan, math.nan)
    values = np.asarray(cosines, dtype=np.float64)
    weights = np.exp(sharpness * (values - values.max()))
    shares = weights / weights.sum()
    held = shares[shares > 0]  # 0 ln 0 is 0
    entropy = max(0.0, -float(held @ np.log(held)))
    return Signal(size, float(values.mean()), entropy / size if reduction == "mean" else entropy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """The thresholds of equation 3. ``test`` says whether an entropy equal to ``tau`` is familiar (``at-most``)."""

    theta_high: float
    theta_low: float
    tau: float
    test: Literal["at-most", "below"] = "at-most"

    def decide(self, signal: Signal) -> Decision:
        """The path for a signal.

        A mean of at least ``theta_high`` is familiar and one of at most ``theta_low`` is not, whatever the entropy;
        between them a low entropy is familiar. (The paper's Algorithm 1 lets a low entropy win over a low mean; its
        equations 3 and 11 and the released code do not.) Where the thresholds meet, familiarity is asked first. An
        empty probe recollects.
        """
        if not signal.size:
            return Decision("recollection", "empty-probe")
        if signal.mean >= self.theta_high:
            return Decision("familiarity", "mean-high")
        if signal.mean <= self.theta_low:
            return Decision("recollection", "mean-low")
        familiar = signal.entropy < self.tau or (self.test == "at-most" and signal.entropy == self.tau)
        return Decision("familiarity" if familiar else "recollection", "entropy")
