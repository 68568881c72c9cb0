"""All angles on one page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from memagent._version import __version__
from memagent.agents.ab.validation.findings import Finding, yes_no
from memagent.files import directory_to_use, replacing

NAME = "validation"
LIMITS = (
    (
        "That simulated users pass says that pages, positions and fatigue do not turn known orders round. It does not "
        "say that real users would click the same."
    ),
    (
        "TastePolicy takes tastes from the validation part: on positives from that part it passes by construction. "
        "Those from the test part nobody has seen."
    ),
    "Published figures come from other users, lists and models. They show the order of magnitude.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationReport:
    """The findings in order; ``facts`` say on what data, with which users, policy and seed. :meth:`write` makes
    ``validation.md`` and ``validation.json``.
    """

    title: str
    facts: Mapping[str, Any]
    findings: Sequence[Finding]
    limits: Sequence[str] = field(default=LIMITS)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON would have it; undefined figures are None."""
        shown: dict[str, Any] = _plain({**asdict(self), "version": __version__, "schema": 1})
        return shown

    def markdown(self) -> str:
        """One line for each angle, then its tables."""
        facts = "; ".join(f"{name} {value}" for name, value in self.facts.items())
        parts = [f"# {self.title}", "", f"{facts}.", ""]
        overview = [[f.angle, yes_no(f.holds), f.came] for f in self.findings]
        parts += _table([["angle", "holds", "what came"], *overview])
        for finding in self.findings:
            parts += ["", f"## {finding.angle}", "", f"Expected: {finding.expected}", ""]
            parts += [f"Came: {finding.came} **Holds: {yes_no(finding.holds)}.**"]
            for table in finding.tables:
                parts += ["", f"### {table.title}", "", *_table(table.rows)]
            if finding.notes:
                parts += ["", *(f"- {note}" for note in finding.notes)]
        parts += ["", "## What this cannot tell", "", *(f"- {text}" for text in self.limits), ""]
        return "\n".join(parts)

    def write(self, folder: str | PathLike[str]) -> None:
        """Write both files into a folder, which is made."""
        place = directory_to_use(folder, "folder")
        place.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n"
        for name, content in ((f"{NAME}.json", text), (f"{NAME}.md", self.markdown())):
            with replacing(Path(place) / name, mode=0o666) as temporary:
                temporary.write_text(content, encoding="utf-8")


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body)]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
