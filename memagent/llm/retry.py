"""When a call that failed is made again, and how long to wait before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import random

from memagent.errors import InvalidInput, ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with jitter.

    Before the n-th repetition (from 0) the wait is between half and all of ``first * factor**n`` seconds, at most
    ``longest``. A server that says how long to wait is obeyed up to ``patience`` seconds; beyond them the call is
    given up, for whoever asked would wait for minutes.
    """

    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0
    patience: float = 120.0
    random: Callable[[], float] = field(default=random, compare=False)
    """A number from 0 up to 1, for the jitter."""

    def __post_init__(self) -> None:
        if not (self.first >= 0 and self.factor >= 1 and self.longest >= 0):
            raise InvalidInput(
                f"a backoff of {self.first} s times {self.factor}, at most {self.longest} s",
                hint="waits are 0 or more, the factor is 1 or more",
            )

    def wait(self, repetition: int, retry_after: float | None = None) -> float | None:
        """Seconds before a repetition; None when the server asks for more than our patience."""
        if retry_after is not None:
            return retry_after if retry_after <= self.patience else None
        # The exponent is bounded, so that it cannot overflow.
        full = min(self.longest, self.first * self.factor ** min(repetition, 60))
        return full * (0.5 + self.random() / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failed call: our error, its kind as it is counted (``rate limit``, ``connection``, ``timeout``, ``server
    error``, ``refused``), and the seconds after which the server wants to be asked again (None: it did not say).
    """

    error: ModelError
    kind: str
    retry_after: float | None = None


class CallFailed(Exception):
    """Carries a :class:`Failure` from the wire to the retry loop; it never reaches a caller."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind)
        self.failure = failure
