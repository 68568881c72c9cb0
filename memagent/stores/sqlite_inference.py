"""The tables of what a language model writes: jobs, and what facts have beside other units."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple

from memagent.records import from_micros
from memagent.stores.jobs import JOB_KINDS, JOB_STATES, Job, JobKind, JobState
from memagent.stores.port import SUPERSEDE
from memagent.stores.sqlite_check import checksum
from memagent.stores.sqlite_reader import NUMBER, UNREADABLE, Reader, batches, damaged, marks, typed

_JOB_FIELDS = tuple(field.name for field in fields(Job))
_JOB_COLUMNS = ", ".join(_JOB_FIELDS)
_JOB = (int, int, str, str, int, int, int, int, str, int, int, str)
_FACT_COLUMNS = "unit, valid_from, valid_to, superseded_by"
_FACT = (int, NUMBER, NUMBER, NUMBER)


class FactRow(NamedTuple):
    """What a fact has beside other units; ``supersedes`` and ``superseded_by`` are ids."""

    valid_from: datetime | None
    valid_to: datetime | None
    supersedes: tuple[str, ...]
    superseded_by: str | None


class InferenceRows(Reader):
    """The reading half."""

    def jobs(self, states: Collection[JobState] | None = None, *, units: Sequence[int] | None = None) -> list[Job]:
        """The jobs in these states, of these units (None: all), in the order of their units."""
        where, values = "", list[Any]()
        if states is not None:
            where, values = f"where state in ({marks(list(states))})", sorted(states)
        sql = f"select {_JOB_COLUMNS} from jobs {where}"
        if units is None:
            return [_job(row) for row in self._all(f"{sql} order by unit", values)]
        joined = "and" if where else "where"
        return [
            _job(row)
            for batch in batches(sorted(units))
            for row in self._all(f"{sql} {joined} unit in ({marks(batch)}) order by unit", [*values, *batch])
        ]

    def has_jobs(self, states: Collection[JobState]) -> bool:
        """Whether there is a job in one of these states."""
        sql = f"select exists (select 1 from jobs where state in ({marks(list(states))}))"
        return bool(self._value(sql, sorted(states)))

    def tried_jobs(self) -> list[Job]:
        """The jobs that have failed or are queued again, in the order of their units."""
        sql = f"select {_JOB_COLUMNS} from jobs where state in ('failed', 'queued') and attempts > 0 order by unit"
        return [_job(row) for row in self._all(sql)]

    def jobs_due(self, kind: JobKind, *, now: int, limit: int) -> list[Job]:
        """The first jobs of a kind that may be begun now, in the order in which what they are about was said."""
        sql = f"""
            select {_JOB_COLUMNS} from (
                select * from (
                    select * from jobs where state = 'queued' and kind = ?1 and due_at <= ?2
                    order by said_at, unit limit ?3
                )
                union all
                select * from jobs where state = 'running' and kind = ?1 and held_until <= ?2
            )
            order by said_at, unit limit ?3
            """
        return [_job(row) for row in self._all(sql, (kind, now, limit))]

    def next_due(self, kind: JobKind) -> int | None:
        """When the next job of a kind may be begun; None if none is queued or running."""
        sql = """
            select min(moment) from (
                select min(due_at) as moment from jobs where state = 'queued' and kind = ?1
                union all
                select min(held_until) from jobs where state = 'running' and kind = ?1
            )
            """
        found: int | None = self._value(sql, (kind,))
        return found

    def held_until(self, kind: JobKind, *, now: int) -> int | None:
        """Until when jobs of a kind are held that somebody is at work at; None if nobody is."""
        sql = "select max(held_until) from jobs where state = 'running' and kind = ? and held_until > ?"
        found: int | None = self._value(sql, (kind, now))
        return found

    def count_jobs(self) -> dict[str, int]:
        """How many jobs there are in each state, and what of their answers was ignored."""
        found: dict[str, int] = dict(self._all("select state, count(*) from jobs group by state"))
        ignored = int(self._value("select total(ignored) from jobs"))
        return {**{state: found.get(state, 0) for state in JOB_STATES}, "ignored": ignored}

    def _fact_rows(self, keys: Sequence[int]) -> dict[int, FactRow]:
        """What these facts have beside other units."""
        rows: list[Any] = []
        links: list[Any] = []
        for batch in batches(keys):
            wanted = marks(batch)
            rows += self._all(f"select {_FACT_COLUMNS} from facts where unit in ({wanted})", batch)
            links += self._all(f"select superseded_by, unit from facts where superseded_by in ({wanted})", batch)
        try:
            rows = [typed(row, _FACT) for row in rows]
            links = sorted(typed(link, (int, int)) for link in links)
            valid = {key: (_moment(since), _moment(until)) for key, since, until, _ in rows}
        except UNREADABLE as error:
            raise damaged(error) from error
        ids = self._ids_of({row[3] for row in rows if row[3] is not None} | {old for _, old in links})
        supersedes: dict[int, list[str]] = {}
        for new, old in links:
            supersedes.setdefault(new, []).extend([ids[old]] if old in ids else [])
        return {key: FactRow(*valid[key], tuple(supersedes.get(key, ())), ids.get(by)) for key, _, _, by in rows}

    def _ids_of(self, keys: Iterable[int]) -> dict[int, str]:
        found: dict[int, str] = {}
        for batch in batches(sorted(keys)):
            found.update(self._all(f"select key, id from units where key in ({marks(batch)})", batch))
        return found

    def _superseded(self, since: int) -> dict[int, int]:
        """When what has superseded a fact was said, by the keys of the facts that changed after revision ``since``."""
        rows = self._all(
            "select f.unit, n.event_at from facts f join units u on u.key = f.unit "
            "join units n on n.key = f.superseded_by where u.revision > ?",
            (since,),
        )
        try:
            return {row[0]: row[1] for row in rows if typed(row, (int, int))}
        except UNREADABLE as error:
            raise damaged(error) from error


def _left_after(fact: int, going: dict[int, tuple[int | None, int | None]]) -> tuple[int, int] | None:
    """What has superseded a fact that is going, or what superseded that ... and is not going, and since when."""
    passed: set[int] = set()
    by: int | None = fact
    until: int | None = None
    while by in going and by not in passed:
        passed.add(by)
        by, until = going[by]
    return None if by is None or until is None or by in going else (by, until)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _job(row: Sequence[Any]) -> Job:
    try:
        job = Job(**dict(zip(_JOB_FIELDS, typed(row, _JOB), strict=True)))
        if job.kind not in JOB_KINDS or job.state not in JOB_STATES:
            raise ValueError(f"there is no job {job.kind!r} that is {job.state!r}")
        from_micros(job.asked_at)  # is shown
    except UNREADABLE as error:
        raise damaged(error) from error
    return job


class InferenceWriting(InferenceRows):
    """The writing half; ``_revision`` is the number of the commit that is being written."""

    _revision: int

    def save_jobs(self, jobs: Iterable[Job]) -> None:
        """Write jobs, in place of those of the same units."""
        rows = [tuple(getattr(job, name) for name in _JOB_FIELDS) for job in jobs]
        self._connection.executemany(
            f"insert or replace into jobs ({_JOB_COLUMNS}, checksum, said_at) "
            "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, (select event_at from units where key = ?))",
            [(*row, checksum(*row), row[0]) for row in rows],
        )

    def _insert_facts(self, facts: Iterable[tuple[int, int | None]]) -> None:
        """Facts that nothing has superseded: the keys of their units, and since when they hold."""
        self._save_facts((key, valid_from, None, None) for key, valid_from in facts)

    def _save_facts(self, rows: Iterable[tuple[int, int | None, int | None, int | None]]) -> None:
        self._connection.executemany(
            "insert or replace into facts (unit, valid_from, valid_to, superseded_by, checksum) values (?, ?, ?, ?, ?)",
            [(*row, checksum(*row)) for row in rows],
        )

    def supersede(self, old: int, by: int, *, valid_to: int) -> None:
        """Say by which fact another was superseded, and when it ceased to hold."""
        self._save_facts([(old, self._valid_from(old), valid_to, by)])
        self._touch(old)

    def _restore(self, old: int) -> None:
        """Have a fact hold again as if nothing had superseded it; its history does not tell either."""
        self._save_facts([(old, self._valid_from(old), None, None)])
        self._connection.execute(
            "delete from changes where event = ? and unit = (select id from units where key = ?)", (SUPERSEDE, old)
        )
        self._touch(old)

    def _valid_from(self, fact: int) -> int | None:
        found: int | None = self._value("select valid_from from facts where unit = ?", (fact,))
        return found

    def _touch(self, unit: int) -> None:
        self._connection.execute("update units set revision = ? where key = ?", (self._revision, unit))

    def _delete_inferred(self, units: Sequence[int]) -> None:
        """Take away the jobs of units, and what the facts among them have.

        Facts they superseded hold again, unless a later one has taken the place of both.
        """
        wanted = marks(units)
        self._connection.execute(f"delete from jobs where unit in ({wanted})", tuple(units))
        rows = self._all(f"select unit, superseded_by, valid_to from facts where unit in ({wanted})", units)
        going = {unit: (by, until) for unit, by, until in rows}
        for old, by in self._all(f"select unit, superseded_by from facts where superseded_by in ({wanted})", units):
            if (later := _left_after(by, going)) is None or later[0] == old:
                self._restore(old)
            else:
                self.supersede(old, later[0], valid_to=later[1])
        self._connection.execute(f"delete from facts where unit in ({wanted})", tuple(units))
