"""What a benchmark run writes down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from memagent.bench.measure import Timing
from memagent.errors import InvalidInput

Group = Literal["search", "add", "ingest", "open", "users", "startup"]
GROUPS: tuple[Group, ...] = ("search", "add", "ingest", "open", "users", "startup")
"""The parts of a run, in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure.

    ``value`` is a median where ``p95`` is given, of ``n`` calls. ``against`` says in words what was done in
    the same run for comparison and ``other`` what that gave, in the same ``unit``; ``ratio`` is ``value`` / ``other``,
    where both were measured block by block the median of the blocks' ratios. ``units`` (turns of one user) and
    ``users`` say how much was stored.
    """

    group: Group
    what: str
    value: float
    unit: Literal["ms", "MiB", "texts/s"]
    p95: float | None = None
    n: int | None = None
    units: int | None = None
    users: int | None = None
    against: str | None = None
    other: float | None = None
    ratio: float | None = None


def latency(
    group: Group,
    what: str,
    timing: Timing,
    *,
    units: int | None = None,
    users: int | None = None,
    against: str | None = None,
    other: Timing | None = None,
) -> Figure:
    """A figure in milliseconds, compared with another timing."""
    return Figure(
        group=group,
        what=what,
        value=timing.p50,
        unit="ms",
        p95=timing.p95,
        n=timing.n,
        units=units,
        users=users,
        against=against,
        other=other.p50 if other else None,
        ratio=timing.p50 / other.p50 if other else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """How much is stored and how often it is measured.

    ``units``: turns of one user, a user for each number. ``users``: numbers of users with ``units_per_user`` turns
    each. ``calls`` timed calls of each kind of search, half as many additions; ``opens`` openings; ``texts`` are
    ingested. ``open_users`` is how many users a memory holds open. Raises InvalidInput for numbers below 1 and
    unknown groups.
    """

    units: tuple[int, ...] = (100, 1_000, 10_000)
    users: tuple[int, ...] = (1, 1_000)
    units_per_user: int = 100
    calls: int = 200
    opens: int = 7
    texts: int = 1_024
    open_users: int = 128
    only: tuple[Group, ...] = GROUPS
    seed: int = 0

    def __post_init__(self) -> None:
        for group in self.only:
            if group not in GROUPS:
                raise InvalidInput(f"unknown part {group!r}", hint=f"use {', '.join(GROUPS)}")
        numbers = (*self.units, *self.users, self.units_per_user, self.calls, self.opens, self.texts, self.open_users)
        if min(numbers) < 1 or not self.units or not self.users or not self.only:
            raise InvalidInput("every number must be at least 1", hint="for example --units 100,1000 --users 1,100")


QUICK = BenchSettings(units=(100, 1_000), users=(1, 50), calls=40, opens=3, texts=128, open_users=16)
"""Settings that take about a minute."""
