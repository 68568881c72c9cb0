"""A log of what a recommender showed, how likely it was to show it, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDING = 1e-6  # by which probabilities may miss a sum of 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BanditLog:
    """Row i: action ``actions[i]`` was shown at place ``positions[i]``, with chance ``propensities[i]``.

    ``actions`` are codes (int64) into ``action_ids``, ``positions`` count from 0, ``rewards`` are float64 (a click: 1),
    ``contexts`` float64 (rows, d) of what was known of the user, d from 0. Raises InvalidInput for columns of unequal
    length, codes out of range, and propensities that are not above 0 and at most 1: without them nothing can be
    estimated.
    """

    name: str
    action_ids: tuple[str, ...]
    actions: NDArray[np.int64]
    positions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    propensities: NDArray[np.float64]
    contexts: NDArray[np.float64]

    def __post_init__(self) -> None:
        columns = (self.positions, self.rewards, self.propensities, self.contexts)
        if any(len(column) != len(self.actions) for column in columns) or self.contexts.ndim != 2:
            raise InvalidInput(f"the columns of {self.name} differ in length", hint="one value a row, contexts (n, d)")
        if not len(self.actions):
            raise InvalidInput(f"{self.name} has no rows", hint="give a log with impressions")
        if self.actions.min() < 0 or self.actions.max() >= len(self.action_ids) or self.positions.min() < 0:
            raise InvalidInput(f"{self.name} has codes out of range", hint="actions are places in action_ids")
        if not ((self.propensities > 0) & (self.propensities <= 1)).all():
            raise InvalidInput(
                f"{self.name} has propensities that are not above 0 and at most 1", hint="log the chance of each action"
            )
        if not (np.isfinite(self.rewards).all() and np.isfinite(self.contexts).all()):
            raise InvalidInput(f"{self.name} has values that are not finite", hint="leave such rows out")

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def places(self) -> int:
        """Number of positions."""
        return int(self.positions.max()) + 1

    def rows(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> BanditLog:
        """Some of the rows."""
        return BanditLog(
            name=self.name,
            action_ids=self.action_ids,
            actions=self.actions[chosen],
            positions=self.positions[chosen],
            rewards=self.rewards[chosen],
            propensities=self.propensities[chosen],
            contexts=self.contexts[chosen],
        )


def uniform(log: BanditLog) -> NDArray[np.float64]:
    """The target (rows, actions) that shows every action as often."""
    return np.full((len(log), len(log.action_ids)), 1 / len(log.action_ids))


def by_position(log: BanditLog, distribution: NDArray[np.float64]) -> NDArray[np.float64]:
    """The target (rows, actions) of a distribution (positions, actions) that does not look at the user.

    Raises InvalidInput for another shape, and for positions of the log that it does not have.
    """
    if distribution.ndim != 2 or distribution.shape[1] != len(log.action_ids) or len(distribution) < log.places:
        raise InvalidInput(
            f"a distribution {distribution.shape} for {log.places} positions and {len(log.action_ids)} actions",
            hint="give one row a position",
        )
    target: NDArray[np.float64] = distribution[log.positions]
    return target


def shown_shares(log: BanditLog) -> NDArray[np.float64]:
    """How often each action was shown at each position (positions, actions): a recommender as its log shows it.

    For one that learned on its way, as Thompson sampling does, this is its mean over the time of the log.
    """
    shares = np.zeros((log.places, len(log.action_ids)))
    np.add.at(shares, (log.positions, log.actions), 1.0)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1.0)
    return shares


def checked_target(log: BanditLog, target: NDArray[np.float64]) -> NDArray[np.float64]:
    """``target``, the chance (rows, actions) of each action in each row; raises InvalidInput for anything else."""
    if target.shape != (len(log), len(log.action_ids)):
        raise InvalidInput(
            f"a target of shape {target.shape} for {len(log)} rows and {len(log.action_ids)} actions",
            hint="give the chance of every action in every row",
        )
    if not (target >= 0).all() or np.abs(target.sum(axis=1) - 1).max() > _ROUNDING:
        raise InvalidInput("the target's rows are no probabilities", hint="each row is from 0 and has a sum of 1")
    return target
