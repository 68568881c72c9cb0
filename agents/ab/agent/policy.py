"""The policy whose visitors are played by a language model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from memagent.agents.ab.agent.deciding import Sight
from memagent.agents.ab.agent.graph import build_graph
from memagent.agents.ab.agent.histories import Histories
from memagent.agents.ab.agent.memories import BankedMemory, LongTermMemory
from memagent.agents.ab.agent.settings import AgentSettings
from memagent.agents.ab.agent.tastes import Tastes
from memagent.agents.ab.agent.visitor import AgentVisitor
from memagent.agents.ab.agent.visual_memory import VisualMemory
from memagent.errors import InvalidInput
from memagent.llm.model import as_model
from memagent.prompts.ab import VERSIONS, Persona

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langgraph.graph.state import CompiledStateGraph

    from memagent.agents.ab.agent.graph import VisitContext, VisitState
    from memagent.agents.ab.agent.posters import PosterSource
    from memagent.agents.ab.catalogue import Item
    from memagent.agents.ab.policy import Draw
    from memagent.agents.ab.ratings import Dataset, Ratings
    from memagent.agents.ab.users import User
    from memagent.llm.model import Model, ModelLike

LIMITS = (
    (
        "The visitors are played by a language model. It may know the items, and how famous they are, from elsewhere; "
        "it opens and likes more than people do; and it answers alike for people whose profiles are alike."
    ),
)
"""What a report of such visitors says beside what holds for all simulated users."""


class AgentPolicy:
    """Makes visitors that a language model plays, each with a profile, a memory of their own and a log of the visit.

    ``model``: a :class:`~memagent.llm.Model` (give it a reply cache, so that a run that is resumed pays for nothing
    twice), or what makes one. ``histories``: what users rated, for their memory and their taste; without it they have
    neither. ``posters``: where pictures and captions come from, for ``settings.visuals``. ``memory``: where experiences
    are kept; if it is not given, banks in this process's own memory, searched with ``retriever``. ``keep_memories``
    leaves the banks of visitors who do not come again. One object serves many threads.
    """

    def __init__(
        self,
        model: ModelLike,
        histories: Histories | None = None,
        *,
        settings: AgentSettings | None = None,
        memory: LongTermMemory | None = None,
        posters: PosterSource | None = None,
        keep_memories: bool = False,
        name: str = "agent",
    ) -> None:
        self.name = name
        self.model: Model = as_model(model)
        self.settings = settings or AgentSettings()
        if posters is None and self.settings.visuals != "none":
            raise InvalidInput(f"visuals are {self.settings.visuals}, and there are no posters", hint="give posters")
        self.memory: LongTermMemory = memory or BankedMemory()
        self.tastes = Tastes(histories, self.settings, self.model)
        self.sight = Sight(posters=posters, settings=self.settings)
        self.keep_memories = keep_memories
        self._shown: dict[tuple[tuple[str, str | None], ...], dict[str, str]] = {}

    @classmethod
    def fitted(cls, model: ModelLike, dataset: Dataset, ratings: Ratings, **options: Any) -> AgentPolicy:
        """Visitors who remember ``ratings``, usually the training part; ``options`` are those of the class."""
        return cls(model, Histories(dataset, ratings), **options)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of model, settings, histories, memory and prompts; connects to the model."""
        facts = [
            self.model.identity,
            asdict(self.settings),
            self.tastes.fingerprint,
            self.memory.fingerprint,
            dict(VERSIONS),
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def shown_of(self, items: Sequence[Item]) -> Mapping[str, str]:
        """See :class:`~memagent.agents.ab.policy.Showing`: the posters as they were when this was first asked.

        ``pictures`` and ``captions`` that are shown, ``remembered`` pictures where memories are recalled by others.
        """
        key = tuple((item.id, item.poster) for item in items)
        if key not in self._shown:
            shown = self.sight.posters
            found = shown.digests(items, self.settings.visuals) if shown else {}
            if isinstance(self.memory, VisualMemory) and not ("pictures" in found and self.memory.posters is shown):
                found["remembered"] = self.memory.posters.digests(items, "image")["pictures"]
            self._shown[key] = found
        return self._shown[key]

    @cached_property
    def graph(self) -> CompiledStateGraph[VisitState, VisitContext, VisitState, VisitState]:
        """The compiled graph of a visit."""
        return build_graph()

    def visitor(self, user: User, draw: Draw) -> AgentVisitor:
        """See :class:`~memagent.agents.ab.policy.Policy`."""
        return AgentVisitor(self, user, draw)

    def persona(self, user: User) -> Persona:
        """Whom the model plays."""
        traits = user.traits
        return Persona(
            profile=dict(user.profile),
            activity=traits.activity,
            diversity=traits.diversity,
            conformity=traits.conformity,
            taste=self.tastes.of(user),
        )

    def facts(self) -> dict[str, Any]:
        """What a report says: settings, kinds of summaries, posters, and what was used of the model in this process."""
        posters = self.sight.posters
        return {
            "settings": asdict(self.settings),
            "summaries": self.tastes.kinds,
            **({"posters": posters.facts()} if posters else {}),
            "used": self.model.meter.totals().as_dict(),
        }
