"""One user in one arm, played by a language model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from memagent.agents.ab.agent.asking import answered
from memagent.agents.ab.agent.deciding import deciding, interviewing, outcome_of, question_of
from memagent.agents.ab.agent.graph import NODES_A_STEP, VisitContext, beginning
from memagent.agents.ab.agent.histories import BEGINNING
from memagent.agents.ab.agent.journal import Entry, entry_of, experiences, lines
from memagent.agents.ab.agent.memories import Experience, bank_of
from memagent.agents.ab.pages import Action, DetailPage, Page
from memagent.agents.ab.policy import Decision, Interview, Observation, Summary
from memagent.prompts.ab import Persona, Situation

if TYPE_CHECKING:
    from memagent.agents.ab.agent.policy import AgentPolicy
    from memagent.agents.ab.catalogue import Item
    from memagent.agents.ab.policy import Draw
    from memagent.agents.ab.session import Session
    from memagent.agents.ab.users import User

_ALONE = "(no arm)"  # the arm of a visitor that is asked without a session
_SAMPLES = 2**31


class AgentVisitor:
    """Goes through visits as the graph says; made by :class:`~memagent.agents.ab.agent.policy.AgentPolicy`.

    The memory begins with the first visit: with what the user rated, whatever an earlier run has left there.
    """

    def __init__(self, policy: AgentPolicy, user: User, draw: Draw) -> None:
        self._policy = policy
        self._user = user
        self._draw = draw
        self._visit = 0
        self._who: Persona | None = None
        self._bank = ""
        self._journal: list[Entry] = []
        self._items: dict[str, Item] = {}
        self._latest = BEGINNING

    def browse(self, session: Session) -> None:
        """See :class:`~memagent.agents.ab.session.Browser`."""
        self._begin(session.place.arm)
        limit = NODES_A_STEP * (session.most_steps + 1)
        context = VisitContext(session=session, visitor=self)
        left = self._policy.graph.invoke(beginning(), {"recursion_limit": limit}, context=context)
        self._journal = left["journal"]

    def decide(self, observation: Observation) -> Decision:
        """As a node of the graph does, for whoever drives a visitor page by page."""
        self._begin(_ALONE)
        page = observation.page
        decision = self.think(page, self.recall(page), self._journal, observation.problem)
        self._journal = [*self._journal, entry_of(page, decision.action, page.energy)]
        return decision

    def recall(self, page: Page) -> list[str]:
        """Memories that bear on a page, best first."""
        most = self._policy.settings.recalled
        if not most:
            return []
        question, items = question_of(page)
        return self._policy.memory.recall(self._bank, question, items, most)

    def think(self, page: Page, recalled: Sequence[str], journal: Sequence[Entry], problem: str) -> Decision:
        """What to do on a page. Raises ModelError, and Stopped where the model has ceased to answer.

        Where one action is all that is left, the model is not asked, and the interest is that stated last.
        """
        for item in [page.entry.item] if isinstance(page, DetailPage) else [entry.item for entry in page.entries]:
            self._items[item.id] = item
        if len(page.actions) == 1 and not problem:
            (only,) = page.actions
            interest = journal[-1]["interest"] if journal else Action(kind=only).interest
            return Decision(action=Action(kind=only, interest=interest), reason="nothing else is possible")
        situation = Situation(
            who=self._person(),
            journal=lines(journal, last=self._policy.settings.journal),
            recalled=recalled,
            energy=page.energy,
            problem=problem,
        )
        return answered(deciding(page, situation, self._policy.sight, sample=self._sample()), self._policy.model)

    def interview(self, summary: Summary) -> Interview:
        """The answer after a visit, which is then remembered."""
        settings = self._policy.settings
        told = lines(self._journal, last=settings.journal)
        said = answered(
            interviewing(self._person(), told, summary, settings, sample=self._sample()), self._policy.model
        )
        outcome = f"{outcome_of(summary)} Satisfied {said.satisfaction} of 10: {said.reason}"
        if self._remembers:
            made = experiences(
                self._journal, list(self._items.values()), visit=self._visit, outcome=outcome, after=self._latest
            )
            self._policy.memory.remember(self._bank, made)
        self._visit += 1
        self._journal, self._items = [], {}
        return said

    def leave(self) -> None:
        """See :class:`~memagent.agents.ab.session.Leaver`."""
        if self._bank and self._remembers and not self._policy.keep_memories:
            self._policy.memory.forget(self._bank)

    def _begin(self, arm: str) -> None:
        if self._bank:
            return
        self._bank = bank_of(self._user.id, arm)
        history = self._policy.tastes.history(self._user)
        self._latest = max((rated.rated_at for rated in history), default=BEGINNING)
        past = [Experience(text=rated.line, at=rated.rated_at, item=rated.item) for rated in history]
        if self._remembers:
            self._policy.memory.begin(self._bank, past)

    @property
    def _remembers(self) -> bool:
        """Whether anybody will ever look at the memory."""
        return self._policy.keep_memories or self._policy.settings.recalled > 0

    def _person(self) -> Persona:
        if self._who is None:
            self._who = self._policy.persona(self._user)
        return self._who

    def _sample(self) -> int:
        """Tells askings of this visit from others at a temperature above 0, alike in all arms with common numbers."""
        if not self._policy.settings.temperature:
            return 0
        told = repr((self._draw.seed, tuple(self._draw.key), self._visit)).encode()
        return int.from_bytes(hashlib.sha256(told).digest()[:8], "big") % _SAMPLES
