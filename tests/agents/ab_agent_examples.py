"""Visitors played by models that read what they are sent: a film lover who opens one genre, and others."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ab_examples import CATALOGUE, IDS, FixedArm, people

from memagent.agents.ab.agent import AgentPolicy, AgentSettings, BankedMemory, Histories
from memagent.agents.ab.experiment import Experiment
from memagent.agents.ab.ratings import Dataset, split
from memagent.agents.ab.sandbox import Layout
from memagent.agents.ab.synthetic import synthetic
from memagent.agents.ab.users import User
from memagent.llm import Prompt
from memagent.testing import HashingEncoder, ScriptedModel

ITEM = re.compile(r'<item position="(\d+)"( opened="yes")?[^>]*>\n(.*?)\n</item>', re.DOTALL)
Said = dict[str, Any]


def part(prompt: Prompt[Any], name: str) -> str:
    """What stands in an element of the user text."""
    found = re.search(rf"<{name}\b[^>]*>\n(.*?)\n</{name}>", prompt.user, re.DOTALL)
    return found[1] if found else ""


def said(action: str, *, interest: object = 3, reason: str = "so it is", **more: object) -> str:
    return json.dumps({"reason": reason, "interest": interest, "action": action, **more})


OPINION = json.dumps({"reason": "quite good", "satisfaction": 7, "returns": True})


def fond_of(word: str) -> Callable[[Prompt[Any]], str]:
    """A reader who opens what has a word in it, watches it and gives it 5, and leaves on the third page."""

    def reply(prompt: Prompt[Any]) -> str:
        possible = part(prompt, "possible").split(", ")
        if prompt.name == "ab-list":
            if "click" in possible:
                for position, opened, text in ITEM.findall(prompt.user):
                    if not opened and word in text:
                        return said("click", interest=5, position=int(position))
            third = 'number="3"' in prompt.user
            return said("exit" if third or "next" not in possible else "next", interest=2)
        if prompt.name == "ab-item":
            wanted = next(action for action in ("watch", "rate", "back") if action in possible)
            return said(wanted, interest=5, rating=5 if wanted == "rate" else None)
        if prompt.name == "ab-taste":
            return json.dumps({"taste": f"Loves {word}."})
        return OPINION

    return reply


def memory() -> BankedMemory:
    return BankedMemory(encoder=HashingEncoder(dim=32))


def data() -> tuple[Dataset, Histories]:
    made = synthetic(users=12, items=100)
    return made, Histories(made, split(made.ratings).train)


def policy(model: ScriptedModel, histories: Histories | None = None, **options: Any) -> AgentPolicy:
    kept = {name: options.pop(name) for name in ("memory", "posters", "keep_memories") if name in options}
    return AgentPolicy(model, histories, **{"memory": memory(), **kept}, settings=AgentSettings(**options))


def somebody(number: int) -> list[User]:
    """People whom a model can tell apart."""
    return [replace(user, profile={"age": str(20 + place)}) for place, user in enumerate(people(number))]


def experiment(by: AgentPolicy, *, users: int = 3, **settings: Any) -> Experiment:
    """Two arms over the small catalogue: one shows odd films (dramas) first, one even ones (comedies and war films)."""
    arms = [FixedArm(IDS[1:11:2] + IDS[:11:2], "dramas"), FixedArm(IDS[:11:2] + IDS[1:11:2], "comedies")]
    defaults: dict[str, Any] = {"arms": arms, "block": 1}
    return Experiment(catalogue=CATALOGUE, users=somebody(users), policy=by, **{**defaults, **settings})


def killing(marked: str, kept: Path) -> Callable[[Prompt[Any]], str]:
    """A reader whose process is killed, as by ``kill -9``, when a visitor comes, but not before a file is there."""
    reply = fond_of("War")

    def die(prompt: Prompt[Any]) -> str:
        if marked in part(prompt, "person").splitlines():
            while not kept.exists():
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGKILL)
        return reply(prompt)

    return die


def resumable(reply: Callable[[Prompt[Any]], Any], cache: Path, **settings: Any) -> Experiment:
    """Five users with a reply cache, four at once if nothing else is said."""
    model = ScriptedModel(reply, cache=cache, **settings.pop("model", {}))
    return experiment(policy(model), users=5, layout=Layout(max_pages=1), **{"concurrency": 4, **settings})


if __name__ == "__main__":  # run by a test, which expects it to be killed
    folder, replies = Path(sys.argv[1]), Path(sys.argv[2])
    fifth = resumable(fond_of("War"), replies).in_order()[4].profile["age"]
    resumable(killing(f"age: {fifth}", folder / "parts" / "000001.jsonl"), replies, concurrency=2).run(folder)
