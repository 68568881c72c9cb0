"""What it costs to open a user, and how it grows with their number: time and memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from memagent.bench.child import in_child
from memagent.bench.figures import Figure, latency
from memagent.bench.measure import Timing

if TYPE_CHECKING:
    from memagent.bench.workshop import Workshop

_MIB = 1 << 20


def measure_open(workshop: Workshop) -> Iterator[Figure]:
    """The first search of users of each size in a fresh process, and the memory that an open user takes."""
    for units in workshop.settings.units:
        user_id = workshop.user(units)
        workshop.tell(f"opening {units:,} turns")
        found = in_child(
            "open",
            store=str(workshop.store),
            user_id=user_id,
            question=workshop.grammar.question(),
            repeats=workshop.settings.opens,
            seed=workshop.settings.seed,
        )
        yield from _openings(found, units)


def _openings(found: dict[str, Any], units: int) -> Iterator[Figure]:
    read = Timing.of(found["read"])
    for retriever in ("dense", "hybrid"):
        yield latency(
            "open",
            f"opening and first {retriever} search",
            Timing.of(found[retriever]["first"]),
            units=units,
            against="reading the user's file",
            other=read,
        )
    if found["uncached"]:
        yield latency(
            "open",
            "the same, file not in the system's cache",
            Timing.of(found["uncached"]),
            units=units,
            against="opening and first hybrid search",
            other=Timing.of(found["hybrid"]["first"]),
        )
    for retriever in ("dense", "hybrid"):
        yield memory("open", f"memory after a {retriever} search", found[f"{retriever}_memory"], found["file"], units)


def memory(group: Any, what: str, taken: int, file: int, units: int) -> Figure:
    """Resident memory beside the size of the user's file."""
    return Figure(
        group=group,
        what=what,
        value=taken / _MIB,
        unit="MiB",
        units=units,
        against="the user's file",
        other=file / _MIB,
        ratio=taken / file,
    )


def measure_users(workshop: Workshop) -> Iterator[Figure]:
    """Searches of users that are not open, for each number of users, and the memory of visiting all of them."""
    settings = workshop.settings
    for users in settings.users:
        store, names = workshop.crowd(users)
        workshop.tell(f"visiting {users:,} users")
        found = in_child(
            "users",
            store=str(store),
            users=names,
            question=workshop.grammar.question(),
            calls=settings.calls,
            open_users=settings.open_users,
            seed=settings.seed,
        )
        yield latency(
            "users",
            "hybrid, user not open",
            Timing.of(found["cold"]),
            users=users,
            units=settings.units_per_user,
            against="hybrid, user open",
            other=Timing.of(found["warm"]),
        )
        held = min(users, settings.open_users)
        yield Figure(
            group="users",
            what="memory after visiting all users",
            value=found["end"] / _MIB,
            unit="MiB",
            users=users,
            units=settings.units_per_user,
            against=f"after the first {held}: {settings.open_users} may be open",
            other=found["full"] / _MIB,
            ratio=found["end"] / found["full"] if found["full"] else None,
        )
