"""What a language model writes of a conversation: its summary and keywords, and the facts it tells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

from memagent.errors import MalformedReply
from memagent.granularity.derive import Derived
from memagent.llm.flow import Steps, asked, asked_at_once
from memagent.llm.reply import Reply
from memagent.prompts.facts import Fact, Facts, Said, extract_facts
from memagent.prompts.quoting import Remembered
from memagent.prompts.summary import Between, session_keywords, session_summary

_LONGEST_FACT = 1000  # characters; a fact is one sentence
_MOST_KEYWORDS = 20

_LABEL = re.compile(r"[\s\[(\"'#]*(?:(?:fact|id)[\s:=#\"']*)?k?([0-9]{1,9})[\s\])\"'.:]*", re.IGNORECASE)

T = TypeVar("T")


class Heard(NamedTuple):
    """One message (or several as one text, by their ids) that facts are looked for in.

    ``noted``: it was looked through before, and only explains others.
    """

    ids: tuple[str, ...]
    speaker: str
    text: str
    said_at: datetime
    noted: bool = False


class Known(NamedTuple):
    """A fact that holds already, and when it was said."""

    text: str
    said_at: datetime


class Told(NamedTuple):
    """A fact that was found. ``sources``: the ids of the messages that say it; ``replaces``: see :class:`Findings`."""

    text: str
    sources: tuple[str, ...]
    said_at: datetime
    valid_from: datetime | None
    replaces: tuple[int, ...]


class Findings(NamedTuple):
    """Facts in the order in which they were told, and how much of the replies could not be used.

    A fact ``replaces`` others by their places in the list of the known facts, followed by these.
    """

    facts: tuple[Told, ...]
    ignored: int


def described(turns: Sequence[str], *, between: Between, characters: int) -> Steps[Derived]:
    """Summary and keywords of a session from the texts of its turns.

    A session of more than ``characters`` is described in parts; its summary is then one of the parts' summaries.
    """
    parts = pieces("\n".join(turns), characters)
    summaries = yield from asked_at_once([session_summary(part, between=between) for part in parts])
    keywords = yield from asked_at_once([session_keywords(part, between=between) for part in parts])
    texts = [storable(reply.value.summary) for reply in summaries]
    while len(texts) > 1:
        parts = pieces("\n".join(texts), characters)
        if len(parts) >= len(texts):  # summaries that do not get shorter
            parts = [text[: characters // len(texts)] for text in texts]
            parts = ["\n".join(parts)]
        again = yield from asked_at_once([session_summary(part, between=between) for part in parts])
        texts = [storable(reply.value.summary) for reply in again]
    return Derived(texts[0], _merged([storable(reply.value.line) for reply in keywords]))


def _merged(lines: Sequence[str]) -> str:
    """The keywords of a session's parts: from each in turn, none twice."""
    if len(lines) == 1:
        return lines[0]
    columns = [line.split("; ") for line in lines]
    longest = max(map(len, columns))
    each = [column[place] for place in range(longest) for column in columns if place < len(column) and column[place]]
    kept: dict[str, str] = {}
    for keyword in each:
        kept.setdefault(keyword.casefold(), keyword)
    return "; ".join(list(kept.values())[:_MOST_KEYWORDS])


def told(messages: Sequence[Heard], known: Sequence[Known], *, characters: int) -> Steps[Findings]:
    """The facts that the messages tell which are not noted yet, and which of the known ones they replace.

    More than ``characters`` are asked about in parts, one after the other: each knows the facts found before it.
    """
    listing = _Listing(known)
    waiting = _parts(messages, characters)
    while waiting:
        part = waiting.pop(0)
        if all(message.noted for message in part):
            continue
        said = [Said(m.speaker, m.text, m.said_at, m.noted) for m in part]
        try:
            reply: Reply[Facts] = yield from asked(extract_facts(said, listing.shown()))
        except MalformedReply as error:
            if error.reason != "truncated" or len(part) == 1:
                raise
            half = len(part) // 2  # there was more to tell than one reply may hold
            waiting[:0] = [part[:half], part[half:]]
            continue
        for fact in reply.value.facts:
            listing.take(fact, part)
    return Findings(tuple(listing.found), listing.ignored)


class _Listing:
    """The known facts and those found, as the model is shown them: labelled k1, k2 ..."""

    def __init__(self, known: Sequence[Known]) -> None:
        self._known = list(known)
        self._texts = {_folded(fact.text) for fact in known}
        self.found: list[Told] = []
        self.ignored = 0

    def shown(self) -> list[Remembered]:
        """All of them, for the next prompt."""
        return [Remembered(label=f"k{n}", text=f.text, said_at=f.said_at) for n, f in enumerate(self._known, start=1)]

    def take(self, fact: Fact, part: Sequence[Heard]) -> None:
        """Take in what the model told, as far as it can be used; what is known already is left out."""
        text = " ".join(storable(fact.text).split())
        cited = [part[number - 1] for number in dict.fromkeys(fact.messages) if 1 <= number <= len(part)]
        self.ignored += len(set(fact.messages)) - len(cited)
        if not text or len(text) > _LONGEST_FACT or all(message.noted for message in cited):
            self.ignored += 1  # nothing that is new says it
            return
        replaces = [self._place(label) for label in dict.fromkeys(fact.replaces)]
        self.ignored += replaces.count(None)
        if _folded(text) in self._texts:
            return
        said_at = max(message.said_at for message in cited)
        sources = tuple(dict.fromkeys(identifier for message in cited for identifier in message.ids))
        places = tuple(sorted({place for place in replaces if place is not None}))
        self.found.append(Told(text, sources, said_at, fact.valid_from, places))
        self._known.append(Known(text, said_at))
        self._texts.add(_folded(text))

    def _place(self, label: str) -> int | None:
        """The place of a known fact by its label; None for what names none."""
        found = _LABEL.fullmatch(label[:100])
        return int(found[1]) - 1 if found and 1 <= int(found[1]) <= len(self._known) else None


def _folded(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".")


def _parts(messages: Sequence[Heard], characters: int) -> list[list[Heard]]:
    """Messages in groups of at most ``characters``; a longer one comes in pieces."""
    groups: list[list[Heard]] = [[]]
    room = characters
    for message in messages:
        for piece in pieces(message.text, characters):
            if len(piece) > room and groups[-1]:
                groups.append([])
                room = characters
            groups[-1].append(message._replace(text=piece))
            room -= len(piece)
    return groups


def pieces(text: str, characters: int) -> list[str]:
    """``text`` in pieces of at most ``characters``, cut at the end of a line or between words where there is one."""
    found: list[str] = []
    while len(text) > characters:
        cut = max(text.rfind("\n", characters // 2, characters), 0) or text.rfind(" ", characters // 2, characters)
        cut = cut + 1 if cut > 0 else characters
        found.append(text[:cut])
        text = text[cut:]
    return [*found, text]


def storable(text: str) -> str:
    """The text of a reply as it can be stored: JSON can spell halves of characters, which no file can hold."""
    return text.encode("utf-8", "replace").decode().strip()
