"""One visit: a visitor and the sandbox, until one of them ends it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from memagent.agents.ab.crew import going_on
from memagent.agents.ab.events import Event, Visit
from memagent.agents.ab.pages import Action, DetailPage, HomePage, Kind, Page, clamped, problem_with
from memagent.agents.ab.policy import Decision, Interview, Observation, Summary, Visitor
from memagent.agents.ab.sandbox import Ending, Sandbox
from memagent.agents.ab.shelf import Shelf
from memagent.agents.ab.users import User
from memagent.errors import BudgetExceeded, MemagentError, ModelDenied, Stopped

_LOW, _HIGH = 1, 10  # of the satisfaction asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose visit it is: ``order`` is the place (from 1) of the arm among the arms of this user."""

    user: User
    arm: str
    visit: int
    order: int


@dataclass(slots=True)
class _Record:
    """The events of a visit as they happen, and their counts."""

    place: Place
    events: list[Event] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    ratings: list[int] = field(default_factory=list)
    interests: list[float] = field(default_factory=list)
    furthest: int = 0
    step: int = 0

    def note(self, event: str, **values: Any) -> None:
        place = self.place
        self.events.append(
            Event(user=place.user.id, arm=place.arm, visit=place.visit, step=self.step, event=event, **values)
        )

    def count(self, name: str, by: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + by

    def seen(self, page: Page, info: Mapping[str, Any]) -> None:
        """A list page came up; ``new`` of ``info`` are the entries that had not been seen."""
        if isinstance(page, HomePage):
            self.count("views")
            self.furthest = max(self.furthest, page.number)
            self.note("view", page=page.number, energy=info["energy"])
        for entry in info["new"]:
            self.count("impressions")
            self.note("impression", page=page.number, position=entry.position, rank=entry.rank, item=entry.item.id)

    def taken(self, page: Page, decision: Decision, info: dict[str, Any]) -> None:
        """An action was taken on ``page``."""
        action = decision.action
        entry = page.entry if isinstance(page, DetailPage) else None
        if action.kind is Kind.CLICK and isinstance(page, HomePage) and action.position is not None:
            entry = page.entries[action.position - 1]
        self.count(action.kind)
        self.interests.append(action.interest)
        if action.kind is Kind.RATE and action.rating is not None:
            self.ratings.append(action.rating)
        self.note(
            action.kind,
            page=page.number,
            position=entry.position if entry else None,
            rank=entry.rank if entry else None,
            item=entry.item.id if entry else None,
            interest=action.interest,
            rating=action.rating if action.kind is Kind.RATE else None,
            cost=info["cost"],
            energy=info["energy"],
            note=decision.reason or None,
        )

    def summary(self, ending: Ending) -> Summary:
        interests = self.interests
        return Summary(
            pages=self.furthest,
            impressions=self.counts.get("impressions", 0),
            clicks=self.counts.get(Kind.CLICK, 0),
            watches=self.counts.get(Kind.WATCH, 0),
            ratings=tuple(self.ratings),
            mean_interest=sum(interests) / len(interests) if interests else 1.0,
            ending=ending,
        )

    def visit(self, ending: Ending, interview: Interview | None, faults: dict[str, int]) -> Visit:
        place, counts = self.place, self.counts
        return Visit(
            user=place.user.id,
            arm=place.arm,
            visit=place.visit,
            order=place.order,
            activity=place.user.traits.activity,
            cold=place.user.cold,
            impressions=counts.get("impressions", 0),
            views=counts.get("views", 0),
            pages=self.furthest,
            clicks=counts.get(Kind.CLICK, 0),
            watches=counts.get(Kind.WATCH, 0),
            ratings=tuple(self.ratings),
            steps=self.step,
            asked_again=counts.get("asked_again", 0),
            clamped=counts.get("clamped", 0),
            ending=ending,
            satisfaction=interview.satisfaction if interview else None,
            returns=interview.returns if interview else False,
            faults=faults,
        )


class Session:
    """A visit under way: the page, what can be done, and what is written down of it.

    Whoever drives it hands its visitor's decisions to :meth:`act` until ``ending`` is set; :func:`browse` does so for
    any visitor, a :class:`Browser` in its own way.
    """

    def __init__(self, sandbox: Sandbox, shelf: Shelf, record: _Record) -> None:
        self._sandbox = sandbox
        self._record = record
        self._asked_again = False
        self.taken: Action | None = None
        """The last action, as it was taken."""
        self.page: Page
        self.page, self._info = sandbox.reset(
            options={"items": shelf.items, "activity": record.place.user.traits.activity}
        )
        record.seen(self.page, self._info)

    @property
    def place(self) -> Place:
        """Whose visit it is."""
        return self._record.place

    @property
    def ending(self) -> Ending | None:
        """Why the visit is over; None while it goes on."""
        ending: Ending | None = self._info["ending"]
        return ending

    @property
    def most_steps(self) -> int:
        """After so many actions the visit is ended."""
        return self._sandbox.layout.max_steps

    @property
    def energy(self) -> float:
        """What is left of the visitor's budget."""
        return float(self._info["energy"])

    def act(self, decision: Decision) -> str:
        """Take a decision, and return ""; or say why it cannot be taken, and ask for another one.

        The second decision that cannot be taken is brought to the nearest possible one. Raises Stopped if the run was
        stopped meanwhile.
        """
        going_on()
        problem = decision.problem or problem_with(decision.action, self.page)
        if problem:
            self._record.count("clamped" if self._asked_again else "asked_again")
            self._record.note("invalid", page=self.page.number, note=problem)
            if not self._asked_again:
                self._asked_again = True
                return problem
            decision = Decision(action=clamped(decision.action, self.page), reason=decision.reason)
        self._asked_again = False
        self._step(decision)
        return ""

    def _step(self, decision: Decision) -> None:
        before, self.taken = self.page, decision.action
        self.page, _, _, _, self._info = self._sandbox.step(decision.action)
        self._record.step += 1
        self._record.taken(before, decision, self._info)
        if self.ending is None and (isinstance(self.page, HomePage) and isinstance(before, HomePage)):
            self._record.seen(self.page, self._info)


@runtime_checkable
class Browser(Protocol):
    """A visitor that goes through a visit by itself."""

    def browse(self, session: Session) -> None:
        """Act until the session has an ending. Raise MemagentError if there is no answer, as ``decide`` does."""


@runtime_checkable
class Leaver(Protocol):
    """A visitor that holds something, and is told when they do not come again."""

    def leave(self) -> None:
        """Let go of it."""


def run_visit(
    sandbox: Sandbox, visitor: Visitor, shelf: Shelf | None, place: Place, failure: str = ""
) -> tuple[list[Event], Visit]:
    """One visit and what is written down of it.

    ``shelf`` None: the arm failed, by ``failure``. An impossible decision is asked for again once, with the problem,
    and then brought to the nearest possible one. A visitor that raises an error of ours ends its own session, nobody
    else's, unless no session could go on.
    """
    record = _Record(place)
    record.note("start", note=f"order {place.order}, activity {place.user.traits.activity}")
    faults = shelf.faults if shelf else {"failed": 1}
    for fault, count in faults.items():
        record.note("fault", note=failure or f"{fault} {count}")
    interview = None
    if shelf is None or not shelf.items:
        ending = Ending.NOTHING_SHOWN if shelf else Ending.ARM_FAILED
    else:
        try:
            ending = browse(visitor, Session(sandbox, shelf, record))
            interview = _asked(visitor, record, ending)
        except (BudgetExceeded, ModelDenied, Stopped):  # of the run, not of this session
            raise
        except MemagentError as error:
            ending = Ending.POLICY_FAILED
            record.note("fault", note=str(error))
    record.note("end", note=ending)
    if interview:
        record.note("interview", rating=interview.satisfaction, note=interview.reason or None)
    return record.events, record.visit(ending, interview, faults)


def browse(visitor: Visitor, session: Session) -> Ending:
    """Drive a session to its end."""
    if isinstance(visitor, Browser):
        visitor.browse(session)
    problem = ""
    while session.ending is None:
        problem = session.act(visitor.decide(Observation(page=session.page, problem=problem)))
    return session.ending


def _asked(visitor: Visitor, record: _Record, ending: Ending) -> Interview:
    said = visitor.interview(record.summary(ending))
    return Interview(
        satisfaction=min(max(round(said.satisfaction), _LOW), _HIGH), returns=said.returns, reason=said.reason
    )
