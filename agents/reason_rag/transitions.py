"""What comes next: the published transitions and budgets, as plain functions of a state."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from memagent.agents.reason_rag.state import Action, State, Step, Stopped
from memagent.errors import InvalidInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long a trajectory may become.

    ``max_iter`` is the released code's: after so many outputs the next one is a forced answer, so that there are at
    most ``max_iter`` + 1 calls and ``max_iter`` // 2 searches; 0 forces an answer at once. ``max_repeats``: how often
    one query may come back (letter case and spaces aside) before an answer is forced; None, as published: the budget
    alone ends it. ``answer_again``: an answer given with the last output before the budget is spent is followed by a
    forced one all the same, as in the released tree search.
    """

    max_iter: int = 8
    max_repeats: int | None = 1
    answer_again: bool = False

    def __post_init__(self) -> None:
        if type(self.max_iter) is not int or self.max_iter < 0:
            raise InvalidInput(f"max_iter is {self.max_iter!r}", hint="max_iter is a whole number, at least 0")
        if self.max_repeats is not None and (type(self.max_repeats) is not int or self.max_repeats < 0):
            raise InvalidInput(f"max_repeats is {self.max_repeats!r}", hint="max_repeats is 0 or more, or None")

    @classmethod
    def of_rounds(cls, rounds: int, *, max_repeats: int | None = 1) -> Budget:
        """The budget with exactly so many searches at most; 0 answers without any."""
        return cls(max_iter=2 * rounds, max_repeats=max_repeats)


INFERENCE = Budget()
"""The agent's own: at most 9 calls and 4 searches."""
INFERENCE_AS_PUBLISHED = Budget(max_repeats=None)
TREE_SEARCH = Budget(max_iter=7)
"""Data building: at most 8 calls and 3 searches."""
TREE_SEARCH_AS_PUBLISHED = Budget(max_iter=7, max_repeats=None, answer_again=True)


def next_action(state: State, budget: Budget = INFERENCE) -> Action | None:
    """The prompt that comes next; None if the trajectory has ended.

    A ``ground`` is preceded by a search for ``state.query``.
    """
    if state.stopped is not None:
        return None
    if force_reason(state, budget) is not None:
        return "force"
    if not state.steps:
        return "begin"
    return "ground" if state.steps[-1].kind == "query" else "reason"


def force_reason(state: State, budget: Budget = INFERENCE) -> Stopped | None:
    """Why the next prompt is a forced answer; None if it is not."""
    if len(state.steps) >= budget.max_iter:
        return "budget"
    last = state.steps[-1] if state.steps else None
    if last is not None and last.kind == "unknown":
        return "unknown-output"
    if last is not None and last.kind == "query" and budget.max_repeats is not None:
        asked = Counter(map(_folded, state.queries))
        if asked[_folded(last.content or "")] - 1 > budget.max_repeats:
            return "repeated-query"
    return None


def advanced(state: State, step: Step, budget: Budget = INFERENCE) -> State:
    """The state after an output: it ends with an answer and after a forced one, whatever that says."""
    if step.action == "force":
        return state.with_step(step, force_reason(state, budget) or "budget")
    if step.kind == "answer":
        again = budget.answer_again and len(state.steps) + 1 == budget.max_iter
        return state.with_step(step, None if again else "answered")
    return state.with_step(step)


def stopped_text(state: State) -> str:
    """Why the trajectory stopped, as a sentence for people."""
    if state.stopped is None:
        return "It has not ended yet."
    told = {
        "answered": "It gave an answer.",
        "budget": f"The budget was spent after {len(state.steps) - 1} outputs, and an answer was forced.",
        "unknown-output": "An output held no query, evidence or answer where it should, and an answer was forced.",
        "repeated-query": f"The query {state.query!r} came back again, and an answer was forced.",
        "prompt-too-long": "The next prompt would have been longer than the model's input limit.",
    }[state.stopped]
    return told if state.answer is not None or state.stopped == "prompt-too-long" else f"{told} None could be read."


def _folded(query: str) -> str:
    return " ".join(query.casefold().split()).rstrip("?.! ")
