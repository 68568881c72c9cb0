"""A visit as a LangGraph graph: observe, recall, decide, act, fatigue, and again until the visit is over.

The sandbox stays what decides: ``act`` hands the decision to the session, which checks it, takes it and charges it;
``fatigue`` notes what it cost and sees whether the visit is over. The model is asked in ``decide`` alone. A decision
that cannot be taken goes back to ``decide`` once, with the problem.

One compiled graph serves all visitors: what differs is the context of a run. There is no checkpointer, for the sandbox
is no JSON value; a run of many visits is resumed by its log and its reply cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict

from memagent.agents.ab.agent.journal import Entry, entry_of
from memagent.agents.ab.pages import Page
from memagent.agents.ab.policy import Decision

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.runtime import Runtime

    from memagent.agents.ab.session import Session

NODES_A_STEP = 7
"""Nodes that one action takes at most: decide and act twice where a decision is asked for again."""


class Thinking(Protocol):
    """What the nodes need of a visitor."""

    def recall(self, page: Page) -> list[str]:
        """Memories that bear on the page."""

    def think(self, page: Page, recalled: Sequence[str], journal: Sequence[Entry], problem: str) -> Decision:
        """What to do on it."""


class VisitState(TypedDict):
    """What a visit knows of itself.

    ``page``: what is seen; ``recalled``: memories that bear on it; ``problem``: why the last decision was not possible;
    ``decision``: the one to be taken; ``journal``: the short-term log; ``ending``: why it is over, None until it is.
    """

    page: Page | None
    recalled: list[str]
    problem: str
    decision: Decision | None
    journal: list[Entry]
    ending: str | None


class Change(TypedDict, total=False):
    """What a node changes."""

    page: Page | None
    recalled: list[str]
    problem: str
    decision: Decision | None
    journal: list[Entry]
    ending: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitContext:
    """What a run of the graph is about: whose visit, and who thinks."""

    session: Session
    visitor: Thinking


def beginning() -> VisitState:
    """The state before the first page."""
    return VisitState(page=None, recalled=[], problem="", decision=None, journal=[], ending=None)


def build_graph() -> CompiledStateGraph[VisitState, VisitContext, VisitState, VisitState]:
    """The compiled graph, to be invoked with :func:`beginning` and a :class:`VisitContext`.

    An action takes up to ``NODES_A_STEP`` supersteps of LangGraph.
    """
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(VisitState, context_schema=VisitContext)
    for name, node in (("observe", _observe), ("recall", _recall), ("decide", _decide), ("act", _act)):
        graph.add_node(name, node)
    graph.add_node("fatigue", _fatigue)
    graph.add_edge(START, "observe")
    graph.add_edge("observe", "recall")
    graph.add_edge("recall", "decide")
    graph.add_edge("decide", "act")
    graph.add_conditional_edges("act", _after_act, ["decide", "fatigue"])
    graph.add_conditional_edges("fatigue", _after_fatigue, {"observe": "observe", "end": END})
    return graph.compile(name="ab-agent")


def _observe(state: VisitState, runtime: Runtime[VisitContext]) -> Change:
    """Look at the page."""
    del state
    return {"page": runtime.context.session.page, "problem": "", "decision": None}


def _recall(state: VisitState, runtime: Runtime[VisitContext]) -> Change:
    """Search the long-term memory for what bears on it."""
    return {"recalled": runtime.context.visitor.recall(_seen(state))}


def _decide(state: VisitState, runtime: Runtime[VisitContext]) -> Change:
    """Ask the model."""
    thought = runtime.context.visitor.think(_seen(state), state["recalled"], state["journal"], state["problem"])
    return {"decision": thought}


def _act(state: VisitState, runtime: Runtime[VisitContext]) -> Change:
    """Hand the decision to the sandbox, which may refuse it once."""
    decision = state["decision"]
    assert decision is not None
    return {"problem": runtime.context.session.act(decision)}


def _fatigue(state: VisitState, runtime: Runtime[VisitContext]) -> Change:
    """Write down what was done and what is left of the budget."""
    session = runtime.context.session
    taken = session.taken
    assert taken is not None
    return {"journal": [*state["journal"], entry_of(_seen(state), taken, session.energy)], "ending": session.ending}


def _after_act(state: VisitState) -> Literal["decide", "fatigue"]:
    return "decide" if state["problem"] else "fatigue"


def _after_fatigue(state: VisitState) -> Literal["observe", "end"]:
    return "end" if state["ending"] else "observe"


def _seen(state: VisitState) -> Page:
    page = state["page"]
    assert page is not None
    return page
