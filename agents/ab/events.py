"""What is written down of a session: every event, and a row of counts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from memagent.errors import DataError

_DIGITS = 6  # of interests, costs and energies


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened; ``step`` counts from 0 within a visit.

    ``event``: start, impression (an item seen for the first time), view (a list page opened), one of the actions,
    invalid (a decision that could not be taken), fault (of the arm or the policy), end, interview. Fields that do not
    apply are None. ``cost`` is what the action took off the budget and ``energy`` what is left of it.
    """

    user: str
    arm: str
    visit: int
    step: int
    event: str
    page: int | None = None
    position: int | None = None
    rank: int | None = None
    item: str | None = None
    interest: float | None = None
    rating: int | None = None
    cost: float | None = None
    energy: float | None = None
    note: str | None = None

    def as_json(self) -> str:
        """The event as one line."""
        values = [getattr(self, name) for name in FIELDS]
        return json.dumps(
            {
                name: round(value, _DIGITS) if isinstance(value, float) else value
                for name, value in zip(FIELDS, values, strict=True)
                if value is not None
            },
            ensure_ascii=False,
        )

    @classmethod
    def of_json(cls, line: str) -> Event:
        """The inverse of :meth:`as_json`, up to rounding; raises DataError."""
        found: Event = _read(cls, line)
        return found


FIELDS = tuple(f.name for f in fields(Event))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The counts of one visit.

    ``order`` is the place (from 1) that the arm had among the arms of this user. ``impressions`` are items seen,
    ``views`` list pages opened (again too), ``pages`` different ones. ``asked_again`` are decisions that were not
    possible, ``clamped`` those of them that were not possible the second time either. ``ending`` is an
    :class:`~memagent.agents.ab.sandbox.Ending`; ``faults`` are those of the arm's list.
    """

    user: str
    arm: str
    visit: int
    order: int
    activity: int
    cold: bool
    impressions: int = 0
    views: int = 0
    pages: int = 0
    clicks: int = 0
    watches: int = 0
    ratings: tuple[int, ...] = ()
    steps: int = 0
    asked_again: int = 0
    clamped: int = 0
    ending: str = ""
    satisfaction: int | None = None
    returns: bool = False
    faults: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> str:
        """The row as one line."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def of_json(cls, line: str) -> Visit:
        """The inverse of :meth:`as_json`; raises DataError."""
        found: Visit = _read(cls, line)
        return found


def _read(kind: type[Any], line: str) -> Any:
    try:
        values = json.loads(line)
        if "ratings" in values:
            values["ratings"] = tuple(values["ratings"])
        return kind(**values)
    except (ValueError, TypeError) as error:
        raise DataError(f"no {kind.__name__.lower()} of a log: {line[:80]!r}", hint=str(error)) from error
