"""The same users in every arm: an A/B test in the sandbox."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from os import PathLike
from typing import Any

import numpy as np

from memagent.agents.ab.arms.port import Arm
from memagent.agents.ab.catalogue import Catalogue
from memagent.agents.ab.crew import worked
from memagent.agents.ab.events import Event, Visit
from memagent.agents.ab.fatigue import Fatigue
from memagent.agents.ab.keys import key_of
from memagent.agents.ab.policy import Draw, Policy, Showing, Visitor
from memagent.agents.ab.sandbox import Layout, Sandbox
from memagent.agents.ab.sequential import Stopping, Watch
from memagent.agents.ab.session import Leaver, Place, run_visit
from memagent.agents.ab.shelf import Shelf, shelf
from memagent.agents.ab.storing import Block, Runs, keep
from memagent.agents.ab.unplayed import Keeper
from memagent.agents.ab.users import User
from memagent.errors import ArmFailed, InvalidInput

BLOCK = 25
"""Users whose sessions are written at once, and after whom a run can be resumed, where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """Arms compared by the same users.

    Users come in a random order drawn from ``seed``. Each user visits every arm, ``visits`` times as long as they want
    to come again; what they watched is not recommended to them again in that arm. The order of the arms goes round from
    user to user. With ``common_random_numbers`` a visitor has the same luck in every arm, which makes differences
    smaller to measure; without, arms are as independent as two groups of visits of one person can be (for A/A tests).
    ``stopping`` ends the experiment early. The first arm is the one that others are compared with.

    The sessions of ``block`` users are written at once: 1 for visitors that are dear. ``concurrency`` users are under
    way at once, each in a thread, which the policy and the arms must bear; the log is the same. Raises InvalidInput for
    no users, no arms, names or ids that occur twice.
    """

    catalogue: Catalogue
    arms: Sequence[Arm]
    users: Sequence[User]
    policy: Policy
    seed: int = 0
    layout: Layout = field(default_factory=Layout)
    fatigue: Fatigue = field(default_factory=Fatigue)
    visits: int = 1
    common_random_numbers: bool = True
    stopping: Stopping | None = None
    label: str = ""
    """Part of the fingerprint: says which data and training the arms come from."""
    block: int = BLOCK
    concurrency: int = 1

    def __post_init__(self) -> None:
        if min(self.block, self.concurrency) < 1:
            raise InvalidInput(f"block {self.block}, concurrency {self.concurrency}", hint="both are 1 or more")
        if self.seed < 0:
            raise InvalidInput(f"seed {self.seed}", hint="from 0")
        if not self.users or not self.arms or self.visits < 1:
            raise InvalidInput("an experiment needs users, arms and at least one visit", hint="give it some")
        for what, names in (("arm", [arm.name for arm in self.arms]), ("user", [user.id for user in self.users])):
            twice = (
                next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
            )
            if twice is not None:
                raise InvalidInput(f"{what} {twice!r} takes part twice", hint="give every one its own name")
        if self.stopping and len(self.arms) < 2:
            raise InvalidInput("one arm cannot be compared", hint="stop early with two arms or more")

    @property
    def fingerprint(self) -> str:
        """A digest of everything that the log depends on, as far as arms can be told apart by name and ``label``."""
        facts = {
            "catalogue": self.catalogue.fingerprint,
            "arms": [arm.name for arm in self.arms],
            "users": [[user.id, user.traits, sorted(user.known), sorted(user.profile.items())] for user in self.users],
            "policy": self.policy.fingerprint,
            "settings": [self.seed, self.visits, self.common_random_numbers, self.label, self.block],
            "layout": asdict(self.layout),
            "fatigue": asdict(self.fatigue),
            "stopping": asdict(self.stopping) if self.stopping else None,
            **self._posters(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def run(self, folder: str | PathLike[str] | None = None, *, after: Callable[[], None] | None = None) -> Outcome:
        """Run, or go on with what ``folder`` holds of the same experiment.

        The log in the folder (see :mod:`memagent.agents.ab.storing`) has the same bytes whether a run was stopped on
        its way or not. Without a folder nothing is written and events are not kept. Memory holds one block of sessions
        and a row of counts for each visit. ``after`` is called after each block that was made. Raises InvalidInput for
        a folder that holds another experiment, and Stopped where nobody can be played (see
        :mod:`memagent.agents.ab.unplayed`).
        """
        with keep(folder, self.fingerprint, self.facts(), size=self.block) as runs:
            keeper = Keeper(runs)
            visits, stopped = self._through(runs, keeper, after or _nothing)
            keeper.finish()
            runs.finish()
        return Outcome(experiment=self, visits=tuple(visits), stopped_early=stopped)

    def sessions(self, user: User, number: int) -> Block:
        """All visits of one user; ``number`` is their place in the experiment, which decides the order of the arms."""
        arms = list(self.arms)
        turn = number % len(arms)
        block = Block()
        for order, arm in enumerate(arms[turn:] + arms[:turn], start=1):
            key = [key_of(user.id)] if self.common_random_numbers else [key_of(user.id), key_of(arm.name)]
            self._in_arm(user, arm, order, Draw(seed=self.seed, key=key), block)
        return block

    def in_order(self) -> list[User]:
        """The users in the order that they take part in."""
        order = np.random.default_rng([self.seed, 11]).permutation(len(self.users))
        return [self.users[place] for place in order.tolist()]

    def _through(self, runs: Runs, keeper: Keeper, after: Callable[[], None]) -> tuple[list[Visit], bool]:
        users = self.in_order()
        watch = Watch(self.stopping, [arm.name for arm in self.arms], self.visits) if self.stopping else None
        visits: list[Visit] = []
        due = [(number, user) for number, user in enumerate(users) if not runs.holds(number // self.block)]
        with closing(worked(lambda task: self.sessions(task[1], task[0]), due, threads=self.concurrency)) as made:
            for first in range(0, len(users), self.block):
                block = runs.block(first // self.block)
                if block is not None:
                    keeper.known(block)
                else:
                    block = Block()
                    for sessions in islice(made, min(self.block, len(users) - first)):
                        block.add(sessions)
                    keeper.keep(first // self.block, block)
                    after()
                visits += block.visits
                if watch and watch.decided(block.visits):
                    return visits, first + self.block < len(users)
        return visits, False

    def _in_arm(self, user: User, arm: Arm, order: int, draw: Draw, block: Block) -> None:
        visitor = self.policy.visitor(user, draw)
        try:
            self._visits(visitor, user, arm, order, block)
        finally:
            if isinstance(visitor, Leaver):
                visitor.leave()

    def _visits(self, visitor: Visitor, user: User, arm: Arm, order: int, block: Block) -> None:
        seen = set(user.known)
        for number in range(self.visits):
            sandbox = Sandbox(self.catalogue, layout=self.layout, fatigue=self.fatigue)
            place = Place(user=user, arm=arm.name, visit=number, order=order)
            offered, failure = self._offered(arm, user, seen)
            events, visit = run_visit(sandbox, visitor, offered, place, failure)
            block.events += events
            block.visits.append(visit)
            seen |= {event.item for event in events if event.event == "watch" and event.item}
            if not visit.returns:
                return

    def _offered(self, arm: Arm, user: User, seen: set[str]) -> tuple[Shelf | None, str]:
        try:
            return shelf(arm, user.id, self.layout.shown, frozenset(seen), self.catalogue), ""
        except ArmFailed as error:
            return None, error.message

    def facts(self) -> dict[str, Any]:
        """What a reader of the log or the report wants to know of the settings."""
        return {
            "arms": [arm.name for arm in self.arms],
            "users": len(self.users),
            "visits": self.visits,
            "policy": self.policy.name,
            "seed": self.seed,
            "layout": asdict(self.layout),
            "fatigue": {
                **asdict(self.fatigue),
                "costs": {str(kind): cost for kind, cost in self.fatigue.costs.items()},
            },
            **self._posters(),
        }

    def _posters(self) -> dict[str, Any]:
        """What visitors see of posters, as digests; nothing where they see none."""
        shown = self.policy.shown_of(self.catalogue.items) if isinstance(self.policy, Showing) else {}
        return {"posters": dict(shown)} if shown else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an experiment came to: the counts of every visit."""

    experiment: Experiment = field(repr=False)
    visits: tuple[Visit, ...] = field(repr=False)
    stopped_early: bool = False

    @property
    def arms(self) -> list[str]:
        """Names, the baseline first."""
        return [arm.name for arm in self.experiment.arms]


def _nothing() -> None:
    pass


def replayed(experiment: Experiment, user_id: str) -> Iterator[Event]:
    """The events of one user, made again: those of the log if policy and arms still decide as they did.

    Raises InvalidInput for a user who does not take part.
    """
    for number, user in enumerate(experiment.in_order()):
        if user.id == user_id:
            return iter(experiment.sessions(user, number).events)
    raise InvalidInput(f"user {user_id!r} is not in this experiment", hint="use an id of its users")
