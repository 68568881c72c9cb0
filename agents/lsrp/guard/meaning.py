"""A detector for what is said in other words: sentences whose meaning is near to a value of the profile."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memagent.agents.lsrp.ports import Finding, PrivateTask
from memagent.errors import InvalidInput

if TYPE_CHECKING:
    from memagent.encoders.port import Encoder
    from memagent.records import Vectors

_CLAUSE = re.compile(r"[^\s.!?;:,\"\n][^.!?;:,\"\n]*")
_SHORTEST = 3
"""Clauses of fewer words are not compared."""


class MeaningDetector:
    """Finds clauses of a task that are near in meaning to a value of the profile (kind ``meaning``).

    A clause (from one mark to the next) is found when the cosine of its embedding and that of a field and its value
    ("occupation: bus driver") is at least ``threshold``. It is an option because it errs in both directions: a clause
    may be near by its topic alone, and then the task loses it; a paraphrase may be far from the value. The guard's page
    has figures of both. Values of fewer than ``letters`` letters are not compared. Safe from several threads.
    """

    def __init__(self, encoder: Encoder, *, threshold: float = 0.3, letters: int = 4) -> None:
        if not 0 < threshold <= 1:
            raise InvalidInput(f"a threshold of {threshold}", hint="a cosine above 0 and up to 1")
        self._encoder = encoder
        self._threshold = threshold
        self._letters = letters
        self._kept: tuple[tuple[str, ...], Vectors] | None = None
        self._lock = threading.Lock()

    def __call__(self, text: str, private: PrivateTask) -> Sequence[Finding]:
        """The clauses that are near to a value."""
        clauses = [match for match in _CLAUSE.finditer(text) if len(match[0].split()) >= _SHORTEST]
        values = tuple(f"{name}: {value}" for name, value in private.profile.items() if self._compared(value))
        if not clauses or not values:
            return []
        vectors = self._encoder.encode_documents([match[0].strip() for match in clauses])
        near = (vectors @ self._values(values).T).max(axis=1) >= self._threshold
        return [
            Finding(start=match.start(), end=match.start() + len(match[0].rstrip()), kind="meaning", found_by="meaning")
            for match, found in zip(clauses, near.tolist(), strict=True)
            if found
        ]

    def _compared(self, value: str) -> bool:
        return sum(character.isalpha() for character in value) >= self._letters

    def _values(self, values: tuple[str, ...]) -> Vectors:
        """The vectors of the profile's values; those of the latest profile are kept."""
        with self._lock:
            if self._kept is None or self._kept[0] != values:
                self._kept = (values, self._encoder.encode_documents(list(values)))
            return self._kept[1]
