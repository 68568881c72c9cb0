"""How a tree is searched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from memagent.agents.reason_rag.selection import RELEASED, Selection
from memagent.agents.reason_rag.steps import StepSettings
from memagent.agents.reason_rag.transitions import TREE_SEARCH, TREE_SEARCH_AS_PUBLISHED, Budget
from memagent.errors import InvalidInput
from memagent.prompts.reason_rag import Wording

SAMPLED = StepSettings(budget=TREE_SEARCH, temperature=1.0, best_last=True)
"""A policy's steps in a search: at most 3 retrievals, sampled, the best document last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """Tree search; the defaults are those of ReasonRAG's released code, ``keep_repeats`` aside.

    ``iterations`` a question, each with one visit of a leaf; at most ``max_children`` outputs after one prompt,
    sampled as ``step`` says. Its temperature is above 0: a greedy policy gives every node the same child twice, and no
    pair. ``keep_repeats``: an output that repeats an elder sibling word by word is a node like any other, and takes
    visits (released); without it such an output uses up one of ``max_children`` and leaves nothing else, as it makes no
    pair, and what follows it answers the same prompts once more. ``rejudge``: a terminal leaf that is selected again is
    judged again (released); without it the judge's last value counts once more and costs nothing.
    ``judge_tokens`` and ``judge_temperature`` are the judge's.
    """

    iterations: int = 64
    max_children: int = 2
    selection: Selection = RELEASED
    rejudge: bool = True
    keep_repeats: bool = False
    judge_tokens: int = 512
    judge_temperature: float = 0.0
    step: StepSettings = SAMPLED

    def __post_init__(self) -> None:
        for name in ("iterations", "max_children", "judge_tokens"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InvalidInput(f"{name} is {value!r}", hint=f"{name} is a whole number, at least 1")
        if not 0 <= self.judge_temperature <= 2:
            raise InvalidInput(f"judge_temperature is {self.judge_temperature}", hint="it lies between 0 and 2")
        if self.step.temperature <= 0 and self.max_children > 1:
            raise InvalidInput(
                "the policy's temperature is 0, and all children of a node would be the same",
                hint="use a temperature above 0, for example 1.0",
            )

    def to_json(self) -> dict[str, Any]:
        """As JSON values: all that the outputs, the judge's values and the prompts depend on."""
        made = asdict(replace(self, step=replace(self.step, count=len)))
        step = made["step"]
        del step["count"]
        now = self.step.wording.now
        step["wording"]["now"] = now.isoformat() if now else None
        return made

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SearchSettings:
        """What :meth:`to_json` has written."""
        step = dict(value["step"])
        wording = dict(step["wording"])
        wording["now"] = datetime.fromisoformat(wording["now"]) if wording["now"] else None
        step |= {"wording": Wording(**wording), "budget": Budget(**step["budget"])}
        return cls(**{**value, "selection": Selection(**value["selection"]), "step": StepSettings(**step)})


AS_PUBLISHED = SearchSettings(keep_repeats=True, step=replace(SAMPLED, budget=TREE_SEARCH_AS_PUBLISHED))
"""The released search with its quirks: repeated siblings are nodes, a query may come back any number of times, and an
answer with the last output is followed by a forced one."""
PRESET = SearchSettings()
"""The defaults."""
