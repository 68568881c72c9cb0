"""Stores a user's history as a run needs it: the units, summaries and links that its retrievers rank by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from memagent.errors import InvalidInput
from memagent.evals.datasets.cases import Dataset, EvalSession, History
from memagent.evals.specs import edges_used, units_used
from memagent.records import Message, Session

if TYPE_CHECKING:
    from memagent import Memory
    from memagent.encoders.port import Encoder
    from memagent.evals.specs import RetrieverSpec

SUMMARIES = ("none", "extractive", "dataset")
SESSION_VECTORS = ("text", "mean")

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_STEP = timedelta(minutes=1)


class Say(Protocol):
    """Is told in words what is done now."""

    def __call__(self, doing: str) -> None:
        """``doing`` is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storing:
    """What is stored for ``specs``: summaries as asked for (see ``SUMMARIES``), links if a retriever follows them."""

    encoder: Encoder
    specs: tuple[RetrieverSpec, ...]
    session_vectors: Literal["text", "mean"] = "text"
    summaries: Literal["none", "extractive", "dataset"] = "none"

    @contextmanager
    def stored(self, history: History, say: Say) -> Iterator[Memory]:
        """A memory of this one user, complete and closed afterwards.

        A memory for each user, closed and not forgotten: forget_user would erase the texts' cached embeddings too.
        """
        from memagent import Memory
        from memagent.retrievers.association import Association

        linked = edges_used(self.specs)
        memory = Memory(
            ":memory:",
            encoder=self.encoder,
            granularities=self._granularities(),
            session_vectors=self.session_vectors,
            association=Association() if linked else None,
            background=False,
        )
        with closing(memory):
            say(f"storing {history.user_id} ({len(history.sessions)} sessions)")
            memory.add_many(stored_sessions(history), user_id=history.user_id)
            if self.summaries == "dataset":
                for session in history.sessions:
                    memory.describe_session(session.id, user_id=history.user_id, summary=session.summary)
            if self.summaries != "none" or linked:
                # Nothing is derived or linked in the background here: what is due is written now, before a search.
                say(f"summarising {history.user_id} ({len(history.sessions)} sessions)")
                memory.flush(user_id=history.user_id)
            yield memory

    def _granularities(self) -> tuple[str, ...]:
        """The units to store: a combination is made only for retrievers that rank by it."""
        if self.summaries == "none":
            return ("turn", "session")
        more = ("combination",) if "combination" in units_used(self.specs) else ()
        return ("turn", "session", "summary", "keywords", *more)


def check_summaries(dataset: Dataset, specs: Sequence[RetrieverSpec], summaries: str) -> None:
    """Raise InvalidInput unless the summaries asked for exist, and those that retrievers need are asked for."""
    if summaries == "none":
        for spec in specs:
            if needed := sorted(units_used([spec])):
                raise InvalidInput(
                    f"the retriever {spec.label!r} needs stored {', '.join(needed)} units, and summaries is 'none'",
                    hint="pass --summaries extractive, or dataset",
                )
    if summaries == "dataset":
        sessions = [(history.user_id, session) for history in dataset.histories for session in history.sessions]
        missing = [f"{session.id} of {user_id}" for user_id, session in sessions if not (session.summary or "").strip()]
        if missing:
            lacks = "has no summaries" if len(missing) == len(sessions) else f"has no summary of {missing[0]}"
            raise InvalidInput(f"the data set {dataset.name} {lacks}", hint="pass --summaries extractive")


def stored_sessions(history: History) -> list[Session]:
    """The history as the memory layer takes it.

    A message has its own time, else its session's date. A session without a date is taken to begin a
    minute after what came before it, the first in the year 2000: time then grows in the order of the file.
    """
    sessions = []
    now = _BEGINNING
    for session in history.sessions:
        begun = session.date or now + _STEP
        sessions.append(Session(id=session.id, messages=_messages(session, begun)))
        now = sessions[-1].messages[-1].event_at
    return sessions


def _messages(session: EvalSession, begun: datetime) -> tuple[Message, ...]:
    return tuple(
        Message(
            id=message.id,
            role=message.role,
            name=message.name,
            content=message.content,
            event_at=message.event_at or begun,
        )
        for message in session.messages
    )
