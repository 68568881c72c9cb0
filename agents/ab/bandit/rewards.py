"""Models of the reward of an action: what the direct method believes, and the doubly robust estimator starts from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from memagent.agents.ab.bandit.log import BanditLog
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

Predict: TypeAlias = Callable[[BanditLog], "NDArray[np.float64]"]
"""The expected reward (rows, actions) of every action in every row of a log; it does not look at the rewards there."""


class RewardModel(Protocol):
    """Learns the expected reward from a log."""

    def fit(self, log: BanditLog) -> Predict:
        """What the log teaches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothedRates:
    """Mean rewards by action and position, whoever the user is, for logs with few rewards.

    An action's mean is drawn towards that of the log by ``strength`` rows, and its mean at a position towards its own.
    """

    strength: float = 100.0

    def fit(self, log: BanditLog) -> Predict:
        """See :class:`RewardModel`."""
        shape = (log.places, len(log.action_ids))
        shown, earned = np.zeros(shape), np.zeros(shape)
        np.add.at(shown, (log.positions, log.actions), 1.0)
        np.add.at(earned, (log.positions, log.actions), log.rewards)
        strength = self.strength
        of_action = (earned.sum(axis=0) + strength * log.rewards.mean()) / (shown.sum(axis=0) + strength)
        rates = (earned + strength * of_action) / (shown + strength)

        def predict(other: BanditLog) -> NDArray[np.float64]:
            known = np.minimum(other.positions, len(rates) - 1)
            seen = (other.positions < len(rates))[:, None]
            rate: NDArray[np.float64] = np.where(seen, rates[known], of_action)
            return rate

        return predict


@dataclass(frozen=True, slots=True, kw_only=True)
class RidgeByAction:
    """A linear model of the reward on the context for each action, ridge penalty ``strength``.

    The constant is drawn towards the mean reward of the log, the slopes towards 0.
    """

    strength: float = 1.0

    def fit(self, log: BanditLog) -> Predict:
        """See :class:`RewardModel`."""
        features = _with_constant(log.contexts)
        mean = log.rewards.mean()
        penalty = self.strength * np.eye(features.shape[1])
        weights = np.zeros((features.shape[1], len(log.action_ids)))
        for action in range(len(log.action_ids)):
            rows = log.actions == action
            own = features[rows]
            weights[:, action] = np.linalg.solve(own.T @ own + penalty, own.T @ (log.rewards[rows] - mean))
        return lambda other: mean + _with_constant(other.contexts) @ weights


def cross_fitted(log: BanditLog, model: RewardModel, *, folds: int, seed: int) -> NDArray[np.float64]:
    """Predictions (rows, actions), each row's from a model that learned on the other ``folds - 1`` parts of the log.

    Raises InvalidInput for fewer than 2 folds or fewer rows than folds.
    """
    if not 2 <= folds <= len(log):
        raise InvalidInput(f"{folds} folds of {len(log)} rows", hint="from 2 to the number of rows")
    fold = np.random.default_rng([seed, 53]).permutation(len(log)) % folds
    predicted = np.empty((len(log), len(log.action_ids)))
    for number in range(folds):
        inside = fold == number
        predicted[inside] = model.fit(log.rows(~inside))(log.rows(inside))
    return predicted


def _with_constant(contexts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([np.ones((len(contexts), 1)), contexts], axis=1)
