"""ReasonRAG (arXiv 2505.14069): an agent that reasons, searches and grounds in turns until it can answer.

Importing this package loads neither LangGraph nor a model library: names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent.lazily import lazily

if TYPE_CHECKING:
    from memagent.agents.reason_rag.agent import Answer, ReasonRag
    from memagent.agents.reason_rag.endpoint import EndpointSearcher
    from memagent.agents.reason_rag.graph import AgentState, build_graph
    from memagent.agents.reason_rag.memory_search import MemorySearcher
    from memagent.agents.reason_rag.searching import Document, NoSearcher, Searcher
    from memagent.agents.reason_rag.state import State, Step
    from memagent.agents.reason_rag.steps import StepSettings
    from memagent.agents.reason_rag.transitions import Budget

_HOME = {
    "AgentState": ".graph",
    "Answer": ".agent",
    "Budget": ".transitions",
    "Document": ".searching",
    "EndpointSearcher": ".endpoint",
    "MemorySearcher": ".memory_search",
    "NoSearcher": ".searching",
    "ReasonRag": ".agent",
    "Searcher": ".searching",
    "State": ".state",
    "Step": ".state",
    "StepSettings": ".steps",
    "build_graph": ".graph",
}

__all__ = [
    "AgentState",
    "Answer",
    "Budget",
    "Document",
    "EndpointSearcher",
    "MemorySearcher",
    "NoSearcher",
    "ReasonRag",
    "Searcher",
    "State",
    "Step",
    "StepSettings",
    "build_graph",
]

__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
