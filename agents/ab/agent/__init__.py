"""Visitors who are language models: what they see, remember and decide.

``policy`` makes them (:class:`AgentPolicy`), ``visitor`` is one, ``graph`` the way of a visit; ``histories``,
``tastes``, ``memories`` and ``journal`` are what they know, ``deciding`` and ``asking`` how they are asked,
``posters`` what they see.
"""

from __future__ import annotations

from memagent.agents.ab.agent.graph import build_graph
from memagent.agents.ab.agent.histories import Histories
from memagent.agents.ab.agent.memories import BankedMemory, Experience, LongTermMemory
from memagent.agents.ab.agent.policy import AgentPolicy
from memagent.agents.ab.agent.posters import PosterSource
from memagent.agents.ab.agent.settings import AgentSettings
from memagent.agents.ab.agent.visitor import AgentVisitor

__all__ = [
    "AgentPolicy",
    "AgentSettings",
    "AgentVisitor",
    "BankedMemory",
    "Experience",
    "Histories",
    "LongTermMemory",
    "PosterSource",
    "build_graph",
]
