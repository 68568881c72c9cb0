"""The port of whoever visits the sandbox: a parametric user, a scripted one, a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from memagent.agents.ab.catalogue import Item
from memagent.agents.ab.pages import Action, Page
from memagent.agents.ab.users import User


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a visitor decides upon: the page, and, if their last decision on it was not possible, why."""

    page: Page
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An action and, if the policy gives one, its reason (logged, never read).

    ``problem``: what the policy was given as an answer is no action at all; why, in words. It is treated as a decision
    that is not possible, and ``action`` says only from where to look for the nearest possible one.
    """

    action: Action
    reason: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A visit that is over: counts, the ratings given, the mean interest stated, and why it ended."""

    pages: int
    impressions: int
    clicks: int
    watches: int
    ratings: tuple[int, ...]
    mean_interest: float
    ending: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interview:
    """Asked after a visit: satisfaction 1 to 10, whether they would come again, and why."""

    satisfaction: int
    returns: bool
    reason: str = ""


class Visitor(Protocol):
    """One user in one arm. Called in turn: decisions of a visit, its interview, decisions of the next visit."""

    def decide(self, observation: Observation) -> Decision:
        """What to do on the page. Raise MemagentError if there is no answer: the session ends, others go on."""

    def interview(self, summary: Summary) -> Interview:
        """The answer after a visit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Where a visitor's random numbers come from.

    Two arms get the same ``key`` for the same user and visit with common random numbers: a visitor that draws by item
    and place, and not by the order of its decisions, then treats the same item alike in both.
    """

    seed: int
    key: Sequence[int]


class Policy(Protocol):
    """Makes the visitors of an experiment."""

    @property
    def name(self) -> str:
        """Shown in reports."""

    @property
    def fingerprint(self) -> str:
        """A digest of everything that decisions depend on: a run with another one is not resumed."""

    def visitor(self, user: User, draw: Draw) -> Visitor:
        """A user as they come to the site of one arm, for all their visits."""


@runtime_checkable
class Showing(Protocol):
    """A policy that shows its visitors more of an item than the catalogue holds: what is in the pictures it names."""

    def shown_of(self, items: Sequence[Item]) -> Mapping[str, str]:
        """Digests of it, by what it is; empty where nothing is shown. A run with others is not resumed."""
