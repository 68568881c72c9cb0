"""What a stream of text has in common whether it is read by a thread or by a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent.errors import InvalidInput, ModelRefused
from memagent.llm.reply import Raw, Reply
from memagent.llm.request import estimated
from memagent.llm.structured import clean
from memagent.llm.thoughts import AfterThoughts, without_thoughts

if TYPE_CHECKING:
    from types import TracebackType

    from memagent.llm.asking import Asker
    from memagent.llm.retry import CallFailed
    from memagent.prompts.prompt import Prompt


class Streaming:
    """One streamed prompt. As a context manager it holds the budget's reservation, and settles it at the end."""

    def __init__(self, asker: Asker, prompt: Prompt[str]) -> None:
        if prompt.answer is not None:
            raise InvalidInput(f"{prompt.label} asks for a structured answer", hint="ask() it: only texts are streamed")
        self.request = asker.first(prompt, guided=False)
        self.key = asker.key(self.request)
        self.raw: Raw | None = None
        self._asker = asker
        self._received: list[str] = []
        self._thoughts = AfterThoughts()
        self._cached = False
        self._repetition = 0
        self._began = 0.0

    def from_cache(self, raw: Raw) -> str:
        """The whole text of a cached reply."""
        self._asker.meter.count_cached(raw.usage)
        self.raw = raw
        self._cached = True
        self.reply()  # one that the model declined is not shown
        return without_thoughts(raw.text)

    def closed(self) -> float:
        """Seconds for which the server wants to be left alone."""
        return self._asker.closed()

    def take(self, piece: str | Raw) -> str:
        """The text to pass on: what a reasoning model thinks is no part of it."""
        if isinstance(piece, Raw):
            self.raw = piece
            return self._thoughts.close()
        self._received.append(piece)
        return self._thoughts.feed(piece)

    def wait_after(self, failed: CallFailed) -> float:
        """Seconds before the call is made again; raises the failure's error when it is not."""
        wait = None
        if not self._received:
            wait = self._asker.wait_after(failed.failure, self._repetition)
            self._repetition += 1
        else:
            self._asker.meter.count("failed", type(failed.failure.error).__name__)
        if wait is None:
            raise failed.failure.error from failed.__cause__
        return wait

    def whole(self) -> Raw:
        """The reply, once the stream has ended."""
        return self.raw or Raw(text="".join(self._received))

    def reply(self) -> Reply[str]:
        """The reply, once the stream has ended; raises when the model declined to go on."""
        raw = self.whole()
        if raw.finish == "filter":
            raise ModelRefused(f"{self.request.prompt.label}: the model declined to answer")
        return Reply(
            value=without_thoughts(clean(raw.text)).strip(),
            text=clean(raw.text),
            usage=raw.usage,
            cached=self._cached,
            attempts=1,
            logprobs=raw.logprobs,
            truncated=raw.finish == "length",
        )

    def __enter__(self) -> Streaming:
        self._reservation = self._asker.reserve(self.request)
        self._began = self._asker.clock.now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.raw is None and not self._received:
            self._reservation.release()
            return
        # A stream that is left before its end: the server is told to stop by the closed connection.
        usage = self.raw.usage if self.raw else estimated(self.request, "".join(self._received))
        seconds = self._asker.clock.now() - self._began
        self._reservation.spend(usage, label=self.request.prompt.label, seconds=seconds)
