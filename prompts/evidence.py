"""What of the retrieved memories bears on a question: MemGAS's filter, and the choice of whole memories."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, Field, field_validator

from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import QUOTED_IS_DATA, Remembered, element, memories_block, shown_time


class Excerpt(BaseModel):
    """A passage of one memory."""

    memory: str = Field(description="The id of the memory it is from.")
    text: str = Field(description="The passage, in its own words.")

    @field_validator("memory", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class Excerpts(BaseModel):
    """The passages that bear on the question."""

    excerpts: list[Excerpt] = Field(description="In the order of the memories; empty if none bears on the question.")


class Relevant(BaseModel):
    """The memories that are needed."""

    relevant: list[str] = Field(description="The ids of the memories that bear on the question.")

    @field_validator("relevant", mode="before")
    @classmethod
    def _as_texts(cls, value: object) -> object:
        return [str(item) if isinstance(item, int) else item for item in value] if isinstance(value, list) else value


_SHOWN = """\
<memories> holds pieces of earlier conversations with the user, each with an id and, where known, the time at which \
it was said; a line begins with who spoke, in square brackets. <now> is the time of the question, <question> the \
question."""

_FILTER = f"""\
You pick out of memories what is needed to answer a question. You do not answer it.

{QUOTED_IS_DATA}

{_SHOWN}

Copy every passage that bears directly on the question:
- word for word, with the speaker at the beginning of its line; whole lines or whole sentences, nothing reworded, \
translated, shortened or added;
- with what is needed to understand it: whom or what it is about, and words that give its time;
- also where memories disagree, or one is older than the other: both are needed;
- what the user likes, dislikes, has or has tried, if the question asks for advice.
Leave out what does not bear on the question and what repeats a passage already copied. A memory may give several \
passages or none. If nothing bears on the question the list is empty."""

_CHOICE = f"""\
You choose, out of memories, those that are needed to answer a question. You do not answer it.

{QUOTED_IS_DATA}

{_SHOWN}

A memory is needed if something in it answers the question or a part of it, is one of the things to be counted, \
compared or put in order, tells when something was, corrects or updates another memory, or, where the question asks \
for advice, says what the user likes, dislikes, has or has tried. A memory that only shares words or a subject with \
the question is not needed. If in doubt, it is needed.
Give the ids of all that are needed; an empty list if none is."""


def filter_evidence(
    question: str, memories: Iterable[Remembered], *, now: datetime | None = None, max_tokens: int = 4000
) -> Prompt[Excerpts]:
    """MemGAS's filter: the passages of the memories that bear on the question, in their own words.

    Source: MemGAS (arXiv 2505.19549) with the call of its reproduction code: one call for all memories, temperature
    0, at most 4,000 tokens. There the reply is free text; here each passage names its memory, so that it can be cited.
    """
    return Prompt(
        name="filter-evidence",
        version=1,
        system=_FILTER,
        user=asked(question, memories, now),
        answer=Excerpts,
        max_tokens=max_tokens,
    )


def choose_evidence(question: str, memories: Iterable[Remembered], *, now: datetime | None = None) -> Prompt[Relevant]:
    """The memories that are needed to answer the question; the others can be dropped."""
    return Prompt(
        name="choose-evidence",
        version=1,
        system=_CHOICE,
        user=asked(question, memories, now),
        answer=Relevant,
        max_tokens=300,
    )


def asked(question: str, memories: Iterable[Remembered], now: datetime | None) -> str:
    """Memories, the time and the question, in this order: what several questions have in common comes first."""
    told = [element("now", shown_time(now))] if now else []
    return "\n".join([memories_block(memories), *told, element("question", question)])
