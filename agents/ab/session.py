"""One visit: a visitor and the sandbox, until one of them ends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from memagent.agents.ab.events import Event, Visit
from memagent.agents.ab.pages import DetailPage, HomePage, Kind, Page, clamped, problem_with
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

    def seen(self, page: Page, new: Sequence[Any]) -> None:
        """A list page came up; ``new`` are the entries that had not been seen."""
        if isinstance(page, HomePage):
            self.count("views")
            self.furthest = max(self.furthest, page.number)
            self.note("view", page=page.number, energy=page.energy)
        for entry in new:
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
            ending = _browse(sandbox, visitor, shelf, record)
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


def _browse(sandbox: Sandbox, visitor: Visitor, shelf: Shelf, record: _Record) -> Ending:
    options = {"items": shelf.items, "activity": record.place.user.traits.activity}
    page: Page
    page, info = sandbox.reset(options=options)
    record.seen(page, info["new"])
    while info["ending"] is None:
        decision = _decided(visitor, page, record)
        before = page
        page, _, _, _, info = sandbox.step(decision.action)
        record.step += 1
        record.taken(before, decision, info)
        if info["ending"] is None and (isinstance(page, HomePage) and isinstance(before, HomePage)):
            record.seen(page, info["new"])
    ending: Ending = info["ending"]
    return ending


def _decided(visitor: Visitor, page: Page, record: _Record) -> Decision:
    decision = visitor.decide(Observation(page=page))
    problem = problem_with(decision.action, page)
    if not problem:
        return decision
    record.count("asked_again")
    record.note("invalid", page=page.number, note=problem)
    decision = visitor.decide(Observation(page=page, problem=problem))
    problem = problem_with(decision.action, page)
    if not problem:
        return decision
    record.count("clamped")
    record.note("invalid", page=page.number, note=problem)
    return Decision(action=clamped(decision.action, page), reason=decision.reason)


def _asked(visitor: Visitor, record: _Record, ending: Ending) -> Interview:
    said = visitor.interview(record.summary(ending))
    return Interview(
        satisfaction=min(max(round(said.satisfaction), _LOW), _HIGH), returns=said.returns, reason=said.reason
    )
