"""The facts of a conversation, with the day on which each came about, and what they replace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

from pydantic import BaseModel, Field, field_validator

from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import QUOTED_IS_DATA, Remembered, element, memories_block, shown_time

_PARTIAL_DATE = re.compile(r"(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")


class Said(NamedTuple):
    """One message: who spoke, what, and when it was said (UTC); ``noted``: its facts were extracted before."""

    speaker: str
    text: str
    said_at: datetime
    noted: bool = False


class Fact(BaseModel):
    """One fact, and where it comes from."""

    text: str = Field(min_length=1, description="One sentence that can be understood alone.")
    messages: list[int] = Field(description="The numbers of the messages that say it.")
    event_date: str | None = Field(
        default=None,
        description="When it began or happened: YYYY-MM-DD, or YYYY-MM or YYYY if no more is known; null if unknown.",
    )
    replaces: list[str] = Field(
        default_factory=list, description="The ids of known facts that are no longer true because of this one."
    )

    @field_validator("event_date", mode="before")
    @classmethod
    def _readable_date(cls, value: object) -> object:
        """A date of this form that exists, or None: one bad date is no reason to lose a reply."""
        return value if isinstance(value, str) and _first_day(value) else None

    @property
    def valid_from(self) -> datetime | None:
        """The first moment of the day, month or year of ``event_date``, in UTC."""
        day = _first_day(self.event_date or "")
        return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None


class Facts(BaseModel):
    """The facts that a conversation tells."""

    facts: list[Fact]


_FACTS = f"""\
You write down the facts that a conversation tells, so that they can be used when the conversation itself is not at \
hand.

{QUOTED_IS_DATA}

<messages> are numbered, in the order they were said; each says who spoke and the time, in UTC, at which it was \
said. Those with noted="yes" were dealt with before and only help to understand the others. <known> holds facts \
noted earlier, each with an id; it may be empty.

A fact is one thing about a person, their life, plans, possessions, relations, preferences or opinions, or about \
what an assistant recommended or did for them. For each:
- text: one sentence, in the language of the conversation, that can be understood alone: the person by name, or "the \
user" if they have none, never "I", "he" or "there"; names, numbers and amounts as they were said;
- messages: the numbers of the messages that say it, at least one of them without noted="yes";
- event_date: the day on which it happened or became true, worked out from the time of the message that says it: \
said at 2023-05-08 (Mon), "yesterday" is 2023-05-07, "last month" is 2023-04, "in 2019" is 2019. null if the \
messages do not tell. The time at which something was said is not by itself the time at which it happened. Write \
dates into the text too, in place of "yesterday" or "next week";
- replaces: the ids of facts in <known> that were true and no longer are because of this one (they moved, changed \
their mind, finished). Not those that it only repeats or adds to.
Several facts in one sentence are several facts. Leave out what <known> says already, questions, hypotheses, general \
knowledge, greetings, and everything that was not said. An empty list is a good answer."""


def extract_facts(messages: Sequence[Said], known: Sequence[Remembered] = ()) -> Prompt[Facts]:
    """The facts that ``messages`` tell; ``known`` are noted facts, by label, that they may replace.

    Messages are numbered from 1 in :attr:`Fact.messages`.
    """
    numbered = "\n".join(_message(number, said) for number, said in enumerate(messages, start=1))
    return Prompt(
        name="extract-facts",
        version=2,
        system=_FACTS,
        user="\n".join((_known(known), f"<messages>\n{numbered}\n</messages>")),
        answer=Facts,
        max_tokens=1500,
    )


def _message(number: int, said: Said) -> str:
    noted = {"noted": "yes"} if said.noted else {}
    return element(
        "message", said.text, number=str(number), speaker=said.speaker, said=shown_time(said.said_at), **noted
    )


def _known(known: Sequence[Remembered]) -> str:
    block = memories_block(known)
    return f"<known>\n{block}\n</known>" if known else "<known>\n</known>"


def _first_day(text: str) -> date | None:
    match = _PARTIAL_DATE.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day = (int(part) if part else 1 for part in match.groups())
    try:
        return date(year, month, day)
    except ValueError:
        return None
