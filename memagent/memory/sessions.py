"""A session's own unit: what it takes from the turns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memagent.bank.filters import same_value
from memagent.records import Granularity, MemoryUnit
from memagent.stores.port import ReadTransaction, SessionState, UnitDraft, WriteTransaction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from memagent.records import Vector

DERIVED = (Granularity.SUMMARY, Granularity.KEYWORDS, Granularity.COMBINATION)
_ABSENT = object()


class Gathered(NamedTuple):
    """What the turns of a session say together: the time of the last, their roles, the metadata they agree on."""

    event_at: int
    roles: tuple[str, ...]
    metadata: dict[str, Any]


def gathered(parts: Sequence[Gathered]) -> Gathered:
    """Turns, or groups of turns, as one."""
    return Gathered(
        max(part.event_at for part in parts),
        tuple(dict.fromkeys(role for part in parts for role in part.roles)),
        agreed([part.metadata for part in parts]),
    )


def gathered_from(transaction: ReadTransaction, session: int) -> Gathered:
    """What all stored turns of a session say together; their texts are not read."""
    keys = transaction.keys_of(session, Granularity.TURN)
    found = transaction.attributes(keys)
    return gathered([Gathered(found[k].event_at, found[k].roles, dict(found[k].metadata)) for k in keys])


def agreed(metadata: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The keys that all have, with the same value."""
    first, *others = metadata
    return {k: v for k, v in first.items() if all(same_value(other.get(k, _ABSENT), v) for other in others)}


def write_own_unit(
    transaction: WriteTransaction,
    state: SessionState,
    unit: MemoryUnit,
    turns: Gathered,
    *,
    now: int,
    vector: Vector | None,
) -> None:
    """Bring a session's own unit up to date; ``vector`` None is the mean of its turns'."""
    draft = UnitDraft(
        id=unit.id,
        session=state.number,
        granularity=Granularity.SESSION,
        text=None,
        event_at=turns.event_at,
        at=now,
        roles=turns.roles,
        agent_id=state.agent_id,
        metadata=turns.metadata,
        vector=mean_vector(state.vector_sum) if vector is None else vector,
    )
    transaction.replace_unit(state.unit, draft, log=False)


def derived_keys(transaction: ReadTransaction, session: int) -> list[int]:
    """The keys of a session's summary, keywords and combination."""
    return [key for granularity in DERIVED for key in transaction.keys_of(session, granularity)]


def drop_derived(transaction: WriteTransaction, session: int) -> list[str]:
    """Remove what is derived of a session, to be written anew; the texts, which nothing remembers afterwards.

    The session must have left the association graph.
    """
    stale = derived_keys(transaction, session)
    if not stale:
        return []
    texts = [unit.text for unit in transaction.units(stale, whole=False)]
    transaction.delete_units(stale, log=False)
    return texts


def sum_of(vectors: Iterable[Vector], start: NDArray[np.float64] | None = None) -> NDArray[np.float64] | None:
    """``start`` plus the sum of vectors, (dim,) float64; None only if there is nothing to add."""
    listed = list(vectors)
    if not listed:
        return start
    total: NDArray[np.float64] = np.sum(np.stack(listed), axis=0, dtype=np.float64)
    return total if start is None else start + total


def mean_vector(total: NDArray[np.float64] | None) -> Vector | None:
    """The direction of a sum of vectors, (dim,) float32; where they cancel out, the first axis."""
    if total is None:
        return None
    norm = float(np.linalg.norm(total))
    if norm < 1e-9:
        axis = np.zeros(len(total), np.float32)
        axis[0] = 1.0
        return axis
    return (total / norm).astype(np.float32)
