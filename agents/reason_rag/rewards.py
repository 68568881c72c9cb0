"""What a trajectory is worth: right answers, reached in few steps (SPRE).

Source: ReasonRAG (arXiv 2505.14069), equation 1: Q_t = (1/k) * sum_i v(rollout_i) * alpha^step(rollout_i), with v the
token F1 of the answer and step the number of all steps of the finished trajectory, not of those that were left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memagent.errors import InvalidInput
from memagent.overlap import answer_f1

SEARCH_ALPHA = 0.95
"""The released code's alpha while it searches."""
LABEL_ALPHA = 0.9
"""The released code's alpha when it labels: the one that decides the data set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A finished trajectory: its answer (None: it ended without one) and its number of steps.

    Steps are counted as the released code does, one for each output of the model: an immediate answer is step 1, an
    answer after one retrieval (query, evidence, answer) step 3, after two step 5.
    """

    answer: str | None
    steps: int


def check_alpha(alpha: float) -> None:
    """Raises InvalidInput unless 0 < alpha <= 1."""
    if not 0 < alpha <= 1:
        raise InvalidInput(f"alpha is {alpha}", hint="it is above 0 and at most 1; published: 0.95 and 0.9")


def step_reward(answer: str | None, steps: int, golds: Sequence[str], *, alpha: float) -> float:
    """V * alpha^steps of one trajectory, v the best token F1 over the gold answers; 0 without an answer."""
    return 0.0 if answer is None else answer_f1(answer, golds) * alpha**steps


def spre(rollouts: Sequence[Rollout], golds: Sequence[str], *, alpha: float = LABEL_ALPHA) -> float:
    """The reward of the partial trajectory that ``rollouts`` complete: the mean of theirs. Raises InvalidInput."""
    check_alpha(alpha)
    if not rollouts:
        raise InvalidInput("there is no rollout to take the mean of", hint="simulate at least one")
    return sum(step_reward(one.answer, one.steps, golds, alpha=alpha) for one in rollouts) / len(rollouts)
