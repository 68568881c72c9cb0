"""Stores the bundled histories as any application would, and says how long that took."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memagent.errors import InvalidInput, UnknownUser
from memagent.evals.storing import stored_sessions
from memagent.records import Granularity

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.evals.datasets.cases import History
    from memagent.evals.retrieval import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What is in the store: counts by user, and the seconds it took.

    ``units`` has for each user id the number of units of each granularity. ``store_seconds`` is the time until all
    messages were durable and could be searched, ``derive_seconds`` that of writing summaries and keywords after it.
    """

    sessions: int
    messages: int
    units: Mapping[str, Mapping[str, int]]
    store_seconds: float
    derive_seconds: float

    @property
    def messages_per_second(self) -> float:
        """Messages stored and made searchable in a second, encoding included."""
        return self.messages / self.store_seconds

    def count(self, granularity: str) -> int:
        """The number of units of a granularity, of all users."""
        return sum(counts[granularity] for counts in self.units.values())


def store_histories(memory: Memory, histories: Sequence[History], tell: Progress) -> Stored:
    """Store ``histories`` afresh: what an earlier demo stored is forgotten first, other users are left alone.

    Raises :class:`InvalidInput` when the store holds somebody else under the id of an example user.
    """
    for history in histories:
        _forget_earlier(memory, history)
    steps = 2 * len(histories)
    begun = time.perf_counter()
    for i, history in enumerate(histories):
        tell(i, steps, f"storing {history.user_id} ({len(history.sessions)} sessions)")
        memory.add_many(stored_sessions(history), user_id=history.user_id)
    stored = time.perf_counter()
    for i, history in enumerate(histories, start=len(histories)):
        tell(i, steps, f"summaries and keywords of {history.user_id}")
        memory.flush(user_id=history.user_id)
    derived = time.perf_counter()
    stats = {history.user_id: memory.stats(user_id=history.user_id) for history in histories}
    return Stored(
        sessions=sum(counts["sessions"] for counts in stats.values()),
        messages=sum(counts["messages"] for counts in stats.values()),
        units={user: {str(g): counts[f"{g}_units"] for g in Granularity} for user, counts in stats.items()},
        store_seconds=stored - begun,
        derive_seconds=derived - stored,
    )


def _forget_earlier(memory: Memory, history: History) -> None:
    """Forget what an earlier demo stored; nobody's real memory may go because they are called like an example."""
    try:
        stored = memory.get_all(user_id=history.user_id, granularity="session", top_k=None)["results"]
    except UnknownUser:
        return
    if not {session["session_id"] for session in stored} <= {session.id for session in history.sessions}:
        raise InvalidInput(
            f"the store holds a user {history.user_id!r} who is not the example", hint="give --store another folder"
        )
    memory.forget_user(user_id=history.user_id)
