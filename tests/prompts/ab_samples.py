"""Samples of the prompts of simulated visitors, with each quoted text given from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memagent.prompts.ab import (
    Persona,
    Shown,
    Situation,
    decide_on_item,
    decide_on_list,
    interview,
    summarise_taste,
)
from memagent.prompts.prompt import Prompt


def _who(text: str) -> Persona:
    return Persona(profile={"age": "33", "occupation": text}, activity=3, diversity=1, conformity=2, taste=text)


def _situation(text: str) -> Situation:
    return Situation(
        who=_who(text),
        journal=[f'1. on page 1: opened "{text}", interest 4', "2. on its page: went back to the list, interest 2"],
        recalled=[text, "Visit 1 to the site: They saw 8 items."],
        energy=0.4,
        problem=text,
    )


def _item(text: str, **more: Any) -> Shown:
    return Shown(
        title=text,
        genres=(text, "Drama"),
        rating=3.46,
        votes=1234,
        caption=text,
        overview=text,
        details={"directors": text},
        **more,
    )


AB: dict[str, Callable[[str], Prompt[Any]]] = {
    "ab-list": lambda text: decide_on_list(
        _situation(text),
        [_item(text, position=1, opened=True), Shown(title="Heat (1995)", position=2, picture=1)],
        number=2,
        of=3,
        possible=["click", "exit", "next"],
    ),
    "ab-item": lambda text: decide_on_item(
        _situation(text), _item(text), watched=True, rated=4, possible=["back", "rate"]
    ),
    "ab-interview": lambda text: interview(_who(text), _situation(text).journal, text),
    "ab-taste": lambda text: summarise_taste({"age": "33", "occupation": text}, [text, "Watched it."], text),
}
