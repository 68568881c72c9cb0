"""Builds the units of a session from its messages: turns, and what is derived from them."""

from memagent.granularity.derive import Derived, combined, derive, embedded_texts
from memagent.granularity.turns import MAX_MESSAGES, group_turns, joins_previous, turn_text
from memagent.granularity.words import clear_word_caches

__all__ = [
    "MAX_MESSAGES",
    "Derived",
    "clear_word_caches",
    "combined",
    "derive",
    "embedded_texts",
    "group_turns",
    "joins_previous",
    "turn_text",
]
