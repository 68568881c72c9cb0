"""A small site, arms that do as they are told, and visitors who follow a script."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from memagent.agents.ab.catalogue import Catalogue, Item
from memagent.agents.ab.pages import Action, Kind
from memagent.agents.ab.policy import Decision, Draw, Interview, Observation, Summary
from memagent.agents.ab.users import Traits, User

CATALOGUE = Catalogue(
    Item(id=f"i{n}", title=f"Film {n}", genres=("Drama",) if n % 2 else ("Comedy", "War")) for n in range(12)
)
IDS = list(CATALOGUE.ids)


@dataclass
class FixedArm:
    """Recommends the same list to everybody, whatever is excluded; or does what ``instead`` does."""

    items: Sequence[str] = tuple(IDS)
    name: str = "fixed"
    instead: Callable[[str], Sequence[str]] | None = None

    def recommend(self, user: str, k: int, exclude: Collection[str]) -> Sequence[str]:
        return self.instead(user) if self.instead else list(self.items)


@dataclass
class Scripted:
    """Visitors who take these actions in turn, again at each visit, and exit when there are no more."""

    actions: Sequence[Action] = ()
    returns: bool = False
    name: str = "scripted"
    fingerprint: str = "scripted"
    problems: list[str] = field(default_factory=list)

    def visitor(self, user: User, draw: Draw) -> ScriptedVisitor:
        return ScriptedVisitor(self)


class ScriptedVisitor:
    def __init__(self, policy: Scripted) -> None:
        self._policy = policy
        self._left = list(policy.actions)

    def decide(self, observation: Observation) -> Decision:
        if observation.problem:
            self._policy.problems.append(observation.problem)
        return Decision(action=self._left.pop(0) if self._left else Action(kind=Kind.EXIT), reason="as told")

    def interview(self, summary: Summary) -> Interview:
        self._left = list(self._policy.actions)
        return Interview(satisfaction=min(10, 1 + summary.clicks), returns=self._policy.returns)


def click(position: int, interest: float = 3.0) -> Action:
    return Action(kind=Kind.CLICK, position=position, interest=interest)


def act(kind: Kind, interest: float = 3.0) -> Action:
    return Action(kind=kind, interest=interest)


def rate(rating: int | None, interest: float = 3.0) -> Action:
    return Action(kind=Kind.RATE, rating=rating, interest=interest)


def people(number: int) -> list[User]:
    return [User(id=f"u{n}", traits=Traits(activity=1 + n % 3), known=frozenset({"i11"})) for n in range(number)]
