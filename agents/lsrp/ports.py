"""What the device consists of, as ports: a task with its private data, who leads, who guards, who chooses the style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from memagent.agents.lsrp.messages import Guideline, GuidelineRequest, TaskType


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A text that the user wrote before."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateTask:
    """A task as the device sees it. ``profile`` (field name to value) and ``history`` never leave the device."""

    text: str
    task_type: TaskType
    profile: Mapping[str, str] = field(default_factory=dict)
    history: tuple[Written, ...] = ()


class Leader(Protocol):
    """Whoever writes guidelines: a local call, or a server."""

    def guideline(self, request: GuidelineRequest) -> Guideline:
        """The guideline; raises MemagentError where there is none."""


class Verdict(StrEnum):
    """What the guard did with a task."""

    PASSED = "passed"
    REDACTED = "redacted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A private piece of a task's text: where it stands (characters, half open), what it is, and who found it."""

    start: int
    end: int
    kind: str
    found_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What may leave in place of a task's text. ``placeholders`` (placeholder to private text) stay on the device.

    ``text`` is empty where the task was refused.
    """

    verdict: Verdict
    text: str
    placeholders: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


class Guard(Protocol):
    """Looks at a task's text before it leaves, and puts back what it took out."""

    def check(self, task: PrivateTask) -> Checked:
        """What may leave."""

    def restored(self, text: str, checked: Checked) -> str:
        """``text`` (a guideline or an answer) with the private texts in place of the placeholders of ``checked``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A strategy, why it was chosen (for the trace, so nothing private), and the votes of each style, if any."""

    strategy: str
    reason: str
    votes: Mapping[str, int] = field(default_factory=dict)


class StyleChooser(Protocol):
    """Chooses the leader's strategy, on the device."""

    def choose(self, task: PrivateTask) -> Choice:
        """The choice; where nothing is known, the general strategy."""
