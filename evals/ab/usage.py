"""What an experiment uses of models: counted apart under one budget, and written down while it runs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from memagent.errors import BudgetExceeded, DataError, Stopped
from memagent.files import replacing
from memagent.llm.meter import Budget, Meter

if TYPE_CHECKING:
    from pathlib import Path

    from memagent.agents.ab.agent.policy import AgentPolicy

USAGE = "usage.jsonl"

_SUMS = ("calls", "input_tokens", "output_tokens", "prefix_cached_tokens", "cost", "seconds")
_COUNTS = ("malformed", "retried", "failed")


class Usage:
    """The file ``usage.jsonl`` of a folder, a line for each process that used a model; this one's grows.

    A line has the totals of all models, and under ``visitors`` and ``rankers`` (by arm) what each of them had of it.
    :meth:`note` is called after each user, so that a process that is killed leaves out only what was under way.
    Without a folder nothing is written. ``budget`` bounds all models of this process together. Raises DataError for a
    file that is damaged.
    """

    def __init__(self, folder: Path | None = None, budget: Budget | None = None) -> None:
        self.meter = Meter(budget)
        self._path = folder / USAGE if folder else None
        self._before = self._read()
        self._policy: AgentPolicy | None = None
        self._visitors: Meter | None = None
        self._rankers: dict[str, Meter] = {}

    def visitors(self, budget: Budget | None = None) -> Meter:
        """The meter of visitors and of who writes captions for them, with a budget of their own beside the whole."""
        self._visitors = Meter(budget, within=self.meter)
        return self._visitors

    def ranker(self, arm: str, budget: Budget | None = None) -> Meter:
        """The meter of an arm whose lists a model ranks, with a budget of its own beside the whole."""
        self._rankers[arm] = Meter(budget, within=self.meter)
        return self._rankers[arm]

    def played_by(self, policy: AgentPolicy) -> None:
        """Who the visitors are: their settings, summaries and posters are told too."""
        self._policy = policy

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Write down what is used inside, however it ends. Raises Stopped where a budget is spent."""
        try:
            yield
        except BudgetExceeded as error:
            raise Stopped(error.message, hint="raise the budget, and run the same command to resume") from error
        finally:
            self.note()

    def note(self) -> None:
        """Write down what this process has used so far, if anything."""
        if self._path is None:
            return
        rows = [*self._before, *self._own()]
        if len(rows) > len(self._before):
            with replacing(self._path, mode=0o666) as temporary:
                temporary.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")

    def facts(self) -> dict[str, Any]:
        """For a report: what all runs in the folder used together; ``agent`` and ``rankers``, where there are any."""
        rows = [*self._before, *self._own()]
        found: dict[str, Any] = {}
        if self._visitors:
            # A line of an earlier version is theirs as a whole.
            theirs = _that_asked(row if "summaries" in row else row.get("visitors") for row in rows)
            found["agent"] = _together(theirs, (*_COUNTS, "summaries")) | self._settings()
        if self._rankers:
            found["rankers"] = {
                arm: _together(_that_asked(row.get("rankers", {}).get(arm) for row in rows)) for arm in self._rankers
            }
        return found

    def told(self) -> str:
        """:meth:`facts` in words; "" where no model has a part."""
        facts = self.facts()
        parts = {"visitors": facts["agent"]} if "agent" in facts else {}
        return "; ".join(
            f"{who} {of['calls']:,} calls, {of['input_tokens']:,} tokens sent and {of['output_tokens']:,} received, "
            f"cost {of['cost']:g}"
            for who, of in {**parts, **facts.get("rankers", {})}.items()
        )

    def _own(self) -> list[dict[str, Any]]:
        """The line of this process, once it has used something."""
        totals = self.meter.totals()
        if not (totals.calls or totals.failed):
            return []
        row = totals.as_dict()
        if self._visitors:
            summaries = self._policy.tastes.kinds if self._policy else {}
            row["visitors"] = {**self._visitors.totals().as_dict(), "summaries": summaries}
        if self._rankers:
            row["rankers"] = {arm: meter.totals().as_dict() for arm, meter in self._rankers.items()}
        return [row]

    def _settings(self) -> dict[str, Any]:
        if self._policy is None:
            return {}
        posters = self._policy.sight.posters
        return {"settings": asdict(self._policy.settings), **({"posters": posters.facts()} if posters else {})}

    def _read(self) -> list[dict[str, Any]]:
        if self._path is None or not self._path.exists():
            return []
        try:
            rows = [json.loads(line) for line in self._path.read_text(encoding="utf-8").split("\n") if line]
        except ValueError:
            rows = [None]
        if not all(map(_sound, rows)):
            raise DataError(f"{self._path} is damaged", hint="mend or delete it: it only counts what was used")
        return rows


def _sound(row: Any) -> bool:
    """Whether a line can be counted."""
    if not isinstance(row, dict) or not isinstance(row.get("rankers", {}), dict):
        return False
    parts = [row, *([row["visitors"]] if "visitors" in row else []), *row.get("rankers", {}).values()]
    return all(isinstance(part, dict) and _countable(part) for part in parts)


def _countable(part: dict[str, Any]) -> bool:
    counts = [part.get(name) for name in _COUNTS] + [part.get("summaries", {})]
    return all(isinstance(part.get(name), int | float) for name in _SUMS) and all(
        isinstance(of_kind, dict) and all(isinstance(count, int) for count in of_kind.values()) for of_kind in counts
    )


def _that_asked(parts: Iterable[dict[str, Any] | None]) -> list[dict[str, Any]]:
    return [part for part in parts if part and (part["calls"] or part["failed"])]


def _together(rows: Sequence[dict[str, Any]], counts: Sequence[str] = _COUNTS) -> dict[str, Any]:
    """The sums of totals, and how many there are."""
    found: dict[str, Any] = {name: round(sum(row[name] for row in rows), 9) for name in _SUMS}
    for name in counts:
        of_kind: Counter[str] = Counter()
        for row in rows:
            of_kind.update(row.get(name, {}))
        found[name] = dict(sorted(of_kind.items()))
    return {**found, "runs": len(rows)}
