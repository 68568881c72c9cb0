"""Logs whose truth is known, to see whether estimators find it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from memagent.agents.ab.bandit.estimators import WITH_INTERVAL, Estimators, evaluate
from memagent.agents.ab.bandit.log import BanditLog
from memagent.agents.ab.bandit.rewards import RidgeByAction
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXPLORING = 0.2  # the part of the logging recommender's choices that is drawn from all actions alike


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Some kinds of users, equally frequent, and the chances of clicks and of actions for each (kinds, actions).

    Make one with :meth:`drawn`. The chances being known, so is the exact value of the target.
    """

    contexts: NDArray[np.float64] = field(repr=False)
    clicks: NDArray[np.float64] = field(repr=False)
    behaviour: NDArray[np.float64] = field(repr=False)
    target: NDArray[np.float64] = field(repr=False)

    @classmethod
    def drawn(cls, *, kinds: int = 50, actions: int = 8, dimensions: int = 4, seed: int = 0) -> World:
        """Logistic click chances around 0.25; the logging recommender knows little of them, the target much."""
        random = np.random.default_rng([seed, 61])
        contexts = random.normal(size=(kinds, dimensions))
        odds = contexts @ random.normal(scale=0.5, size=(dimensions, actions)) + random.normal(scale=0.4, size=actions)
        noise = random.normal(scale=0.7, size=odds.shape)
        behaviour = (1 - _EXPLORING) * _softmax(0.5 * odds + noise) + _EXPLORING / actions
        clicks = 1 / (1 + np.exp(1.2 - odds))
        return cls(contexts=contexts, clicks=clicks, behaviour=behaviour, target=_softmax(2 * odds))

    @property
    def value(self) -> float:
        """What the target would earn, exactly."""
        return float((self.target * self.clicks).sum(axis=1).mean())

    def log(self, rows: int, *, seed: int) -> tuple[BanditLog, NDArray[np.float64]]:
        """A log of the other recommender, and the target's chances in its rows."""
        random = np.random.default_rng([seed, 67])
        kinds = random.integers(0, len(self.contexts), rows)
        edges = self.behaviour[kinds].cumsum(axis=1)
        actions = (random.random((rows, 1)) * edges[:, -1:] > edges).sum(axis=1)
        log = BanditLog(
            name="made up",
            action_ids=tuple(f"a{action}" for action in range(self.clicks.shape[1])),
            actions=actions.astype(np.int64),
            positions=np.zeros(rows, dtype=np.int64),
            rewards=(random.random(rows) < self.clicks[kinds, actions]).astype(np.float64),
            propensities=self.behaviour[kinds, actions],
            contexts=self.contexts[kinds],
        )
        return log, self.target[kinds]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """An estimator over many logs: mean error and its standard error, spread, and intervals that hold the truth."""

    bias: float
    bias_error: float
    spread: float
    coverage: float

    @property
    def unbiased(self) -> bool:
        """The mean error is within 3 of its standard errors."""
        return abs(self.bias) <= 3 * self.bias_error


def quality(
    world: World, *, rows: int, repetitions: int, clip: float | None = None, resamples: int = 500, seed: int = 0
) -> Mapping[str, Quality]:
    """Each estimator, by method, on ``repetitions`` logs of ``rows`` rows; raises InvalidInput for fewer than 2."""
    if repetitions < 2:
        raise InvalidInput(f"{repetitions} repetitions say nothing", hint="at least 2, better 500")
    truth = world.value
    errors = np.empty((repetitions, len(WITH_INTERVAL)))
    held = np.empty_like(errors)
    for number in range(repetitions):
        log, target = world.log(rows, seed=seed * 1_000_003 + number)
        how = Estimators(clip=clip, model=RidgeByAction(), resamples=resamples, seed=number)
        values = evaluate(log, target, how).values
        for place, name in enumerate(WITH_INTERVAL):
            errors[number, place] = values[name].mean - truth
            held[number, place] = values[name].low <= truth <= values[name].high
    spread = errors.std(axis=0, ddof=1)
    return {
        name: Quality(
            bias=float(errors[:, place].mean()),
            bias_error=float(spread[place] / np.sqrt(repetitions)),
            spread=float(spread[place]),
            coverage=float(held[:, place].mean()),
        )
        for place, name in enumerate(WITH_INTERVAL)
    }


def _softmax(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(odds - odds.max(axis=1, keepdims=True))
    found: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
    return found
