"""A search tree as a value, and the events from which one grows.

A tree is what its events make of a question, in their order: an output was sampled (:class:`Grew`), a node can have no
child more (:class:`Closed`), the judge gave a value (:class:`Judged`). Kept one by one, they resume a search that was
cut off anywhere. An output that repeats its sibling may be kept as no more than that (:class:`Repeated`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from memagent.agents.reason_rag.search_settings import SearchSettings
from memagent.agents.reason_rag.state import State, Step, Stopped
from memagent.errors import DataError, InvalidInput

_SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A training question. ``answers`` are the gold answers: the judge and the labels see them, the policy never."""

    id: str
    question: str
    answers: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.question.strip() or not any(answer.strip() for answer in self.answers):
            raise InvalidInput(f"question {self.id!r} has no text or no answer", hint="leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One output, as a child of the outputs before it; the root is the question (``step`` is None).

    ``id`` is its place in the tree's ``nodes``, the root's 0; parents stand before their children. ``depth`` counts
    the outputs up to it, itself included: the step number of SPRE. ``stopped`` says why it has no children, if it is
    terminal. ``values`` are what the judge gave for it, one each time it was visited as a leaf. ``visits`` and
    ``value`` (the mean) are of the judge's values for it and everything below it.
    """

    id: int
    parent: int | None
    depth: int
    step: Step | None
    stopped: Stopped | None
    values: tuple[float, ...]
    visits: int
    value: float

    @property
    def answer(self) -> str | None:
        """The answer that this output gives, forced or not."""
        return self.step.content if self.step is not None and self.step.kind == "answer" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A finished search; ``settings`` say how it was searched.

    ``unread`` judge's replies held no score; ``repeated`` outputs repeated their sibling and became no nodes.
    """

    case: Case
    settings: SearchSettings
    nodes: tuple[Node, ...]
    unread: int = 0
    repeated: int = 0

    def children(self, node: int) -> list[Node]:
        """The outputs that follow a node, in the order in which they were sampled."""
        return [one for one in self.nodes if one.parent == node]

    def state(self, node: int) -> State:
        """The trajectory that ends with a node."""
        steps: list[Step] = []
        at: int | None = node
        while at is not None:
            step, above = self.nodes[at].step, self.nodes[at].parent
            if step is not None:
                steps.append(step)
            at = above
        return State(question=self.case.question, steps=tuple(reversed(steps)), stopped=self.nodes[node].stopped)

    @property
    def duplicates(self) -> int:
        """Outputs that repeat an elder sibling word by word: many of them mean that the temperature is too low.

        Those among the nodes, and those that became none.
        """
        seen = {(node.parent, node.step.text) for node in self.nodes if node.step is not None}
        return len(self.nodes) - 1 - len(seen) + self.repeated

    def to_json(self) -> dict[str, Any]:
        """As JSON values; ``visits`` and ``value`` are there to be read, and computed anew by :meth:`from_json`."""
        return {
            "schema": _SCHEMA,
            "id": self.case.id,
            "question": self.case.question,
            "answers": list(self.case.answers),
            "settings": self.settings.to_json(),
            "unread": self.unread,
            "repeated": self.repeated,
            "nodes": [
                {
                    "parent": node.parent,
                    "step": node.step.to_json() if node.step else None,
                    "stopped": node.stopped,
                    "values": list(node.values),
                    "visits": node.visits,
                    "value": round(node.value, 6),
                }
                for node in self.nodes
            ],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Tree:
        """What :meth:`to_json` has written. Raises :class:`DataError` for anything else."""
        try:
            if value["schema"] != _SCHEMA:
                raise DataError(
                    f"a tree of schema {value['schema']}, where {_SCHEMA} is known", hint="search with this version"
                )
            growing = Growing(_case(value), SearchSettings.from_json(value["settings"]))
            for place, node in enumerate(value["nodes"]):
                if place:
                    growing.add(node["parent"], Step.from_json(node["step"]), node["stopped"])
                elif node["stopped"] is not None:
                    growing.close(0, node["stopped"])
                for judged in list(node["values"]):
                    growing.back_up(place, judged)
            growing.unread, growing.repeated = int(value["unread"]), int(value["repeated"])
            if not value["nodes"]:
                raise DataError("a tree without a root", hint="pass what the search has written")
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"this is no search tree: {error!r}", hint="pass what the search has written") from error
        return growing.tree()


def _case(value: Mapping[str, Any]) -> Case:
    """The question of a tree; raises ValueError unless it is all text."""
    answers = value["answers"]
    if not isinstance(answers, list) or not all(
        isinstance(one, str) for one in (*answers, value["question"], value["id"])
    ):
        raise ValueError("question or answers are no text")
    return Case(id=value["id"], question=value["question"], answers=tuple(answers))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grew:
    """The policy gave an output after ``parent``; it is the next node."""

    parent: int
    step: Step
    stopped: Stopped | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """The policy's output after ``parent`` repeated an elder sibling, and becomes no node."""

    parent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """A node can have no child (more): its prompt is too long, or the model refuses it."""

    node: int
    why: Stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A leaf was visited: ``value`` in [0, 1]; ``read`` is False where the judge's reply held no score."""

    node: int
    value: float
    read: bool = True


Event: TypeAlias = Grew | Repeated | Closed | Judged


def event_to_json(event: Event) -> dict[str, Any]:
    """An event as JSON values."""
    if isinstance(event, Grew):
        return {"event": "grew", "parent": event.parent, "step": event.step.to_json(), "stopped": event.stopped}
    if isinstance(event, Repeated):
        return {"event": "repeated", "parent": event.parent}
    if isinstance(event, Closed):
        return {"event": "closed", "node": event.node, "why": event.why}
    return {"event": "judged", "node": event.node, "value": event.value, "read": event.read}


def event_from_json(value: Mapping[str, Any]) -> Event:
    """What :func:`event_to_json` has written; raises KeyError, TypeError or ValueError for anything else."""
    if value["event"] == "grew":
        return Grew(parent=int(value["parent"]), step=Step.from_json(value["step"]), stopped=value["stopped"])
    if value["event"] == "repeated":
        return Repeated(parent=int(value["parent"]))
    if value["event"] == "closed":
        return Closed(node=int(value["node"]), why=value["why"])
    if value["event"] == "judged":
        return Judged(node=int(value["node"]), value=float(value["value"]), read=bool(value["read"]))
    raise ValueError(f"no event is called {value['event']!r}")


class Growing:
    """A tree that grows by events.

    ``waiting`` is the leaf whose value is still to be judged, if there is one; ``samples`` are the outputs that each
    node's prompt has given, repeated ones among them.
    """

    def __init__(self, case: Case, settings: SearchSettings) -> None:
        self.case = case
        self.settings = settings
        self.states = [State(question=case.question)]
        self.parents: list[int | None] = [None]
        self.children: list[list[int]] = [[]]
        self.samples = [0]
        self.visits = [0]
        self.sums = [0.0]
        self.values: list[list[float]] = [[]]
        self.closed: dict[int, Stopped] = {}
        self.iterations = 0
        self.unread = 0
        self.repeated = 0
        self.waiting: int | None = None

    def apply(self, event: Event) -> None:
        """Let the tree grow by one event; raises ValueError for one that cannot follow."""
        if isinstance(event, Judged):
            if not 0 <= event.node < len(self.states) or self.waiting not in (None, event.node):
                raise ValueError(f"node {event.node} was not to be judged")
            self.back_up(event.node, event.value)
            self.unread += not event.read
            self.iterations += 1
            self.waiting = None
        elif self.waiting is not None:
            raise ValueError("a leaf is still to be judged")
        elif isinstance(event, Grew):
            self.waiting = self.add(event.parent, event.step, event.stopped)
        elif isinstance(event, Repeated):
            self.repeat(event.parent)
        else:
            self.close(event.node, event.why)
            self.waiting = None if self.children[event.node] else event.node

    def add(self, parent: int, step: Step, stopped: Stopped | None) -> int:
        """A new node after ``parent``; its id."""
        if not 0 <= parent < len(self.states):
            raise ValueError(f"there is no node {parent}")
        node = len(self.states)
        self.states.append(self.states[parent].with_step(step, stopped))
        self.parents.append(parent)
        self.children.append([])
        self.children[parent].append(node)
        self.samples[parent] += 1
        self.samples.append(0)
        self.visits.append(0)
        self.sums.append(0.0)
        self.values.append([])
        return node

    def repeat(self, parent: int) -> None:
        """Count an output that repeated an elder sibling."""
        if not 0 <= parent < len(self.states) or not self.children[parent]:
            raise ValueError(f"node {parent} has no child to repeat")
        self.samples[parent] += 1
        self.repeated += 1

    def close(self, node: int, why: Stopped) -> None:
        """Let a node have no child more."""
        if not 0 <= node < len(self.states):
            raise ValueError(f"there is no node {node}")
        self.closed[node] = why

    def back_up(self, node: int, value: float) -> None:
        """Count a judge's value of a leaf for it and all above it."""
        if not 0 <= value <= 1:
            raise ValueError(f"a value of {value}")
        self.values[node].append(value)
        at: int | None = node
        while at is not None:
            self.visits[at] += 1
            self.sums[at] += value
            at = self.parents[at]

    def mean(self, node: int) -> float:
        """Q of a node: the mean of the values backed up through it; 0 before any."""
        return self.sums[node] / self.visits[node] if self.visits[node] else 0.0

    def terminal(self, node: int) -> bool:
        """Whether the search ends at a node: its trajectory has ended, or it cannot have children and has none."""
        return self.states[node].stopped is not None or (node in self.closed and not self.children[node])

    def tree(self) -> Tree:
        """The tree as it stands."""
        nodes = [
            Node(
                id=place,
                parent=self.parents[place],
                depth=len(state.steps),
                step=state.steps[-1] if state.steps else None,
                stopped=state.stopped or (self.closed.get(place) if self.terminal(place) else None),
                values=tuple(self.values[place]),
                visits=self.visits[place],
                value=self.mean(place),
            )
            for place, state in enumerate(self.states)
        ]
        return Tree(
            case=self.case, settings=self.settings, nodes=tuple(nodes), unread=self.unread, repeated=self.repeated
        )
