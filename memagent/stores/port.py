"""The port of a memory store: where a user's history is kept, and what the layers above may ask of it.

A store holds one separate file (or database, or schema) for each user. A :class:`UserStore` is one of them,
opened. All reading and writing happens in transactions; a writing one is atomic and durable when it returns.
Positions in time are integers: microseconds since 1970-01-01 UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from memagent.records import Granularity, MemoryUnit, Message
from memagent.stores.jobs import Job, JobKind, JobState
from memagent.stores.links import Links

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from memagent.records import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDraft:
    """What is written of one memory unit.

    ``at`` is when it is stored and, unless ``updated_at`` says otherwise, when its text last changed. ``text`` is None
    for a session's unit: its text is that of its turns, read when asked for.
    ``terms`` are the term counts for BM25 as bytes (empty: not searchable by words), ``vector`` (dim,) float32.
    ``valid_from`` is for new facts: since when they hold (None: not known).
    """

    id: str
    session: int
    granularity: Granularity
    text: str | None
    event_at: int
    at: int
    updated_at: int | None = None
    sources: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    agent_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    terms: bytes = b""
    vector: Vector | None = None
    valid_from: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """One session as the store knows it.

    ``vector_sum`` (dim,) float64 is the sum of its turns' vectors: the running mean, not yet divided by ``turns``.
    """

    number: int
    id: str
    unit: int
    closed: bool
    derived: bool
    agent_id: str | None
    turns: int
    vector_sum: NDArray[np.float64] | None


class IndexRow(NamedTuple):
    """What the indexes need of one unit; ``vector`` is (dim,) float32 as bytes, or None.

    ``superseded_at`` is, of a superseded fact, when the one that took its place was said.
    """

    key: int
    granularity: Granularity
    session: int
    event_at: int
    terms: bytes
    vector: bytes | None
    superseded_at: int | None = None


class Delta(NamedTuple):
    """What changed after a revision: the keys that went, and the rows that came or changed, in key order."""

    revision: int
    removed: list[int]
    rows: list[IndexRow]


class Attributes(NamedTuple):
    """What filters look at."""

    session_id: str
    event_at: int
    created_at: int
    roles: tuple[str, ...]
    agent_id: str | None
    metadata: Mapping[str, Any]


SUPERSEDE = "SUPERSEDE"
"""The event in a fact's history when another takes its place; its text stays as it was."""


class Change(NamedTuple):
    """One entry of a memory's history; texts are None once the memory was deleted."""

    unit_id: str
    event: str
    old_text: str | None
    new_text: str | None
    at: int


class StoredMessage(NamedTuple):
    """A message and the key of the turn that holds it."""

    unit: int
    message: Message
    created_at: int


class ReadTransaction(Protocol):
    """A consistent look at one user's store."""

    def revision(self) -> int:
        """The number of the last commit."""

    def delta(self, since: int) -> Delta:
        """What changed after revision ``since`` (0: everything)."""

    def units(self, keys: Sequence[int], *, whole: bool = True) -> list[MemoryUnit]:
        """The units with these keys, in this order; a key that is gone is left out.

        With ``whole`` False units come without what is gathered from all turns of their session: the text of a
        session's unit and the sources of all but turns and facts are empty.
        """

    def find(self, unit_id: str) -> MemoryUnit | None:
        """The unit with this id."""

    def attributes(self, keys: Sequence[int] | None = None) -> dict[int, Attributes]:
        """What filters need of these units (None: of all)."""

    def vectors(self, keys: Sequence[int]) -> dict[int, bytes]:
        """The stored vectors of these units, float32 bytes."""

    def session(self, session_id: str) -> SessionState | None:
        """The session with this id."""

    def sessions(self, *, closed: bool | None = None, derived: bool | None = None) -> list[SessionState]:
        """All sessions in the order they were begun, or those in a state."""

    def keys_of(self, session: int, granularity: Granularity) -> list[int]:
        """The keys of a session's units of one granularity, ascending."""

    def last_key(self, session: int, granularity: Granularity) -> int | None:
        """The newest of a session's units of one granularity."""

    def messages(self, units: Sequence[int] | None = None) -> Iterator[StoredMessage]:
        """The messages of these turns (None: of all), in the order they were added."""

    def history(self, unit_id: str | None = None) -> list[Change]:
        """The changes of one unit (None: of all), oldest first."""

    def counts(self) -> dict[str, int]:
        """How many units of each granularity, sessions and messages there are."""

    def jobs(self, states: Collection[JobState] | None = None, *, units: Sequence[int] | None = None) -> list[Job]:
        """The jobs in these states, of these units (None: all), in the order of their units."""

    def has_jobs(self, states: Collection[JobState]) -> bool:
        """Whether there is a job in one of these states."""

    def tried_jobs(self) -> list[Job]:
        """The failed and the queued jobs that were tried in vain (``attempts``), in the order of their units."""

    def jobs_due(self, kind: JobKind, *, now: int, limit: int) -> list[Job]:
        """The first jobs of a kind that may be begun, or begun again, in the order in which their units were said.

        Those are queued and due, or running and not held any longer. To be answered without reading the whole queue.
        """

    def next_due(self, kind: JobKind) -> int | None:
        """When the next job of a kind may be begun, or begun again; None if none is queued or running."""

    def held_until(self, kind: JobKind, *, now: int) -> int | None:
        """Until when running jobs of a kind are held, the longest of them; None if none is held any longer."""

    def count_jobs(self) -> dict[str, int]:
        """How many jobs there are in each state (those with none included), and the sum of what they ``ignored``."""

    def links(self) -> Links:
        """The association graph.

        No node of a session that is gone is in it, or named by it; so much holds after every commit.
        """

    def links_revision(self) -> int:
        """The number of the last commit that changed the association graph; 0 if none has."""

    def association(self) -> str | None:
        """The settings that the association graph was made with, as :meth:`set_association` was told; None: never."""

    def unlinked(self) -> list[int]:
        """The numbers of the derived sessions whose links are due, ascending.

        They are not in the association graph, or a node of theirs is marked to be fitted again.
        """


class WriteTransaction(ReadTransaction, Protocol):
    """A reading and writing transaction; leaving its context commits, an exception rolls back."""

    def insert_session(self, session_id: str, *, agent_id: str | None) -> int:
        """Begin a session; its number."""

    def save_session(self, state: SessionState) -> None:
        """Write a session's state back."""

    def delete_session(self, number: int) -> None:
        """Remove a session that has no units left."""

    def insert_units(self, drafts: Sequence[UnitDraft], *, event: str = "ADD") -> list[int]:
        """Store units and enter them in the change log; their keys, ascending."""

    def insert_messages(self, messages: Sequence[StoredMessage]) -> None:
        """Store messages; raises DuplicateId if one's id exists."""

    def replace_unit(self, key: int, draft: UnitDraft, *, old_text: str | None = None, log: bool = True) -> None:
        """Give a unit new content under its key and id; ``old_text`` goes to the change log."""

    def delete_units(self, keys: Sequence[int], *, at: int = 0, log: bool = True) -> None:
        """Remove units, their messages, vectors and texts in the change log.

        The log keeps that they were deleted, and when; with ``log`` False it forgets them (derived units
        that are about to be written anew). The nodes made of them leave the association graph.
        """

    def append_history(self, changes: Sequence[Change]) -> None:
        """Enter past changes (from an import)."""

    def save_jobs(self, jobs: Iterable[Job]) -> None:
        """Write jobs, in place of those of the same units."""

    def supersede(self, old: int, by: int, *, valid_to: int) -> None:
        """Say by which fact another was superseded (their keys), and when it ceased to hold.

        The indexes of all open handles follow. When ``by`` is deleted, the other holds again.
        """

    def set_encoder(self, fingerprint: str, dim: int) -> None:
        """Say which encoder the vectors come from."""

    def set_vectors(self, vectors: Mapping[int, bytes]) -> None:
        """Replace vectors (re-embedding)."""

    def save_links(self, links: Links) -> None:
        """Store what these nodes initiate, in place of what they initiated before."""

    def delete_links(self, nodes: Iterable[int] | None = None) -> None:
        """Take nodes (None: all) out of the association graph; those that named them are marked to be fitted again."""

    def set_association(self, settings: str) -> None:
        """Say what the association graph is made with."""


class UserStore(Protocol):
    """One user's store, opened. Safe from several threads; transactions are one at a time."""

    @property
    def user_id(self) -> str:
        """Whose store it is."""

    @property
    def owner(self) -> str:
        """The prefix of this user's memory ids."""

    def encoder(self) -> tuple[str, int] | None:
        """Fingerprint and width of the stored vectors; None as long as there are none."""

    def read(self) -> AbstractContextManager[ReadTransaction]:
        """A reading transaction: it sees every commit that returned before it began.

        Raises UserForgotten if the user was erased since the store was opened.
        """

    def write(self) -> AbstractContextManager[WriteTransaction]:
        """A writing transaction. Waits its turn; raises StoreBusy when that takes too long."""

    def backup(self, target: Path) -> None:
        """Write a complete, consistent copy to a new file."""

    def check(self) -> list[str]:
        """Problems found in the file; empty when it is sound."""

    def close(self) -> None:
        """Release the file."""


class MemoryStore(Protocol):
    """All users' stores. No operation names or touches more than one user."""

    def open(self, user_id: str, *, create: bool = False) -> UserStore:
        """The user's store; raises UnknownUser unless ``create``."""

    def open_owner(self, owner: str) -> UserStore:
        """The store whose memory ids begin with ``owner``; raises UnknownMemory."""

    def owners(self) -> Iterator[str]:
        """The prefixes of all users' memory ids; their stores need not be readable."""

    def users(self) -> Iterator[str]:
        """The ids of all users, in no particular order; raises StoreCorrupt at a damaged store."""

    def forget(self, user_id: str) -> None:
        """Erase a user: every file of theirs. Raises UnknownUser if there is none."""

    @property
    def volatile(self) -> bool:
        """Whether closing a user's store loses it (a store in memory)."""
