"""The check of positions: the same recommendations, each page upside down."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from memagent.agents.ab.arms.port import Arm


@dataclass(frozen=True, slots=True)
class ReversedPages:
    """``arm`` with the last item of every page first. A page keeps its items; only their places change."""

    arm: Arm
    page_size: int

    @property
    def name(self) -> str:
        """That of the arm."""
        return self.arm.name

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> list[str]:
        """See :class:`~memagent.agents.ab.arms.port.Arm`."""
        ranked = list(self.arm.recommend(user, k, exclude))[:k]
        pages = [ranked[first : first + self.page_size] for first in range(0, len(ranked), self.page_size)]
        return [item for page in pages for item in reversed(page)]
