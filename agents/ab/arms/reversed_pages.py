"""The check of positions: the same recommendations, each page upside down."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from memagent.agents.ab.arms.port import Arm, Ranked


@dataclass(frozen=True, slots=True)
class ReversedPages:
    """``arm`` with the last item of every page first. A page keeps its items; only their places change."""

    arm: Arm
    page_size: int

    @property
    def name(self) -> str:
        """That of the arm."""
        return self.arm.name

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> Ranked:
        """See :class:`~memagent.agents.ab.arms.port.Arm`."""
        given = self.arm.recommend(user, k, exclude)
        ranked = list(islice(given, k))
        pages = [ranked[first : first + self.page_size] for first in range(0, len(ranked), self.page_size)]
        turned = (item for page in pages for item in reversed(page))
        return Ranked(turned, faults=given.faults if isinstance(given, Ranked) else None)
