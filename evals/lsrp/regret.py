"""How much of what could be gained by the right style U-U-RAG gains, on a population whose truth is known.

The whole path is walked: scores, z-scores, NSGA-II, knee and labels of the indexed users, then the index in one of its
forms, and the choice for the tasks of users who are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.lsrp.choosing import CountChooser, NeighbourChooser
from memagent.agents.lsrp.index import NeighbourIndex, Texts
from memagent.agents.lsrp.labels import best_options
from memagent.agents.lsrp.pareto import Evolution
from memagent.agents.lsrp.ports import StyleChooser
from memagent.agents.lsrp.private_counts import PrivateCounts, Regions
from memagent.agents.lsrp.strategies import STYLES
from memagent.errors import InvalidInput
from memagent.evals.lsrp.population import OPTIONS, Population
from memagent.intervals import Interval, bootstrap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.encoders.port import Encoder
    from memagent.records import Vectors


class KeptVectors:
    """An encoder that embeds each text once: curves ask for the same texts again and again."""

    max_tokens: int | None

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._kept: dict[str, NDArray[np.float32]] = {}
        self.name, self.fingerprint, self.dim = encoder.name, encoder.fingerprint, encoder.dim
        self.max_tokens = encoder.max_tokens

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """See :class:`~memagent.encoders.port.Encoder`."""
        new = [text for text in dict.fromkeys(texts) if text not in self._kept]
        if new:
            self._kept.update(zip(new, self._encoder.encode_documents(new), strict=True))
        return np.stack([self._kept[text] for text in texts]) if texts else np.empty((0, self.dim), np.float32)

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """See :class:`~memagent.encoders.port.Encoder`."""
        return self._encoder.encode_queries(texts)

    def count_tokens(self, text: str) -> int:
        """See :class:`~memagent.encoders.port.Encoder`."""
        return self._encoder.count_tokens(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regret:
    """How a chooser does on users it has not seen; each with an interval over users.

    ``regret``: the best style's quality less the chosen one's. ``recovered``: the share of the best style's gain over
    the general strategy that is gained, 1 for the oracle, 0 for the general strategy: 1 less the regret over the mean
    gain of the oracle, which stands for certain in its interval.
    """

    regret: Interval
    recovered: Interval
    users: int


def learnt_styles(
    known: Population, *, evolution: Evolution | None = None, label_noise: float = 0.0, seed: int = 0
) -> list[str]:
    """The best style of each task as the offline part finds it from the scores.

    ``label_noise``: the share of tasks whose label is replaced by one of the other styles, drawn evenly.
    """
    if not 0 <= label_noise <= 1:
        raise InvalidInput(f"label noise {label_noise}", hint="a share from 0 to 1")
    picked = best_options(known.cells, evolution=evolution).picked
    random = np.random.default_rng(seed)
    wrong = random.random(len(picked)) < label_noise
    others = (picked + random.integers(1, len(STYLES), len(picked))) % len(STYLES)
    return [STYLES[number] for number in np.where(wrong, others, picked)]


def neighbours(
    known: Population, styles: Sequence[str], *, encoder: Encoder, k: int = 5, texts: bool = True, profile: bool = True
) -> NeighbourChooser:
    """U-U-RAG over the users of ``known``."""
    made = Texts(profile=profile)
    index = NeighbourIndex.of(known.tasks, styles, encoder=encoder, texts=texts, made=made)
    return NeighbourChooser(index=index, k=k)


def noisy_counts(
    known: Population, styles: Sequence[str], *, encoder: Encoder, regions: Regions, epsilon: float, seed: int
) -> CountChooser:
    """The same from private counts, one task a user."""
    counts = PrivateCounts.of(
        known.tasks,
        styles,
        known.owners,
        encoder=encoder,
        regions=regions,
        styles=STYLES,
        epsilon=epsilon,
        seed=seed,
    )
    return CountChooser(counts=counts)


def measured(new: Population, chooser: StyleChooser, *, seed: int = 0) -> Regret:
    """What a chooser's styles are worth to users who are not in its index."""
    columns = [OPTIONS.index(chooser.choose(task).strategy) for task in new.tasks]
    chosen = new.quality[np.arange(len(columns)), columns]
    best = new.quality[:, : len(STYLES)].max(axis=1)
    general = new.quality[:, -1]
    by_user = _by_user(new)
    lost = by_user(best - chosen)
    (regret,) = bootstrap(lost[:, None], seed=seed)
    possible = float(by_user(best - general).mean())
    if not possible > 0:
        raise InvalidInput("the general strategy is as good as the best style", hint="take another population")
    share = Interval(*(1.0 - value / possible for value in (regret.mean, regret.high, regret.low)))
    return Regret(regret=regret, recovered=share, users=len(lost))


def _by_user(new: Population) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Takes a value for each task to its mean for each user."""
    sizes = np.array([len(person.tasks) for person in new.people])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return lambda values: np.add.reduceat(values, starts) / sizes


def public_texts(people: Population, made: Texts | None = None) -> list[str]:
    """A text for each user of a population that stands for public ones: what regions may be learnt from."""
    form = made or Texts()
    return [form.of(person.tasks[number % len(person.tasks)]) for number, person in enumerate(people.people)]
