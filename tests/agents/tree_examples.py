"""A policy that thinks by hashing, a small corpus, trees grown by hand, and a clock that jumps."""

from __future__ import annotations

import asyncio
import hashlib
import selectors
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

from memagent.agents.reason_rag.search_settings import SearchSettings
from memagent.agents.reason_rag.searching import Document
from memagent.agents.reason_rag.state import Action, Step, Stopped
from memagent.agents.reason_rag.steps import read_output
from memagent.agents.reason_rag.tree import Case, Event, Grew, Growing, Judged, Tree
from memagent.prompts.prompt import Prompt

FORCED = "reason-rag-forced-answer/1"
LABELS = {
    "begin": "reason-rag-first-reasoning/1",
    "reason": "reason-rag-reasoning/1",
    "ground": "reason-rag-evidence/1",
    "force": FORCED,
}
TOWNS = ("Lisbon", "Porto", "Lyon", "Turin", "Bergen")


class Towns:
    """Finds a sentence about a town for any query; ``queries`` are those it was asked."""

    def __init__(self) -> None:
        self.queries: list[str] = []

    def search(self, query: str, k: int) -> Sequence[Document]:
        self.queries.append(query)
        return [Document(id=town, title=town, text=f"{town} is about {query}.") for town in TOWNS[:k]]


def drawn(prompt: Prompt[Any], among: int) -> int:
    """A number from 0 on that depends on the whole prompt and on nothing else."""
    text = f"{prompt.name} {prompt.user} {prompt.sample}"
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % among


def hashed_policy(prompt: Prompt[Any]) -> str:
    """Queries, evidence, answers and now and then nonsense; as judge a score."""
    number = drawn(prompt, 1000)
    town = TOWNS[number % len(TOWNS)]
    if prompt.name == "reason-rag-judge":
        return f"Fair enough.\nScore: {number % 101}"
    if prompt.name == "reason-rag-evidence":
        return f"The relevant evidence is <evidence>{town} {number}" if number % 3 else "<evidence>None"
    first = prompt.name == "reason-rag-first-reasoning"
    if prompt.name == "reason-rag-forced-answer" or (number % 3 == 0 and not first):
        return f"So the answer is <answer>{town}"
    return "I wonder." if number % 11 == 0 else f"Not known yet. So the next query is <query>{town} {number}"


def case(number: int = 0, answer: str = "Lisbon") -> Case:
    return Case(id=f"q{number}", question=f"Which town is number {number}?", answers=(answer,))


def step(action: Action, text: str) -> Step:
    """An output as the search would have kept it."""
    read = read_output(action, text)
    return Step(
        action=action,
        kind=read.kind,
        text=read.text,
        content=read.content,
        before=read.before,
        tagged=read.tagged,
        query="q" if action == "ground" else None,
        prompt=LABELS[action],
    )


def grew(parent: int, action: Action, text: str, stopped: Stopped | None = None) -> Grew:
    return Grew(parent=parent, step=step(action, text), stopped=stopped)


def grown(events: Sequence[Event], *, answers: tuple[str, ...] = ("Paris",)) -> Tree:
    """The tree of some events; each new node is judged 0.5 unless the next event judges it."""
    growing = Growing(Case(id="w", question="Which city?", answers=answers), SearchSettings())
    for event in events:
        if growing.waiting is not None and not isinstance(event, Judged):
            growing.apply(Judged(node=growing.waiting, value=0.5))
        growing.apply(event)
    if growing.waiting is not None:
        growing.apply(Judged(node=growing.waiting, value=0.5))
    return growing.tree()


def worked_tree() -> Tree:
    """Ask or answer at once; then answer after one search, or search again and be forced to answer."""
    return grown(
        [
            grew(0, "begin", "So the next query is <query>capital</query>"),  # 1
            grew(1, "ground", "<evidence>It is Paris.</evidence>"),  # 2
            grew(2, "reason", "So the answer is <answer>Paris</answer>", "answered"),  # 3
            Judged(node=3, value=1.0),
            Judged(node=3, value=1.0),
            Judged(node=3, value=0.7),
            grew(2, "reason", "So the next query is <query>more</query>"),  # 4
            grew(4, "ground", "<evidence>None</evidence>"),  # 5
            grew(5, "force", "So the answer is <answer>Paris city</answer>", "budget"),  # 6
            grew(0, "begin", "So the answer is <answer>Rome</answer>", "answered"),  # 7
            Judged(node=7, value=0.0),
        ]
    )


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while everybody waits, and then at once; threads' work is done in place."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        done: asyncio.Future[Any] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # it is raised where the future is awaited
            done.set_exception(error)
        return done


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout and timeout > 0:
            self._loop.now += timeout
            timeout = 0
        return super().select(timeout)
