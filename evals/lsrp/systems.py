"""The systems that are compared: ways of writing that are run, and choosers that are looked up in what these made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from memagent.agents.lsrp.ports import Choice
from memagent.agents.lsrp.strategies import GENERAL, STYLES
from memagent.errors import InvalidInput, UnknownName
from memagent.evals.lsrp.arms import ARMS, STRATEGIES

NEIGHBOURS, MODEL, ORACLE = "u-u-rag", "model-chosen", "oracle"
NAMES = (NEIGHBOURS, MODEL, ORACLE, *ARMS)
DEFAULT = (GENERAL, *STYLES, NEIGHBOURS, MODEL, ORACLE, "alone", "leader-alone", "sketch")
PUBLISHED_K = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A row of the table. ``choices``: what is picked for each case by its id; empty where ``arm`` is always taken."""

    label: str
    arm: str = ""
    choices: Mapping[str, Choice] = field(default_factory=dict)

    def picked(self, case: str) -> str | None:
        """The arm that stands for the system in a case; None where it picks none."""
        if self.arm:
            return self.arm
        choice = self.choices.get(case)
        return None if choice is None else choice.strategy


def wanted_systems(names: Sequence[str] | None, *, learnt: bool) -> tuple[str, ...]:
    """The systems named, each once; all of them by default, U-U-RAG only where there is something to learn from.

    Raises UnknownName for one that does not exist, and InvalidInput for U-U-RAG without training records.
    """
    if unknown := [name for name in names or () if name not in NAMES]:
        raise UnknownName(f"unknown system {unknown[0]!r}", hint=f"use one of {', '.join(NAMES)}")
    if not names:
        return tuple(name for name in DEFAULT if learnt or name != NEIGHBOURS)
    if NEIGHBOURS in names and not learnt:
        raise InvalidInput("there is nothing for u-u-rag to learn from", hint="pass more records, or --train")
    return tuple(dict.fromkeys(names))


def needed_arms(systems: Sequence[str], baseline: str) -> tuple[str, ...]:
    """What has to be run: choosers, regret and the comparison with a strategy need all strategies."""
    chosen = {name for name in systems if name in ARMS}
    styled = any(name in (NEIGHBOURS, MODEL, ORACLE, *STRATEGIES) for name in (*systems, baseline))
    return tuple(arm for arm in ARMS if arm in chosen or arm == baseline or (styled and arm in STRATEGIES))


def neighbour_numbers(text: str) -> tuple[int, ...]:
    """The numbers of neighbours that vote, one or several with commas between; raises InvalidInput."""
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise InvalidInput(f"--k {text!r} is no list of numbers above 0", hint="for example 5, or 1,3,5,10")
    return tuple(dict.fromkeys(numbers))
