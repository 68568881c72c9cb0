"""What a recommender under test has to offer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol


class Ranked(list[str]):
    """A list of item ids with faults of its own making, by name: they are logged and counted with the visit."""

    def __init__(self, items: Iterable[str] = (), *, faults: Mapping[str, int] | None = None) -> None:
        super().__init__(items)
        self.faults = dict(faults or {})


class Arm(Protocol):
    """A recommender. Any object with a name and this method will do.

    It may be wrong: repeated, unknown and excluded ids are dropped, a short list makes a short session, and an
    exception ends that one session. All of it is logged and counted. So are the faults that an arm tells of its list
    itself, by returning a :class:`Ranked`.
    """

    @property
    def name(self) -> str:
        """What reports call it."""

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> Sequence[str]:
        """Ids of ``k`` items for a user, best first, none of them in ``exclude``."""
