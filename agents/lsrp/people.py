"""Example users that come with memagent: made-up people with a profile, earlier texts, and tasks of both kinds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import PrivateTask, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleUser:
    """A made-up user; each of ``tasks`` has the user's profile and history."""

    id: str
    profile: dict[str, str]
    history: tuple[Written, ...]
    tasks: tuple[PrivateTask, ...]


@cache
def example_users() -> tuple[ExampleUser, ...]:
    """The users. Nobody of them exists; names, numbers and addresses are invented."""
    text = files("memagent").joinpath("data", "lsrp", "users.json").read_text(encoding="utf-8")
    found = []
    for one in json.loads(text):
        history = tuple(Written(title=text["title"], text=text["text"]) for text in one["history"])
        tasks = tuple(
            PrivateTask(
                text=task["text"], task_type=TaskType(task["task_type"]), profile=one["profile"], history=history
            )
            for task in one["tasks"]
        )
        found.append(ExampleUser(id=one["id"], profile=one["profile"], history=history, tasks=tasks))
    return tuple(found)
