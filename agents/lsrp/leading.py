"""Asks a leader so that all which crosses is in the log, and whatever fails is told."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from memagent.agents.lsrp.deadline import within
from memagent.agents.lsrp.messages import Guideline, GuidelineRequest
from memagent.agents.lsrp.ports import Leader
from memagent.agents.lsrp.wire import WireLog, crossing
from memagent.errors import MalformedReply, MemagentError


@runtime_checkable
class WiredLeader(Protocol):
    """A leader that logs what it sends and receives by itself, such as one behind a socket."""

    wire: WireLog

    def guideline(self, request: GuidelineRequest) -> Guideline:
        """The guideline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Led:
    """What came of a request: a guideline or the error, and the bytes that crossed."""

    guideline: Guideline | None
    errors: tuple[MemagentError, ...] = ()
    up: int = 0
    down: int = 0


class LocalLeader:
    """A leader in this process: what crosses is the JSON of the messages, in the log as if it were sent."""

    def __init__(self, leader: Leader, wire: WireLog) -> None:
        self._leader = leader
        self.wire = wire

    def guideline(self, request: GuidelineRequest) -> Guideline:
        """The guideline; what the other side raises is no message and not in the log."""
        self.wire.record("up", _bytes(request))
        guideline = self._leader.guideline(request)
        self.wire.record("down", _bytes(guideline))
        return guideline


def wired(leader: Leader, wire: WireLog) -> WiredLeader:
    """The leader itself if it keeps a log, otherwise one that logs its messages to ``wire``."""
    return leader if isinstance(leader, WiredLeader) else LocalLeader(leader, wire)


def lead(leader: Leader, request: GuidelineRequest, wire: WireLog, *, timeout: float | None = None) -> Led:
    """The leader's guideline, or why there is none: also where none came within ``timeout`` seconds.

    Errors that are not memagent's pass.
    """
    with crossing() as crossed:
        guideline, errors = _asked(wired(leader, wire), request, timeout)
    sizes = {way: sum(one.size for one in crossed if one.direction == way) for way in ("up", "down")}
    return Led(guideline=guideline, errors=errors, up=sizes["up"], down=sizes["down"])


def _asked(
    leader: WiredLeader, request: GuidelineRequest, timeout: float | None
) -> tuple[Guideline | None, tuple[MemagentError, ...]]:
    try:
        guideline = within(timeout, lambda: leader.guideline(request), "guideline")
        if not guideline.text.strip():
            raise MalformedReply("the guideline is empty", hint="the leader gave no text", reason="empty")
    except MemagentError as error:
        return None, (error,)
    return guideline, ()


def _bytes(message: GuidelineRequest | Guideline) -> bytes:
    return json.dumps(message.to_json(), ensure_ascii=False).encode("utf-8", "surrogatepass")
