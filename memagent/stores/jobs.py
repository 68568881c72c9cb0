"""What a language model is to write of a user's memory: a job for each turn and session concerned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

JobKind: TypeAlias = Literal["facts", "summary"]
"""``facts`` of a turn (the job's unit is the turn); ``summary`` and keywords of a session (the session's own unit)."""

JobState: TypeAlias = Literal["open", "queued", "running", "failed", "done"]
"""``open``: the session is not closed yet, and nothing can be done before it is."""

JOB_KINDS: tuple[JobKind, ...] = get_args(JobKind)
JOB_STATES: tuple[JobState, ...] = get_args(JobState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job. Times are microseconds since 1970 UTC; 0 stands for no time.

    ``unit`` is the key of the unit it is about, ``session`` the number of that unit's session. ``seen``: how many
    messages of the turn were dealt with already. ``attempts`` since it was last queued, ``due_at`` before which it is
    not tried again. A running job is ``holder``'s until ``held_until``; afterwards anybody may take it. ``ignored``
    counts what the model answered and could not be used. ``reason`` is why the last attempt failed.
    """

    unit: int
    session: int
    kind: JobKind
    state: JobState
    asked_at: int
    seen: int = 0
    attempts: int = 0
    due_at: int = 0
    holder: str = ""
    held_until: int = 0
    ignored: int = 0
    reason: str = ""
