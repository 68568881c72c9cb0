"""How long it takes to change a memory, one turn at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from memagent.bench.encoder import LiveEncoder
from memagent.bench.figures import Figure, latency
from memagent.bench.measure import Task, Timing, compared, timed

if TYPE_CHECKING:
    from memagent.bench.texts import Grammar
    from memagent.bench.workshop import Workshop
    from memagent.encoders.port import Encoder
    from memagent.memory import Memory

_FLOOR = "appending the turn's text and vector to a file, with fsync"
_CHANGES = 5
_TURNS = 20  # of one session


def measure_add(workshop: Workshop, encoder: Encoder) -> Iterator[Figure]:
    """Adding one turn (a message and its reply) to users of each size; updating and deleting one."""
    for units in workshop.settings.units:
        user_id = workshop.user(units)
        workshop.tell(f"changing a memory of {units:,} turns")
        yield from _without_encoding(workshop, user_id, units)
        yield from _with_encoding(workshop, encoder, user_id, units)


def _without_encoding(workshop: Workshop, user_id: str, units: int) -> Iterator[Figure]:
    calls = -(-workshop.settings.calls // 2)
    question = workshop.questions(1)[0]
    with workshop.opened() as memory, (workshop.root / "floor").open("wb") as file:
        turns = _Turns(memory, user_id, workshop.grammar)
        size = 4 * workshop.encoder.dim + len(turns.text())
        times = compared({"add": turns.add, "floor": _appending(file.fileno(), size)}, calls)
        yield latency("add", "one turn", times["add"], units=units, against=_FLOOR, other=times["floor"])

        def search() -> object:
            return memory.search(question, user_id=user_id, retriever="hybrid")

        search()
        fresh, steady = [], []
        for _ in range(calls):
            turns.add()
            fresh.append(timed(search))
            steady.append(timed(search))
        yield latency(
            "add",
            "hybrid, first after a turn was added",
            Timing.of(fresh),
            units=units,
            against="the same search again",
            other=Timing.of(steady),
        )
        for what, change in (("update of one turn", turns.update), ("delete of one turn", turns.delete)):
            yield latency("add", what, Timing.of([timed(change) for _ in range(_CHANGES)]), units=units)


def _with_encoding(workshop: Workshop, encoder: Encoder, user_id: str, units: int) -> Iterator[Figure]:
    live = LiveEncoder(encoder, seed=workshop.settings.seed)
    with workshop.opened(encoder=live) as memory:
        turns = _Turns(memory, user_id, workshop.grammar)
        tasks: dict[str, Task] = {"add": turns.add, "encoding": lambda: live.encode_documents([turns.text()])}
        times = compared(tasks, -(-workshop.settings.calls // 4))
    yield latency(
        "add",
        "one turn, encoding included",
        times["add"],
        units=units,
        against="encoding the turn alone",
        other=times["encoding"],
    )


class _Turns:
    """New turns of one user, in sessions of 20."""

    def __init__(self, memory: Memory, user_id: str, grammar: Grammar) -> None:
        self._memory = memory
        self._user_id = user_id
        self._grammar = grammar
        self._session: str | None = None
        self._ids: list[str] = []

    def text(self) -> str:
        """The text of a turn as it is stored."""
        said, replied = self._grammar.turn()
        return f"[user]: {said}\n[assistant]: {replied}"

    def add(self) -> None:
        """Add a turn."""
        said, replied = self._grammar.turn()
        messages = [{"role": "user", "content": said}, {"role": "assistant", "content": replied}]
        (turn,) = self._memory.add(messages, user_id=self._user_id, session_id=self._session)["results"]
        self._ids.append(turn["id"])
        self._session = turn["session_id"] if len(self._ids) % _TURNS else None

    def update(self) -> None:
        """Give the last turn that was added a new text."""
        self._memory.update(self._ids[-1], self.text(), user_id=self._user_id)

    def delete(self) -> None:
        """Delete the last turn that was added."""
        self._memory.delete(self._ids.pop(), user_id=self._user_id)


def _appending(descriptor: int, size: int) -> Task:
    data = b"x" * size

    def append() -> None:
        os.write(descriptor, data)
        os.fsync(descriptor)

    return append
