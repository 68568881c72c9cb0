"""An answer as it is being written."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

from memagent.errors import InvalidInput
from memagent.prompts.answering import UNKNOWN_MARK

if TYPE_CHECKING:
    from memagent.answering.values import Answer

_LABELS = re.compile(r"[ \t]*\[\s*m\d+(?:\s*[,;]\s*m\d+)*\s*\]", re.IGNORECASE)
_BEGINNING_OF_LABELS = re.compile(r"[ \t]*(?:\[(?:\s*m?|\s*m\d+(?:\s*[,;]\s*m\d+)*\s*(?:[,;]\s*m?)?))?", re.IGNORECASE)
_LONGEST_WAIT = 200  # characters that may turn out to be a citation


class MarkReader:
    """Takes a text piece by piece, and gives it back without citations and without the mark of an unknown answer.

    ``labels`` collects what is cited, ``known`` turns False at the mark.
    """

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.known = True
        self._waiting = ""
        self._begun = False

    def feed(self, piece: str) -> str:
        """The text that can be shown now."""
        self._waiting += piece
        if not self._begun and not self._past_beginning():
            return ""
        self._waiting = _LABELS.sub(self._noted, self._waiting)
        place = self._safe_end()
        shown, self._waiting = self._waiting[:place], self._waiting[place:]
        return shown

    def close(self) -> str:
        """What is left at the end."""
        self._past_beginning(last=True)
        rest, self._waiting = _LABELS.sub(self._noted, self._waiting).rstrip(), ""
        return rest

    def _past_beginning(self, *, last: bool = False) -> bool:
        """Whether it is clear how the text begins; marks there are taken off, however often they come."""
        if self._begun:
            return True
        beginning = self._waiting.lstrip()
        while beginning.casefold().startswith(UNKNOWN_MARK):
            self.known = False
            beginning = beginning[len(UNKNOWN_MARK) :].lstrip()
        self._waiting = beginning
        may_become_a_mark = UNKNOWN_MARK.startswith(beginning.casefold())
        self._begun = bool(beginning) and (last or not may_become_a_mark)
        return self._begun

    def _noted(self, match: re.Match[str]) -> str:
        self.labels += re.findall(r"m\d+", match[0], re.IGNORECASE)
        return ""

    def _safe_end(self) -> int:
        """How much of the text can become neither a citation, nor the space before one or at the end."""
        from_here = max(0, len(self._waiting) - _LONGEST_WAIT)
        places = range(from_here, len(self._waiting))
        end = next((place for place in places if _BEGINNING_OF_LABELS.fullmatch(self._waiting, place)), None)
        return len(self._waiting[:end].rstrip())


class _Finished:
    """What both kinds of streams have at their end."""

    def __init__(self, finish: Callable[[], Answer]) -> None:
        self._finish = finish
        self._answer: Answer | None = None
        self._begun = False

    def _begin(self) -> None:
        if self._begun:
            raise InvalidInput("this answer has been streamed already", hint="ask again")
        self._begun = True

    def _end(self) -> None:
        self._answer = self._finish()

    @property
    def answer(self) -> Answer:
        """The answer; raises InvalidInput before the last piece was taken."""
        if self._answer is None:
            raise InvalidInput("the answer is not complete yet", hint="take all pieces of the stream first")
        return self._answer


class AnswerStream(_Finished):
    """The pieces of an answer, as they come; afterwards :attr:`answer` is the whole of it, checked.

    Iterating asks the model; it can be done once, also where it was left or has failed: then it raises InvalidInput.
    What retrieval or the model raise comes out of the iteration.
    """

    def __init__(self, pieces: Iterator[str], finish: Callable[[], Answer]) -> None:
        super().__init__(finish)
        self._pieces = pieces

    def __iter__(self) -> Iterator[str]:
        self._begin()
        yield from self._pieces
        self._end()


class AsyncAnswerStream(_Finished):
    """:class:`AnswerStream`, for ``async for``."""

    def __init__(self, pieces: AsyncGenerator[str, None], finish: Callable[[], Answer]) -> None:
        super().__init__(finish)
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[str]:
        self._begin()
        async with aclosing(self._pieces) as pieces:
            async for piece in pieces:
                yield piece
        self._end()
