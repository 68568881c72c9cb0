"""LSRP's leadership strategies as values: each is wording for the leader's prompt, and nothing else.

The four styles are those of path-goal leadership theory (House 1971; House and Mitchell 1974), which LSRP takes over;
``general`` is its strategy without a style. All wording here is our own.

In the released code of LSRP the writing texts of two styles are shuffled: the one named participative pushes for
excellence, and the one named achievement mixes direction, support and ambition. Here each name stands for its style,
so figures for these two names do not compare with those of the released code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from memagent.errors import InvalidInput, UnknownName
from memagent.prompts.lsrp_examples import EXPLANATIONS, WRITINGS, Example

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worded:
    """How a strategy is put for one type of task: instructions to the leader, and worked examples behind them."""

    instructions: str
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A way to lead: its name, one line about it, and its wording for writing and for explanation tasks.

    The name crosses to the cloud: lower-case letters, digits and hyphens, at most 40. Raises InvalidInput for another
    name and for a wording without instructions.
    """

    name: str
    summary: str
    writing: Worded
    explanation: Worded

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(
                f"{self.name!r} is no name of a strategy", hint="lower-case letters, digits and hyphens, at most 40"
            )
        for kind, worded in (("writing", self.writing), ("explanation", self.explanation)):
            if not worded.instructions.strip():
                raise InvalidInput(f"strategy {self.name!r} has no instructions for {kind} tasks", hint="write some")

    def worded(self, task_type: str) -> Worded:
        """The wording for a type of task; raises UnknownName for any but the two."""
        if task_type == "writing":
            return self.writing
        if task_type == "explanation":
            return self.explanation
        raise UnknownName(f"there is no task type {task_type!r}", hint="one of writing, explanation")


def _strategy(name: str, summary: str, writing: str, explanation: str) -> Strategy:
    return Strategy(
        name=name,
        summary=summary,
        writing=Worded(instructions=writing, examples=WRITINGS[name]),
        explanation=Worded(instructions=explanation, examples=EXPLANATIONS[name]),
    )


DIRECTIVE = _strategy(
    "directive",
    "clear orders: what to do, in which order, to which standard",
    """\
Lead by direction. Decide everything that can be decided without the user's data, and say it as orders. Number the \
steps, say for each what it must contain, which kind of private detail belongs there, how long it is and in which \
tone. Leave no choice open and allow no departure from the plan.""",
    """\
Lead by direction. Give numbered orders. Each names one side of the matter to be covered, the kind of private detail \
to compare it with, and how the sentence is to conclude. Fix their order and leave no choice open.""",
)

SUPPORTIVE = _strategy(
    "supportive",
    "a flexible outline, warmth and encouragement",
    """\
Lead by support. Give a light outline that may be changed, say which part is likely to be hard and how to make it \
easy, and show trust in the assistant's feeling for the user. The tone is warm; suggest, and do not order.""",
    """\
Lead by support. Suggest a few points that could be covered, with an easy way into each, and let the assistant leave \
out what does not fit the user. Reassure: an honest, simple reason is a good reason. Suggest, and do not order.""",
)

PARTICIPATIVE = _strategy(
    "participative",
    "questions and options, so that the subordinate's knowledge decides",
    """\
Lead by participation. The assistant knows the user and you do not: put the decisions to it. Offer two or three ways \
in which the text could go, ask the questions whose answers in the user's data settle which is best, and invite ideas \
of its own before it writes.""",
    """\
Lead by participation. For each point put a question that only somebody who knows the user can answer, offer two \
possible readings, and ask the assistant to weigh them and to add what you could not think of.""",
)

ACHIEVEMENT = _strategy(
    "achievement",
    "a high bar: ambition, originality, excellence",
    """\
Lead by achievement. Set a high bar and say what an outstanding text would do that a good one does not. Demand an \
original angle, exact and unexpected private details, sentences that no other user could have sent, and a last look \
that strikes out whatever is ordinary.""",
    """\
Lead by achievement. Demand reasons of a depth that surprises the user: connections between distant parts of their \
life and the matter, no commonplace, and a conclusion that is sharp enough to be wrong. Say what sets an outstanding \
explanation apart from a good one.""",
)

GENERAL = _strategy(
    "general",
    "a plain guideline without a style",
    """\
Write a plain guideline: what the text is for, which parts it should have and in which order, which kinds of private \
detail make it personal, and which tone fits.""",
    """\
Write a plain guideline: which sides of the matter count, which kinds of private detail to compare each with, and what \
the explanation should conclude.""",
)

STYLES: tuple[Strategy, ...] = (DIRECTIVE, SUPPORTIVE, PARTICIPATIVE, ACHIEVEMENT)
"""In the order of the published index: 0 to 3."""
