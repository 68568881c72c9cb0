"""From names on a command line to the systems of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from memagent.agents.reason_rag.steps import StepSettings
from memagent.errors import InvalidInput, UnknownName
from memagent.evals.multihop.systems import Direct, IRCoT, OneShot, ReasonRag, SearchO1, System, with_rounds

if TYPE_CHECKING:
    from memagent.agents.reason_rag.searching import Searcher

NAMES = ("none", "rag", "reason-rag", "search-o1", "ircot")
DEFAULT = ("none", "rag", "reason-rag")


def chosen_systems(
    names: Sequence[str],
    searchers: Mapping[str, Searcher],
    *,
    settings: StepSettings,
    rounds: Sequence[int],
) -> tuple[System, ...]:
    """The systems of ``names`` (see ``NAMES``), those that search once for each searcher, by the searcher's label.

    One search is made for ``top_k`` passages, and for as many as the agent may see in the most of ``rounds``. Loops
    are made with each number of ``rounds``. Raises UnknownName, InvalidInput.
    """
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise UnknownName(f"unknown systems {unknown or 'none given'}", hint=f"use some of {', '.join(NAMES)}")
    made: list[System] = []
    for name in dict.fromkeys(names):
        if name == "none":
            made.append(Direct(settings=settings))
        else:
            for label, searcher in searchers.items():
                made += _searching(name, label, searcher, settings, tuple(dict.fromkeys(rounds)))
    return tuple(made)


def _searching(
    name: str, retriever: str, searcher: Searcher, settings: StepSettings, rounds: Sequence[int]
) -> Iterator[System]:
    if name == "rag":
        for k in dict.fromkeys((settings.top_k, settings.top_k * max((1, *rounds)))):
            yield OneShot(label=f"rag@{k} {retriever}", searcher=searcher, top_k=k, settings=settings)
        return
    for most in rounds:
        label = f"{name} {retriever}" if len(rounds) == 1 else f"{name} {retriever} rounds={most}"
        own = with_rounds(settings, most)
        if name == "reason-rag":
            yield ReasonRag(label=label, searcher=searcher, settings=own)
        elif name == "search-o1":
            yield SearchO1(label=label, searcher=searcher, settings=own)
        else:
            yield IRCoT(label=label, searcher=searcher, top_k=settings.top_k, rounds=most, settings=settings)


def round_numbers(text: str) -> tuple[int, ...]:
    """The numbers of searches named on the command line; raises InvalidInput."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InvalidInput(f"--rounds {text!r} is not a list of numbers", hint="for example 0,1,2,4,8") from None
    if any(number < 0 for number in numbers):
        raise InvalidInput(f"--rounds {text!r} holds a negative number", hint="0 answers without any search")
    return numbers
