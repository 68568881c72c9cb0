"""A made-up user, and tasks of hers."""

from __future__ import annotations

from typing import Any

from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import PrivateTask, Written

PROFILE = {
    "name": "Anna Kovalenko",
    "age": "31",
    "sex": "F",
    "city": "New Haven",
    "occupation": "primary school teacher",
    "health": "asthma",
    "birthday": "14 March 1987",
}
HISTORY = (
    Written(
        title="A weekend",
        text="My sister Olena and I went to Bergen in 2019 and paid 12,500 kroner. Write to olena.k@mail.example!",
    ),
)


def task(text: str, profile: dict[str, str] | None = None, **given: Any) -> PrivateTask:
    return PrivateTask(
        text=text,
        task_type=TaskType.WRITING,
        profile=PROFILE if profile is None else profile,
        history=given.get("history", HISTORY),
    )
