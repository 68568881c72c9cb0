"""What an arm recommends, checked before anybody sees it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from memagent.errors import ArmFailed

if TYPE_CHECKING:
    from memagent.agents.ab.arms.port import Arm
    from memagent.agents.ab.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The items that can be shown, and what was wrong with the arm's list.

    Nothing is added in the place of what is dropped: an arm is judged by what it recommended.
    ``short`` is how many items fewer than asked for were left.
    """

    items: tuple[str, ...]
    duplicates: int = 0
    unknown: int = 0
    known: int = 0
    short: int = 0

    @property
    def faults(self) -> dict[str, int]:
        """Those that occurred."""
        counts = {"duplicates": self.duplicates, "unknown": self.unknown, "known": self.known, "short": self.short}
        return {name: count for name, count in counts.items() if count}


def shelf(arm: Arm, user: str, k: int, exclude: Collection[str], catalogue: Catalogue) -> Shelf:
    """The first ``k`` items that ``arm`` recommends, without repeated, unknown and excluded ones.

    Raises ArmFailed when the arm raises, or returns something that is no list of ids.
    """
    try:
        listed: Sequence[Any] = list(arm.recommend(user, k, exclude))[:k]
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
    )
