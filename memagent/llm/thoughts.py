"""What a reasoning model writes before its answer, between tags such as ``<think>``, and that is no part of it."""

from __future__ import annotations

import re

_NAMES = ("think", "thinking", "reasoning", "thought", "seed:think")
_OPENING = re.compile(rf"\s*<({'|'.join(_NAMES)})\b[^>]*>", re.IGNORECASE)
_LONGEST_TAG = 100


def without_thoughts(text: str) -> str:
    """The reply without the thoughts at its beginning; "" if it holds nothing else."""
    opened = _OPENING.match(text)
    if opened:
        closing = _closing(opened[1]).search(text, opened.end())
        return text[closing.end() :] if closing else ""
    before, closed, after = text.rpartition("</think>")  # where the prompt ended with the opening tag
    return after if closed and "<think>" not in before else text


class AfterThoughts:
    """As :func:`without_thoughts`, for a text that comes in pieces.

    Thoughts whose opening tag was the end of the prompt cannot be told from an answer while they come.
    """

    def __init__(self) -> None:
        self._waiting = ""
        self._closing: re.Pattern[str] | None = None
        self._after = False

    def feed(self, piece: str) -> str:
        """What of the text is known to be no thought."""
        if self._after:
            return piece
        self._waiting += piece
        if self._closing is None and (opened := _OPENING.match(self._waiting)):
            self._closing = _closing(opened[1])
            self._waiting = self._waiting[opened.end() :]
        if self._closing is None:
            return "" if _may_become_a_tag(self._waiting) else self._released(0)
        closed = self._closing.search(self._waiting)
        if closed:
            return self._released(closed.end())
        self._waiting = self._waiting[-_LONGEST_TAG:]  # the closing tag may be half there
        return ""

    def close(self) -> str:
        """What is left at the end."""
        return "" if self._after or self._closing else self._released(0)

    def _released(self, start: int) -> str:
        self._after = True
        text, self._waiting = self._waiting[start:], ""
        return text


def _closing(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{name}\s*>", re.IGNORECASE)


def _may_become_a_tag(text: str) -> bool:
    """Whether the text so far may be the beginning of an opening tag."""
    head = text.lstrip().casefold()
    if ">" in head or len(head) > _LONGEST_TAG:
        return False
    return any(f"<{name}".startswith(head) or head.startswith(f"<{name}") for name in _NAMES)
