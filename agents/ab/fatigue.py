"""What browsing costs a visitor. Kept outside of any model, so that a session ends for a stated reason.

An action a at interest iota takes

    C_a * (phi_max - (iota - iota_min) * (phi_max - phi_min) / (iota_max - iota_min))

off a budget; at 0 the visitor leaves (A/B Agent, arXiv 2601.04554, as reported by a third party's notes on the paper).
The paper gives neither the constants nor the budgets: those here are ours, and
:mod:`memagent.agents.ab.calibration` fits the budgets to a number of clicks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from memagent.agents.ab.pages import LEAST_INTEREST, MOST_INTEREST, Kind
from memagent.errors import InvalidInput

COSTS: Mapping[Kind, float] = {
    Kind.NEXT: 1.0,
    Kind.PREVIOUS: 1.0,
    Kind.BACK: 1.0,
    Kind.EXIT: 0.0,
    Kind.CLICK: 2.0,
    Kind.WATCH: 3.0,
    Kind.RATE: 3.0,
}
"""C_a: browsing is done often and costs little, watching and rating are rare and cost more. Ours."""

BUDGETS: Mapping[int, float] = {1: 20.0, 2: 25.0, 3: 38.0}
"""Of activity 1 (low) to 3 (high), before calibration. Ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fatigue:
    """The costs of actions and the budget of each activity level.

    ``by_interest=False`` charges every action its C_a whatever the interest; ``enabled=False`` charges nothing, so that
    only the visitor's own decision or a limit ends a session.
    """

    costs: Mapping[Kind, float] = field(default_factory=lambda: dict(COSTS))
    phi_min: float = 0.5
    phi_max: float = 1.5
    budgets: Mapping[int, float] = field(default_factory=lambda: dict(BUDGETS))
    by_interest: bool = True
    enabled: bool = True

    def __post_init__(self) -> None:
        if set(self.costs) != set(Kind) or not all(0 <= cost < math.inf for cost in self.costs.values()):
            raise InvalidInput("the costs of fatigue are not one, from 0, for each action", hint=", ".join(Kind))
        if not 0 <= self.phi_min <= self.phi_max < math.inf:
            raise InvalidInput(f"phi from {self.phi_min} to {self.phi_max}", hint="0 <= phi_min <= phi_max")
        if set(self.budgets) != {1, 2, 3} or not all(0 < budget < math.inf for budget in self.budgets.values()):
            raise InvalidInput("fatigue needs a budget above 0 for activity 1, 2 and 3", hint="see BUDGETS")

    def cost(self, kind: Kind, interest: float) -> float:
        """What an action at an interest of 1 to 5 takes off the budget."""
        if not self.enabled:
            return 0.0
        if not self.by_interest:
            return self.costs[kind]
        part = (interest - LEAST_INTEREST) / (MOST_INTEREST - LEAST_INTEREST)
        return self.costs[kind] * (self.phi_max - part * (self.phi_max - self.phi_min))

    def budget(self, activity: int) -> float:
        """What a visitor of this activity level begins with; raises InvalidInput for another level."""
        if activity not in self.budgets:
            raise InvalidInput(f"there is no activity {activity}", hint="1, 2 or 3")
        return self.budgets[activity]
