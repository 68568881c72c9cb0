"""What the device's graph keeps: JSON values only, so that any checkpointer of LangGraph can hold it.

All of it is private and stays where the device's checkpointer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import Checked, Choice, Finding, PrivateTask, Verdict, Written
from memagent.answering.values import Evidence
from memagent.errors import InvalidInput
from memagent.llm.reply import Usage


class Problem(TypedDict):
    """Something that went wrong and was got over: at which node, the error's class, and what it says."""

    node: str
    error: str
    message: str


class DeviceInput(TypedDict):
    """What the graph is given: :func:`task_to_json` of a task."""

    task: dict[str, Any]


class DeviceState(DeviceInput):
    """What the graph keeps; a key is None until its node has run.

    ``guideline``: the leader's text with the private texts put back; None too where the device writes alone.
    ``received``: the same as it came. ``memories``: what was found for the task, best first; ``used`` and
    ``writings``: the ids of those, and the titles of the earlier texts, that the model was shown. ``draft``: the
    model's text, ``answer``: the same with the private texts put back; ``leftover`` counts placeholders that are still
    in it. ``bytes``: what crossed, ``up`` and ``down``. ``ms``: milliseconds by node.
    """

    choice: dict[str, Any] | None
    checked: dict[str, Any] | None
    received: str | None
    guideline: str | None
    memories: list[dict[str, Any]] | None
    used: list[str] | None
    draft: str | None
    truncated: bool
    usage: dict[str, Any] | None
    answer: str | None
    leftover: int
    problems: list[Problem]
    bytes: dict[str, int]
    ms: dict[str, float]
    writings: list[str] | None
    prompt: str | None


def task_to_json(task: PrivateTask) -> dict[str, Any]:
    """A task as JSON values."""
    return {
        "text": task.text,
        "task_type": task.task_type.value,
        "profile": dict(task.profile),
        "history": [{"title": one.title, "text": one.text} for one in task.history],
    }


def readable(task: PrivateTask) -> PrivateTask:
    """The task itself; raises InvalidInput for an empty one, for values that are no text, and for lone surrogates."""
    texts: list[Any] = [task.text, *task.profile, *task.profile.values()]  # text, if callers keep to the types
    texts += [text for one in task.history for text in (one.title, one.text)]
    wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
    if wrong:
        raise InvalidInput(f"{wrong[0]} stands where text should", hint="profile and history hold text")
    if not task.text.strip():
        raise InvalidInput("the task is empty", hint="say what is to be written")
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidInput("the task, or what is known of the user, holds a lone surrogate", hint="decode it") from None
    return task


def task_from_json(value: Mapping[str, Any]) -> PrivateTask:
    """What :func:`task_to_json` has written."""
    return PrivateTask(
        text=value["text"],
        task_type=TaskType(value["task_type"]),
        profile=dict(value["profile"]),
        history=tuple(Written(title=one["title"], text=one["text"]) for one in value["history"]),
    )


def choice_to_json(choice: Choice) -> dict[str, Any]:
    """A choice as JSON values."""
    return {"strategy": choice.strategy, "reason": choice.reason, "votes": dict(choice.votes)}


def choice_from_json(value: Mapping[str, Any]) -> Choice:
    """What :func:`choice_to_json` has written."""
    return Choice(strategy=value["strategy"], reason=value["reason"], votes=dict(value["votes"]))


def checked_to_json(checked: Checked) -> dict[str, Any]:
    """A guard's verdict as JSON values."""
    return {
        "verdict": checked.verdict.value,
        "text": checked.text,
        "placeholders": dict(checked.placeholders),
        "findings": [
            {"start": one.start, "end": one.end, "kind": one.kind, "found_by": one.found_by} for one in checked.findings
        ],
    }


def checked_from_json(value: Mapping[str, Any]) -> Checked:
    """What :func:`checked_to_json` has written."""
    return Checked(
        verdict=Verdict(value["verdict"]),
        text=value["text"],
        placeholders=dict(value["placeholders"]),
        findings=tuple(Finding(**one) for one in value["findings"]),
    )


def memory_to_json(memory: Evidence) -> dict[str, Any]:
    """A memory as JSON values."""
    return {
        "id": memory.id,
        "session_id": memory.session_id,
        "text": memory.text,
        "said_at": memory.said_at.isoformat(),
        "key": memory.key,
        "score": memory.score,
    }


def memory_from_json(value: Mapping[str, Any]) -> Evidence:
    """What :func:`memory_to_json` has written."""
    return Evidence(**{**value, "said_at": datetime.fromisoformat(value["said_at"])})


def usage_to_json(usage: Usage) -> dict[str, Any]:
    """Tokens as JSON values."""
    return {"input": usage.input, "output": usage.output, "cached": usage.cached, "estimated": usage.estimated}


def begun(task: PrivateTask) -> DeviceState:
    """The state before the first node."""
    return {
        "task": task_to_json(task),
        "choice": None,
        "checked": None,
        "received": None,
        "guideline": None,
        "memories": None,
        "used": None,
        "draft": None,
        "truncated": False,
        "usage": None,
        "answer": None,
        "leftover": 0,
        "problems": [],
        "bytes": {"up": 0, "down": 0},
        "ms": {},
        "writings": None,
        "prompt": None,
    }
