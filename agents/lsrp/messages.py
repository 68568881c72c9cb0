"""The two messages that pass between device and cloud, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from memagent.errors import DataError


class TaskType(StrEnum):
    """What kind of text is asked for: it decides the wording of the strategies."""

    WRITING = "writing"
    EXPLANATION = "explanation"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidelineRequest:
    """What goes up: the text of the task, a strategy's name, the kind of task. Nothing of a user has a field here."""

    task: str
    strategy: str
    task_type: TaskType

    def to_json(self) -> dict[str, str]:
        """The message as JSON values."""
        return {"task": self.task, "strategy": self.strategy, "task_type": self.task_type.value}

    @classmethod
    def from_json(cls, values: object) -> Self:
        """The message; raises DataError for anything but an object with exactly these three fields, all of text."""
        found = _texts(values, ("task", "strategy", "task_type"))
        try:
            task_type = TaskType(found["task_type"])
        except ValueError:
            hint = f"one of {', '.join(TaskType)}"
            raise DataError(f"there is no task type {found['task_type']!r}", hint=hint) from None
        return cls(task=found["task"], strategy=found["strategy"], task_type=task_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guideline:
    """What comes down: the leader's text."""

    text: str

    def to_json(self) -> dict[str, str]:
        """The message as JSON values."""
        return {"text": self.text}

    @classmethod
    def from_json(cls, values: object) -> Self:
        """The message; raises DataError for anything but an object with this one field of text."""
        return cls(**_texts(values, ("text",)))


def _texts(values: object, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(values, Mapping) or set(values) != set(names):
        raise DataError("the message has not the fields that it must have", hint=f"exactly {', '.join(names)}")
    wrong = next((name for name in names if not isinstance(values[name], str)), None)
    if wrong is not None:
        raise DataError(f"{wrong} of the message is not text", hint="send a string")
    return dict(values)
