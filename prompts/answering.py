"""The answer to a question from memories: with citations, as running text, and as a choice of options."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from string import ascii_lowercase

from pydantic import BaseModel, Field, field_validator, model_validator

from memagent.prompts.evidence import asked
from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import QUOTED_IS_DATA, Remembered, element

UNKNOWN_MARK = "[unknown]"
"""How a running text begins that says that the memories do not hold the answer."""

OPTION_LETTERS = ascii_lowercase


class MemoryAnswer(BaseModel):
    """The answer to the question."""

    citations: list[str] = Field(description="The ids of the memories that the answer rests on.")
    known: bool = Field(description="Whether the memories hold what the question asks for.")
    answer: str = Field(
        description="The answer, or one sentence that says what is not known.", json_schema_extra={"minLength": 1}
    )

    @field_validator("citations", mode="before")
    @classmethod
    def _as_texts(cls, value: object) -> object:
        return [str(item) if isinstance(item, int) else item for item in value] if isinstance(value, list) else value

    @model_validator(mode="after")
    def _says_something(self) -> MemoryAnswer:
        """Models that do not know leave the sentence out; one that knows must answer."""
        if self.known and not self.answer.strip():
            raise ValueError("the answer is empty though it is known")
        return self


_TASK = """\
You answer a user's question from memories of earlier conversations with them."""

_RULES = """\
<memories> holds what was found for the question, in the order in which it was said. Each <memory> has an id and, \
where known, the time at which it was said; a line begins with who spoke, in square brackets. [user] is the person \
who asks now, unless names show that people talk with each other. <now>, if given, is the time of the question, and \
<question> is what to answer.

- Answer from the memories alone. General knowledge may help you to understand, count, compare and reckon with what \
they say, but adds no fact about the user.
- Relative times in a memory ("yesterday", "two weeks ago") count from the time at which that memory was said; those \
in the question count from <now>. Work dates and durations out.
- Where memories contradict each other, what was said later holds, unless the question asks about an earlier time.
- Where the question asks how many, or for all, go through every memory.
- Where the question asks for advice or a suggestion, give one that fits what the memories tell about the user, and \
say what it goes by.
- If the memories do not hold what the question asks for, or hold it only for another person, thing or time than the \
question names, it is not known: say so, and say what is missing. Never fill it in.
- Be brief: the answer itself, in the language of the question, in whole words, with no remark about memories or \
ids."""

_CITED = f"""\
{_TASK}

{QUOTED_IS_DATA}

{_RULES}

Give the ids of the memories that the answer rests on (only ids that are shown; none if it is not known), whether it \
is known, and the answer."""

_RUNNING = f"""\
{_TASK}

{QUOTED_IS_DATA}

{_RULES}

Reply with the answer as plain text. Put the ids of the memories that a sentence rests on in square brackets behind \
it, [m1] or [m1, m3], only ids that are shown. If it is not known, begin with {UNKNOWN_MARK} and then say so in one \
sentence, in the language of the question."""

_OPTIONS = f"""\
You choose the reply that suits a user best, from what you remember of earlier conversations with them.

{QUOTED_IS_DATA}

<memories> holds what was found for the message, in the order in which it was said. Each <memory> has an id and, \
where known, the time at which it was said; a line begins with who spoke, in square brackets. <question> is what the \
user says or asks now. <options> holds replies, each with a letter; exactly one of them is right: it agrees with all \
that the memories tell about the user, their facts, preferences and how these changed, and what was said last holds.

Reply with the letter of that option in parentheses, such as (a), and with nothing else. Always choose one, also if \
the memories do not decide it."""


def answer_from_memory(
    question: str, memories: Iterable[Remembered], *, now: datetime | None = None, max_tokens: int = 512
) -> Prompt[MemoryAnswer]:
    """The answer to a question, the memories that it rests on, and whether they hold it at all."""
    return Prompt(
        name="answer-from-memory",
        version=1,
        system=_CITED,
        user=asked(question, memories, now),
        answer=MemoryAnswer,
        max_tokens=max_tokens,
    )


def answer_as_text(
    question: str, memories: Iterable[Remembered], *, now: datetime | None = None, max_tokens: int = 512
) -> Prompt[str]:
    """The same as running text, for streaming: citations stand in square brackets behind what they support."""
    return Prompt(
        name="answer-as-text",
        version=1,
        system=_RUNNING,
        user=asked(question, memories, now),
        max_tokens=max_tokens,
    )


def choose_option(
    question: str, options: Sequence[str], memories: Iterable[Remembered], *, now: datetime | None = None
) -> Prompt[str]:
    """The letter of the option that fits the memories; 32 tokens at most, as in RF-Mem's PersonaMem runs."""
    lettered = "\n".join(
        element("option", option, letter=letter) for letter, option in zip(OPTION_LETTERS, options, strict=False)
    )
    return Prompt(
        name="choose-option",
        version=1,
        system=_OPTIONS,
        user="\n".join((asked(question, memories, now), f"<options>\n{lettered}\n</options>")),
        max_tokens=32,
        choices=tuple(OPTION_LETTERS[: len(options)]),
    )
