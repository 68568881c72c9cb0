"""What happened to a task. Of texts it holds only those that crossed: it may be shown, counted and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from memagent.agents.lsrp.device_state import DeviceState, Problem
from memagent.llm.reply import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """How an answer came about.

    ``strategy``, ``reason`` and ``votes``: the choice (empty where the device had no leader). ``verdict``: the guard's;
    ``found`` counts its findings by kind; ``sent`` is the text that was to be sent, empty if none was. ``guideline`` is
    the leader's as it came, None where the device wrote alone. ``up`` and ``down``: bytes that crossed. ``memories``:
    ids of the memories, ``writings``: how many earlier texts the model was shown. ``leftover``: placeholders that are
    still in the answer. ``problems``: what went wrong and was got over. ``ms``: milliseconds by node, in the order in
    which they ran.
    """

    task_type: str
    strategy: str = ""
    reason: str = ""
    votes: Mapping[str, int] = field(default_factory=dict)
    verdict: str = ""
    found: Mapping[str, int] = field(default_factory=dict)
    sent: str = ""
    guideline: str | None = None
    up: int = 0
    down: int = 0
    memories: tuple[str, ...] = ()
    writings: int = 0
    prompt: str = ""
    usage: Usage = field(default_factory=Usage)
    truncated: bool = False
    leftover: int = 0
    problems: tuple[Problem, ...] = ()
    ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def alone(self) -> str:
        """Why the device wrote alone; empty if it was led."""
        if self.guideline is not None:
            return ""
        if not self.verdict:
            return "it has no leader"
        if not self.sent:
            return "the guard let nothing leave"
        return next((one["message"] for one in self.problems if one["node"] == "lead"), "no guideline came")

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"memories": list(self.memories), "problems": [dict(one) for one in self.problems]}

    def text(self) -> str:
        """The same for people to read."""
        return "\n".join(_lines(self))


def trace_of(values: DeviceState) -> Trace:
    """The trace in the state of a run that has ended."""
    choice: Mapping[str, Any] = values["choice"] or {}
    checked: Mapping[str, Any] = values["checked"] or {}
    return Trace(
        task_type=values["task"]["task_type"],
        strategy=choice.get("strategy", ""),
        reason=choice.get("reason", ""),
        votes=choice.get("votes", {}),
        verdict=checked.get("verdict", ""),
        found=dict(Counter(finding["kind"] for finding in checked.get("findings", ()))),
        sent=checked.get("text", "") if "lead" in values["ms"] else "",
        guideline=values["received"],
        up=values["bytes"]["up"],
        down=values["bytes"]["down"],
        memories=tuple(values["used"] or ()),
        writings=len(values["writings"] or ()),
        prompt=values["prompt"] or "",
        usage=Usage(**values["usage"] or {}),
        truncated=values["truncated"],
        leftover=values["leftover"],
        problems=tuple(values["problems"]),
        ms=values["ms"],
    )


def _lines(trace: Trace) -> Iterator[str]:
    if trace.strategy:
        votes = ", ".join(f"{name} {count}" for name, count in trace.votes.items())
        yield f"strategy:   {trace.strategy} ({trace.reason}{f'; votes: {votes}' if votes else ''})"
    if trace.verdict:
        found = ", ".join(f"{kind} {count}" for kind, count in trace.found.items())
        yield f"guard:      {trace.verdict}{f' ({found})' if found else ''}"
    yield f"crossed:    {trace.up} bytes up, {trace.down} bytes down"
    yield f"guideline:  {trace.guideline or f'none: {trace.alone}'}"
    yield f"shown:      {len(trace.memories)} memories, {trace.writings} earlier texts"
    for problem in trace.problems:
        yield f"problem:    {problem['node']}: {problem['error']}: {problem['message']}"
    if trace.leftover:
        yield f"left over:  {trace.leftover} placeholders in the answer"
    yield "times (ms): " + ", ".join(f"{node} {ms:.0f}" for node, ms in trace.ms.items())
