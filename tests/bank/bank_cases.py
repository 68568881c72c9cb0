"""Small random histories, stored through ``Memory`` and opened as banks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import strategies as st

from memagent import Memory
from memagent.bank.bank import MemoryBank
from memagent.records import to_micros
from memagent.stores.sqlite import MemoryOnlyStore
from memagent.testing import HashingEncoder

ENCODER = HashingEncoder(32)
START = datetime(2025, 1, 1, tzinfo=UTC)
WORDS = ("bees", "honey", "harbour", "sailing", "walnut", "Lisbon", "miel", "abejas", "the", "海", "蜂蜜")


class Said(NamedTuple):
    """One turn of a history."""

    session: int
    text: str
    topic: str
    minute: int

    @property
    def event_at(self) -> datetime:
        """When it was said."""
        return START + timedelta(minutes=self.minute)


turns = st.builds(
    Said,
    st.integers(0, 3),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join),
    st.sampled_from(["a", "b"]),
    st.integers(0, 9),
)
histories = st.lists(turns, min_size=1, max_size=10)
queries = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


def minute(number: int) -> int:
    """A moment as banks count it: microseconds since 1970."""
    return to_micros(START + timedelta(minutes=number))


def remember(memory: Memory, history: Sequence[Said], user_id: str = "ann") -> None:
    """Store a history, a call for each turn."""
    for said in history:
        memory.add(
            said.text,
            user_id=user_id,
            session_id=f"session {said.session}",
            timestamp=said.event_at,
            metadata={"topic": said.topic},
        )


def stored(history: Sequence[Said]) -> tuple[Memory, MemoryBank]:
    """A memory that holds a history, and a bank of it."""
    store = MemoryOnlyStore()
    memory = Memory("unused", store=store, encoder=ENCODER, background=False)
    store.open("ann", create=True)
    remember(memory, history)
    return memory, bank_of(store)


def bank_of(store: MemoryOnlyStore, user_id: str = "ann") -> MemoryBank:
    """A new bank of a user's store."""
    return MemoryBank(store.open(user_id), lambda: (ENCODER.fingerprint, ENCODER.dim))
