"""Which child a search descends to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from memagent.errors import InvalidInput, UnknownName

Rule: TypeAlias = Literal["ucb1", "puct"]
RULES: tuple[Rule, ...] = get_args(Rule)
RELEASED_C = 1.414
"""The constant of the released code; the paper's text gives none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """A selection rule and its constant ``c``.

    ``ucb1`` is the released code's: Q + c * sqrt(ln N(parent) / N(child)), an unvisited child before all others.
    ``puct`` is the paper's (equation 5): Q + c * sqrt(sum of the siblings' N) / (1 + N(child)), PUCT without a prior.
    """

    rule: Rule = "ucb1"
    c: float = RELEASED_C

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise UnknownName(f"the rule is {self.rule!r}", hint=f"use one of {', '.join(RULES)}")
        if not self.c >= 0 or math.isinf(self.c):
            raise InvalidInput(f"c is {self.c}", hint="it is a number from 0 on; 0 never explores")

    def score(self, value: float, visits: int, *, parent: int, siblings: int) -> float:
        """The score of a child with mean ``value`` and ``visits``.

        ``parent``: the parent's visits; ``siblings``: the visits of all its children, this one included.
        """
        if self.rule == "puct":
            return value + self.c * math.sqrt(siblings) / (1 + visits)
        if visits == 0:
            return math.inf
        return value + self.c * math.sqrt(math.log(max(parent, 1)) / visits)


RELEASED = Selection()
