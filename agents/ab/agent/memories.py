"""The long-term memory of visitors: a bank of memagent's own memory layer for each user in each arm.

What happened in one arm is not remembered in another. A bank begins with what the user rated and grows by what they did
on the site, after each visit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from memagent.errors import UnknownUser
from memagent.records import Granularity, Message
from memagent.retrievers.registry import kind_of

if TYPE_CHECKING:
    from memagent.agents.ab.catalogue import Item
    from memagent.encoders.port import Encoder
    from memagent.memory import Memory
    from memagent.retrievers.port import Retriever


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """Something to be remembered; ``item`` is what it is about, if it is one item."""

    text: str
    at: datetime
    item: Item | None = None


class LongTermMemory(Protocol):
    """Where visitors' experiences are kept. Called from several threads, for a bank from one at a time."""

    @property
    def fingerprint(self) -> str:
        """Names all that recalling depends on."""

    def begin(self, bank: str, experiences: Sequence[Experience]) -> None:
        """A bank that holds these, and nothing that it may have held before."""

    def remember(self, bank: str, experiences: Sequence[Experience]) -> None:
        """Add to a bank."""

    def recall(self, bank: str, query: str, items: Sequence[Item], k: int) -> list[str]:
        """Up to ``k`` texts of the bank, best first, for ``query``, which describes ``items``."""

    def forget(self, bank: str) -> None:
        """Erase a bank; one that is not there is no error."""


class BankedMemory:
    """Banks in a :class:`memagent.Memory`: a user of it each.

    ``memory``: None makes one in this process's own memory, with ``encoder``. ``retriever``: what :meth:`recall` uses,
    by name or as it is; for one that ranks whole sessions each experience is a session.
    """

    def __init__(
        self,
        memory: Memory | None = None,
        *,
        retriever: Retriever | str = "hybrid",
        encoder: Encoder | str | None = None,
    ) -> None:
        self._memory = memory
        self._encoder = encoder
        self._retriever = retriever
        kind = kind_of(retriever) if isinstance(retriever, str) else type(retriever)
        self._apart = Granularity.TURN not in getattr(kind, "granularities", Granularity)
        if memory is None:
            from memagent.memory import Memory as Made

            self._memory = Made(":memory:", encoder=encoder, background=False)

    @property
    def memory(self) -> Memory:
        """The memory itself; a bank is the user named by :func:`bank_of`."""
        assert self._memory is not None
        return self._memory

    @property
    def fingerprint(self) -> str:
        """The retriever, and the encoder where it was named here."""
        encoder = getattr(self._encoder, "fingerprint", self._encoder)
        return f"{self._retriever!r}, encoder {encoder or 'of the memory'}"

    def begin(self, bank: str, experiences: Sequence[Experience]) -> None:
        """See :class:`LongTermMemory`."""
        self.forget(bank)
        self._add(bank, experiences, "history")

    def remember(self, bank: str, experiences: Sequence[Experience]) -> None:
        """See :class:`LongTermMemory`."""
        self._add(bank, experiences, "site")

    def recall(self, bank: str, query: str, items: Sequence[Item], k: int) -> list[str]:
        """See :class:`LongTermMemory`."""
        del items
        try:
            found = self.memory.search(query, user_id=bank, top_k=k, retriever=self._retriever)
        except UnknownUser:  # nothing has happened yet
            return []
        return [result["memory"] for result in found["results"]]

    def forget(self, bank: str) -> None:
        """See :class:`LongTermMemory`."""
        try:
            self.memory.forget_user(user_id=bank)
        except UnknownUser:
            return

    def _add(self, bank: str, experiences: Sequence[Experience], session: str) -> None:
        if experiences:
            notes = [Message(role="user", content=one.text, event_at=one.at, bare=True) for one in experiences]
            if self._apart:
                self.memory.add_many([{"messages": [note]} for note in notes], user_id=bank)
            else:
                self.memory.add(notes, user_id=bank, session_id=session)


def bank_of(user: str, arm: str) -> str:
    """The name of the bank of a user in an arm; no slash in either makes two of them one."""
    return f"{arm.replace('%', '%25').replace('/', '%2F')}/{user}"
