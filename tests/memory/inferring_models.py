"""Language models by script, for tests of what they write into a memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from memagent.llm.model import Model
from memagent.llm.reply import Raw
from memagent.llm.request import Request
from memagent.llm.wire import Capabilities
from memagent.prompts.facts import Fact, Facts
from memagent.prompts.prompt import Prompt
from memagent.prompts.summary import SessionKeywords, SessionSummary
from memagent.testing.models import ScriptedReply, ScriptedWire

_MESSAGE = re.compile(
    r'<message number="(\d+)" speaker="([^"]*)" said="[^"]*"( noted="yes")?>\n(.*?)\n</message>', re.S
)
_KNOWN = re.compile(r'<memory id="(k\d+)" said="[^"]*">\n(.*?)\n</memory>', re.S)
_HOME = re.compile(r"I (?:live in|moved to) ([A-Z]\w+)")
_YEAR = re.compile(r"in (\d{4})")


def shown_messages(prompt: Prompt[Any]) -> list[tuple[int, str, bool, str]]:
    """Number, speaker, whether it is noted, and text of each message that a prompt for facts shows."""
    return [(int(n), speaker, bool(noted), text) for n, speaker, noted, text in _MESSAGE.findall(prompt.user)]


def shown_facts(prompt: Prompt[Any]) -> dict[str, str]:
    """The known facts that a prompt for facts shows, by their labels."""
    return dict(_KNOWN.findall(prompt.user))


def answer(prompt: Prompt[Any]) -> ScriptedReply:
    """What an honest model that knows one kind of fact answers: one fact a new message; a new home replaces the old."""
    if prompt.name == "session-summary":
        return SessionSummary(summary=f"Summary of {len(prompt.user)} characters.")
    if prompt.name == "session-keywords":
        return SessionKeywords(keywords=["written", "by a model"])
    known = shown_facts(prompt)
    facts: list[Fact] = []
    for number, speaker, noted, text in shown_messages(prompt):
        home, year = _HOME.search(text), _YEAR.search(text)
        replaced = [label for label, fact in known.items() if home and fact.startswith("The home of")]
        said = f"The home of {speaker} is {home[1]}." if home else f"{speaker} said: {text}"
        if not noted and said not in known.values():
            date = year[1] if year else None
            facts.append(Fact(text=said, messages=[number], event_date=date, replaces=replaced))
    return Facts(facts=facts)


class HeldWire(ScriptedWire):
    """A server that answers only while ``open`` is set, as real ones do: without blocking the caller's event loop."""

    def __init__(self, replies: Any = answer) -> None:
        super().__init__(replies, Capabilities(json_schema=True, logprobs=False, lora=False, vision=False))
        self.open = False
        self.waiting = 0
        self.most = 0

    async def asend(self, request: Request, timeout: float | None) -> Raw:
        """The reply, when the server is open."""
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            while not self.open:
                await asyncio.sleep(0.005)
            return self.send(request, timeout)
        finally:
            self.waiting -= 1


def held_model(replies: Any = answer) -> tuple[Model, HeldWire]:
    """A model behind a held server, and the server."""
    wire = HeldWire(replies)
    return Model(wire, retries=0), wire


def facts_of(items: Sequence[Any]) -> list[str]:
    """The texts of a reply's results."""
    return [item["memory"] for item in items]
