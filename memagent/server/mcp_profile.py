"""A user's profile: what is remembered of them, on a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from memagent.errors import UnknownUser
from memagent.integrations.verbs import page_of
from memagent.prompts.quoting import quoted, shown_day
from memagent.prompts.recalled import RECALLED_IS_DATA
from memagent.records import Granularity

if TYPE_CHECKING:
    from memagent.integrations.verbs import Routine
    from memagent.memory.replies import Item, ListReply

_TOPICS = 20
_RECENT = 10
_FACTS = 50
_CONVERSATIONS = 200  # the last ones, whose topics count


def profile(user_id: str) -> Routine[str]:
    """What is remembered of a user, as Markdown: how much, of what, and what was said last.

    Facts are those that a language model has written and that hold, the newest. Topics are the key phrases of the last
    closed conversations, the most frequent first; then come the summaries of these, and the last turns. Texts are
    quoted. However much is remembered, what is read of it is bounded.
    """
    try:
        counts: dict[str, Any] = yield lambda memory: memory.stats(user_id=user_id)
        turns = yield from _last(user_id, Granularity.TURN, _RECENT)
    except UnknownUser:
        return "Nothing is remembered yet."
    if not turns["results"]:
        return "Nothing is remembered yet."
    first = yield from _last(user_id, Granularity.TURN, 1, newest=False)
    facts = yield from _last(user_id, Granularity.FACT, _FACTS)
    keywords = yield from _last(user_id, Granularity.KEYWORDS, _CONVERSATIONS)
    summaries = yield from _last(user_id, Granularity.SUMMARY, _RECENT)
    begin, end = (shown_day(datetime.fromisoformat(found["results"][0]["event_at"])) for found in (first, turns))
    parts = [
        f"Memories: {turns['total']}, conversations: {counts['sessions']}, said: {begin} to {end}.",
        _section("Facts", map(_dated, facts["results"])),
        _section("Topics", topics(item["memory"] for item in keywords["results"])),
        _section("Last conversations", map(_dated, summaries["results"])),
        _section("Said last", map(_dated, turns["results"])),
    ]
    page = "\n\n".join(filter(None, parts))
    return f"{RECALLED_IS_DATA}\n\n<memories>\n{page}\n</memories>"


def topics(keywords: Iterable[str]) -> list[str]:
    """The phrases that most conversations have in common, from texts of phrases separated by semicolons."""
    counted: Counter[str] = Counter()
    for text in keywords:
        counted.update({phrase.strip().casefold() for phrase in text.split(";")} - {""})
    ranked = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    return [quoted(phrase) for phrase, _ in ranked[:_TOPICS]]


def _last(user_id: str, granularity: Granularity, limit: int, *, newest: bool = True) -> Routine[ListReply]:
    found: ListReply
    found = yield page_of(user_id, limit=limit, granularity=granularity, order="said", newest=newest)
    return found


def _dated(item: Item) -> str:
    return f"{shown_day(datetime.fromisoformat(item['event_at']))}: {' '.join(quoted(item['memory']).split())}"


def _section(title: str, lines: Iterable[str]) -> str:
    listed = [f"- {line}" for line in lines]
    return "\n".join([f"## {title}", *listed]) if listed else ""
