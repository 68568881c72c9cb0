"""A sample of each of LSRP's prompts, with each quoted text given from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memagent.agents.lsrp.messages import TaskType
from memagent.agents.lsrp.ports import PrivateTask, Written
from memagent.prompts.lsrp import alone, choose_style, leader, leader_alone, sketch, subordinate
from memagent.prompts.lsrp_strategies import GENERAL, STYLES, Strategy
from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import Remembered

Sample = Callable[[str], Prompt[Any]]


def private(text: str, kind: TaskType) -> PrivateTask:
    profile = {"name": text, "city": "Graz", "age": ""}
    history = (Written(title=text, text=text), Written(title="", text="x"))
    return PrivateTask(text=text, task_type=kind, profile=profile, history=history)


def _led(strategy: Strategy, kind: TaskType, *, examples: bool = True) -> Sample:
    return lambda text: leader(text, strategy, kind, examples=examples)


def _of(kind: TaskType) -> dict[str, Sample]:
    def seen(text: str) -> list[Remembered]:
        return [Remembered(label="m1", text=text)]

    return {
        f"lsrp-sketch-{kind}": lambda text: sketch(text, kind),
        f"lsrp-leader-alone-{kind}": lambda text: leader_alone(text, kind),
        f"lsrp-subordinate-{kind}": lambda text: subordinate(text, private(text, kind), seen(text)),
        f"lsrp-alone-{kind}": lambda text: alone(private(text, kind), seen(text)),
        f"lsrp-leader-bare-general-{kind}": _led(GENERAL, kind, examples=False),
        **{f"lsrp-leader-{one.name}-{kind}": _led(one, kind) for one in (*STYLES, GENERAL)},
    }


LSRP: dict[str, Sample] = {
    **_of(TaskType.WRITING),
    **_of(TaskType.EXPLANATION),
    "lsrp-choose-style": lambda text: choose_style(private(text, TaskType.WRITING), STYLES),
}
