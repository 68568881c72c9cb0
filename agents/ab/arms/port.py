"""What a recommender under test has to offer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol


class Arm(Protocol):
    """A recommender. Any object with a name and this method will do.

    It may be wrong: repeated, unknown and excluded ids are dropped, a short list makes a short session, and an
    exception ends that one session. All of it is logged and counted.
    """

    @property
    def name(self) -> str:
        """What reports call it."""

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> Sequence[str]:
        """Ids of ``k`` items for a user, best first, none of them in ``exclude``."""
