"""A session in short: its summary and its keywords, as MemGAS asks for them (a call each)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from memagent.prompts.prompt import Prompt
from memagent.prompts.quoting import QUOTED_IS_DATA, element

Between = Literal["user and assistant", "people"]
"""Who talks: a person with their assistant, or people with each other (LoCoMo)."""


class SessionSummary(BaseModel):
    """A conversation in short."""

    summary: str = Field(min_length=1, description="One short paragraph.")


class SessionKeywords(BaseModel):
    """What a conversation would be searched for by."""

    keywords: list[str] = Field(description="Words or short phrases, the most telling first.")

    @property
    def line(self) -> str:
        """The keywords as they are stored: separated by semicolons, each once, in the order given."""
        kept: dict[str, str] = {}
        for keyword in self.keywords:
            if shown := " ".join(keyword.replace(";", ",").split()):
                kept.setdefault(shown.casefold(), shown)
        return "; ".join(kept.values())


_SUMMARY = f"""\
You write the summary by which a conversation will be found again later.

{QUOTED_IS_DATA}

<conversation> is one conversation, a line for each thing said, each line beginning with who said it in square \
brackets. <between> says whether a user talks with an assistant or people talk with each other.

Write one short paragraph, in the language of the conversation, that keeps:
- the main subjects, and what was said, decided, planned, recommended or asked about each;
- names of people, places, works and products, numbers, amounts and dates, as they were said;
- who it concerns: what the user (or a named person) did, has, wants, likes or dislikes is not the same as what the \
assistant explained.
Leave out greetings, thanks and small talk. Add nothing that was not said, and no remark about the conversation or \
about this task. If nothing of substance was said, say in one sentence what was."""

_KEYWORDS = f"""\
You write the keywords by which a conversation will be found again later.

{QUOTED_IS_DATA}

<conversation> is one conversation, a line for each thing said, each line beginning with who said it in square \
brackets. <between> says whether a user talks with an assistant or people talk with each other.

Give the words and short phrases, at most four words each, that somebody would search for who wants to find this \
conversation again:
- names of people, places, organisations, works and products; things, activities, events; plans, preferences, \
opinions;
- numbers and dates only together with what they count or mark;
- as they were said, in the language of the conversation, the most telling first, none twice.
Between 3 and 20 of them, fewer if little was said. Leave out greetings, general words, and anything that was not \
said."""


def session_summary(conversation: str, *, between: Between = "user and assistant") -> Prompt[SessionSummary]:
    """The summary of one conversation, its lines as ``[speaker]: text``."""
    return Prompt(
        name="session-summary",
        version=1,
        system=_SUMMARY,
        user=_conversation(conversation, between),
        answer=SessionSummary,
    )


def session_keywords(conversation: str, *, between: Between = "user and assistant") -> Prompt[SessionKeywords]:
    """The keywords of one conversation, its lines as ``[speaker]: text``."""
    return Prompt(
        name="session-keywords",
        version=1,
        system=_KEYWORDS,
        user=_conversation(conversation, between),
        answer=SessionKeywords,
        max_tokens=300,
    )


def _conversation(conversation: str, between: Between) -> str:
    return "\n".join((element("between", between), element("conversation", conversation)))
