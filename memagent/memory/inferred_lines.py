"""The lines of an export that tell of what a language model writes: facts' own fields, and jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from memagent.records import Granularity, MemoryUnit, from_micros, to_micros
from memagent.stores.jobs import JOB_KINDS, JOB_STATES, Job, JobKind, JobState
from memagent.stores.port import WriteTransaction

if TYPE_CHECKING:
    from memagent.memory.imports import Fields


class Superseded(NamedTuple):
    """What an export says of a fact that another has superseded."""

    by: str
    valid_to: int


class JobLine(NamedTuple):
    """One job of an export: the id of its unit, and what the job is without its unit."""

    unit: str
    kind: JobKind
    state: JobState
    asked_at: int
    seen: int
    attempts: int
    ignored: int
    reason: str


def fact_fields(unit: MemoryUnit) -> dict[str, Any]:
    """What the line of a unit has beside, if the unit is a fact."""
    if unit.granularity is not Granularity.FACT:
        return {}
    return {
        "valid_from": None if unit.valid_from is None else unit.valid_from.isoformat(),
        "valid_to": None if unit.valid_to is None else unit.valid_to.isoformat(),
        "superseded_by": unit.superseded_by,
    }


def job_record(job: Job, ids: Mapping[int, str]) -> dict[str, Any]:
    """The line of a job. Whoever is at work at it does not concern the place it is taken to."""
    return {
        "type": "job",
        "unit": ids[job.unit],
        "kind": job.kind,
        "state": "queued" if job.state == "running" else job.state,
        "asked_at": from_micros(job.asked_at).isoformat(),
        "seen": job.seen,
        "attempts": job.attempts,
        "ignored": job.ignored,
        "reason": job.reason,
    }


def read_valid_from(fields: Fields) -> int | None:
    """Since when a fact holds."""
    return None if fields.value("valid_from") is None else to_micros(fields.moment("valid_from"))


def read_superseded(fields: Fields) -> Superseded | None:
    """By what a fact was superseded."""
    by = fields.text_or_none("superseded_by")
    return None if by is None else Superseded(by, to_micros(fields.moment("valid_to")))


def read_job(fields: Fields) -> JobLine:
    """A job; raises DataError."""
    kinds: dict[str, JobKind] = {kind: kind for kind in JOB_KINDS}
    states: dict[str, JobState] = {state: state for state in JOB_STATES}
    kind, state = fields.name("kind"), fields.name("state")
    if kind not in kinds or state not in states or state == "running":
        raise fields.fault(f"there is no job {kind!r:.100} that is {state!r:.100}")
    return JobLine(
        unit=fields.name("unit"),
        kind=kinds[kind],
        state=states[state],
        asked_at=to_micros(fields.moment("asked_at")),
        seen=fields.count("seen"),
        attempts=fields.count("attempts"),
        ignored=fields.count("ignored"),
        reason=fields.text("reason"),
    )


def write_inferred(
    transaction: WriteTransaction,
    superseded: Mapping[str, Superseded],
    jobs: Mapping[str, JobLine],
    keys: Mapping[str, int],
    sessions: Mapping[str, int],
) -> None:
    """Link the facts of an import and queue its jobs. ``keys`` of units by their ids there, ``sessions`` of units."""
    for fact, link in superseded.items():
        transaction.supersede(keys[fact], keys[link.by], valid_to=link.valid_to)
    transaction.save_jobs(
        Job(
            unit=keys[line.unit],
            session=sessions[line.unit],
            kind=line.kind,
            state=line.state,
            asked_at=line.asked_at,
            seen=line.seen,
            attempts=line.attempts,
            ignored=line.ignored,
            reason=line.reason,
        )
        for line in jobs.values()
    )
