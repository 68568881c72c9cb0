"""What an arm recommends, checked before anybody sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.arms.port import Ranked
from memagent.errors import ArmFailed, BudgetExceeded, ModelDenied, Stopped

if TYPE_CHECKING:
    from memagent.agents.ab.arms.port import Arm
    from memagent.agents.ab.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The items that can be shown, and what was wrong with the arm's list.

    Nothing is added in the place of what is dropped: an arm is judged by what it recommended.
    ``short`` is how many items fewer than asked for were left; ``own`` are faults that the arm itself reports.
    """

    items: tuple[str, ...]
    duplicates: int = 0
    unknown: int = 0
    known: int = 0
    short: int = 0
    own: Mapping[str, int] = field(default_factory=dict)

    @property
    def faults(self) -> dict[str, int]:
        """Those that occurred."""
        counts = {"duplicates": self.duplicates, "unknown": self.unknown, "known": self.known, "short": self.short}
        return {name: count for name, count in (counts | dict(self.own)).items() if count}


def shelf(arm: Arm, user: str, k: int, exclude: Collection[str], catalogue: Catalogue) -> Shelf:
    """The first ``k`` items that ``arm`` recommends, without repeated, unknown and excluded ones.

    Raises ArmFailed when the arm raises, or returns something that is no list of ids; what ends a whole run (no money
    left, a wrong key, stopped) passes as it is.
    """
    try:
        given = arm.recommend(user, k, exclude)
        listed: list[Any] = list(islice(given, k))  # it may never end
    except (BudgetExceeded, ModelDenied, Stopped):
        raise
    except ArmFailed as error:  # its own words
        raise ArmFailed(f"arm {arm.name!r} failed for user {user!r}: {error.message}", hint=error.hint) from error
    except Exception as error:
        raise ArmFailed(
            f"arm {arm.name!r} failed for user {user!r}: {type(error).__name__}: {error}", hint="mend the arm"
        ) from error
    different = list(dict.fromkeys(str(item) for item in listed))
    there = [item for item in different if item in catalogue]
    items = tuple(item for item in there if item not in exclude)
    return Shelf(
        items=items,
        duplicates=len(listed) - len(different),
        unknown=len(different) - len(there),
        known=len(there) - len(items),
        short=k - len(items),
        own=given.faults if isinstance(given, Ranked) else {},
    )
