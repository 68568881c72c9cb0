"""What an experiment used of the model that plays its visitors, written down while it runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from memagent.files import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from memagent.agents.ab.agent.policy import AgentPolicy

USAGE = "usage.jsonl"

_SUMS = ("calls", "input_tokens", "output_tokens", "prefix_cached_tokens", "cost", "seconds")
_COUNTS = ("malformed", "retried", "failed", "summaries")


class Usage:
    """The file ``usage.jsonl`` of a folder, a line for each process that used the model; this one's grows.

    :meth:`note` is called after each user, so that a process that is killed leaves out only what was under way.
    """

    def __init__(self, policy: AgentPolicy, folder: Path) -> None:
        self._policy = policy
        self._path = folder / USAGE
        self._before = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []

    def note(self) -> None:
        """Write down what this process has used so far, if anything."""
        totals = self._policy.model.meter.totals()
        if not (totals.calls or totals.failed):
            return
        own = json.dumps({**totals.as_dict(), "summaries": self._policy.tastes.kinds})
        with replacing(self._path, mode=0o666) as temporary:
            temporary.write_text("\n".join([*self._before, own]) + "\n", encoding="utf-8")

    def facts(self) -> dict[str, Any]:
        """For a report: what all runs in the folder used together."""
        rows = [json.loads(line) for line in self._lines()]
        found: dict[str, Any] = {name: round(sum(row[name] for row in rows), 9) for name in _SUMS}
        for name in _COUNTS:
            counts: dict[str, int] = {}
            for row in rows:
                for kind, count in row[name].items():
                    counts[kind] = counts.get(kind, 0) + count
            found[name] = dict(sorted(counts.items()))
        posters = self._policy.sight.posters
        shown = {"posters": posters.facts()} if posters else {}
        return {**found, "runs": len(rows), "settings": asdict(self._policy.settings), **shown}

    def _lines(self) -> list[str]:
        return self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
