"""What an answer is worth: the three scores of LSRP (its published code), and their common scale.

UDRR (how much of the profile comes back in the answer) rewards copying the profile, and fluency rewards a model that
repeats itself: neither says much alone, nor do both without the judged relevance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

import numpy as np

from memagent.errors import DataError, InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.llm.reply import TokenLogprob

SCORES = ("udrr", "fluency", "relevance")
"""The scores in the order of their columns; of each, more is better."""


class Unread(StrEnum):
    """What a score that is not known counts while styles are picked; means leave it out either way."""

    NEUTRAL = "neutral"
    """The mean of the known ones."""
    ZERO = "zero"
    """0, as in the published code: the worst that a judge can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The scores of one answer.

    ``udrr``: see :func:`udrr`, 0 to 1. ``fluency``: the small model's mean token log probability of its own answer
    (natural logarithm, 0 or less); None where the answer has no tokens or the model reports none. ``relevance``: what a
    judge says of the answer to the task, 0 to 10; None where there is no judge or its reply could not be read.
    """

    udrr: float
    fluency: float | None
    relevance: float | None

    def to_json(self) -> dict[str, float | None]:
        """The scores as JSON values."""
        return {"udrr": self.udrr, "fluency": self.fluency, "relevance": self.relevance}

    @classmethod
    def from_json(cls, values: object) -> Self:
        """The scores of :meth:`to_json`; raises DataError for anything else."""
        if not isinstance(values, Mapping) or set(values) != set(SCORES):
            raise DataError("these are no scores", hint=f"an object with exactly {', '.join(SCORES)}")
        for name, value in values.items():
            known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            if not known and (value is not None or name == "udrr"):
                raise DataError(f"the score {name} is {value!r}", hint="a finite number, or null where it is not known")
        return cls(**values)


def profile_text(profile: Mapping[str, str], *, between: str = ": ") -> str:
    """A profile as one text: a line ``name: value`` a field.

    The data sets of LSRP write it so, CoGen with ``between`` as it stands, MovieExp with ``":"`` alone. UDRR counts
    tokens that are separated by white space, so this form is a part of its definition.
    """
    return "\n".join(f"{name}{between}{value}" for name, value in profile.items())


def udrr(profile_text: str, answer: str) -> float:
    """User data retention rate: the share of the profile's distinct tokens that occur in the answer, 0 to 1.

    Tokens are what white space separates, in their own case. 0 for an empty answer or profile.
    """
    tokens = set(profile_text.split())
    return len(tokens & set(answer.split())) / len(tokens) if tokens else 0.0


def mean_logprob(tokens: Sequence[TokenLogprob] | None) -> float | None:
    """The mean natural-log probability of a reply's tokens; None where there are none, or one is not finite."""
    if not tokens:
        return None
    mean = math.fsum(token.logprob for token in tokens) / len(tokens)
    return mean if math.isfinite(mean) else None


def perplexity(fluencies: Iterable[float | None]) -> float | None:
    """exp(-mean over the answers of their mean token log probabilities); None where no answer has one.

    An answer without one is left out of this mean alone (the published code drops it from both of two parallel lists,
    which shifts every later answer by one).
    """
    known = [value for value in fluencies if value is not None]
    return math.exp(-math.fsum(known) / len(known)) if known else None


def as_cells(tasks: Sequence[Sequence[Scores]]) -> NDArray[np.float64]:
    """The scores of all tasks (rows) under all styles, float64 (tasks, styles, 3); NaN where one is not known.

    Raises InvalidInput where there are none, or a task has not as many as the first.
    """
    widths = {len(styles) for styles in tasks}
    if len(widths) != 1 or 0 in widths:
        raise InvalidInput(
            f"tasks have {sorted(widths) or 'no'} styles", hint="score every task under each of the styles"
        )
    rows = [[(one.udrr, one.fluency, one.relevance) for one in styles] for styles in tasks]
    return np.array(rows, dtype=np.float64)  # None becomes NaN


def zscores(cells: NDArray[np.float64], *, unread: Unread = Unread.NEUTRAL) -> NDArray[np.float64]:
    """Each score less its mean over *all* (task, style) cells, in standard deviations (population); same shape.

    A score that is the same in all cells becomes 0, and so does one that is not known (NaN) if ``unread`` is neutral.
    """
    filled = counted(cells, unread=unread)
    flat = filled.reshape(-1, filled.shape[-1])
    known = ~np.isnan(flat)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, flat, 0.0).sum(axis=0) / counts
    offsets = np.where(known, flat - means, 0.0)
    deviations = np.sqrt((offsets**2).sum(axis=0) / counts)
    varies = deviations > 1e-12 * np.maximum(np.abs(means), 1.0)  # less is rounding
    scaled: NDArray[np.float64] = np.where(varies, offsets / np.where(varies, deviations, 1.0), 0.0)
    return scaled.reshape(filled.shape)


def counted(cells: NDArray[np.float64], *, unread: Unread) -> NDArray[np.float64]:
    """``cells`` as they count while styles are picked: unknown scores stay NaN, or become 0."""
    return np.nan_to_num(cells, nan=0.0) if unread is Unread.ZERO else cells


def means(cells: NDArray[np.float64]) -> tuple[float | None, float | None, float | None]:
    """The mean of each score over the last axis but one, unknown ones left out; None where none is known."""
    flat = cells.reshape(-1, len(SCORES))
    first, second, third = (_mean(column[~np.isnan(column)]) for column in flat.T)
    return first, second, third


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
