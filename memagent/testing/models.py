"""Doubles for language models: replies by script, and a clock that does not wait."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from memagent.errors import ModelError
from memagent.llm.model import Model
from memagent.llm.reply import Raw, Usage
from memagent.llm.request import Request
from memagent.llm.retry import CallFailed, Failure
from memagent.llm.wire import Capabilities, Clock
from memagent.prompts.prompt import Prompt

if TYPE_CHECKING:
    from pydantic import BaseModel

ScriptedReply: TypeAlias = "str | BaseModel | Raw | ModelError"
"""A text, an answer (sent as JSON), a whole reply, or an error of the server."""


class FakeClock(Clock):
    """A clock whose time passes only while somebody sleeps; ``slept`` are the waits."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        """The time so far."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Pass at once."""
        self.slept.append(seconds)
        self.time += seconds

    async def asleep(self, seconds: float) -> None:
        """Pass at once."""
        self.sleep(seconds)


class ScriptedWire:
    """Answers from a list of replies, or with what a function of the prompt returns."""

    def __init__(
        self, replies: Sequence[ScriptedReply] | Callable[[Prompt[Any]], ScriptedReply], capabilities: Capabilities
    ) -> None:
        self.identity = "scripted"
        self.capabilities = capabilities
        self.requests: list[Request] = []
        self._function = replies if callable(replies) else None
        self._left: list[ScriptedReply] = [] if callable(replies) else list(replies)
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Replies of the list that were not asked for."""
        return len(self._left)

    def send(self, request: Request, timeout: float | None) -> Raw:
        """The next reply."""
        with self._lock:
            self.requests.append(request)
            if self._function is None and not self._left:
                raise AssertionError(f"the script has no reply left for {request.prompt.label}")
            reply = self._left.pop(0) if self._function is None else None
        found = reply if self._function is None else self._function(request.prompt)
        if isinstance(found, ModelError):
            raise CallFailed(Failure(error=found, kind=type(found).__name__))
        if isinstance(found, Raw):
            return found
        text = found if isinstance(found, str) else found.model_dump_json()  # type: ignore[union-attr]
        usage = Usage(input=len(request.text.split()), output=len(text.split()))
        return Raw(text=text, finish="stop", usage=usage)

    async def asend(self, request: Request, timeout: float | None) -> Raw:
        """The next reply."""
        return self.send(request, timeout)

    def stream(self, request: Request, timeout: float | None) -> Generator[str | Raw, None, None]:
        """The next reply, word by word."""
        raw = self.send(request, timeout)
        words = raw.text.split(" ")
        yield from (word if place == 0 else f" {word}" for place, word in enumerate(words) if word or place)
        yield raw

    async def astream(self, request: Request, timeout: float | None) -> AsyncGenerator[str | Raw, None]:
        """The next reply, word by word."""
        for piece in self.stream(request, timeout):
            yield piece


class ScriptedModel(Model):
    """A :class:`~memagent.llm.Model` whose replies are a script; it may be used wherever a model is accepted.

    ``replies``: a list, used up in order (several prompts at once are then asked one after the other), or a function
    of the prompt. A malformed reply is followed by a second try, which takes the next reply of the list. ``guided``:
    whether it plays a server that holds answers to a JSON schema. Waits pass at once. ``options`` are Model's.
    """

    def __init__(
        self,
        replies: Sequence[ScriptedReply] | Callable[[Prompt[Any]], ScriptedReply],
        *,
        guided: bool | None = True,
        **options: Any,
    ) -> None:
        self.wire = ScriptedWire(replies, Capabilities(json_schema=guided, logprobs=False, lora=False, vision=True))
        defaults: dict[str, Any] = {"clock": FakeClock(), "concurrency": 16 if callable(replies) else 1}
        super().__init__(self.wire, **(defaults | options))

    @property
    def prompts(self) -> list[Prompt[Any]]:
        """The prompts that were sent, in order; one asked twice is there twice."""
        return [request.prompt for request in self.wire.requests]

    @property
    def requests(self) -> list[Request]:
        """All that was sent, in order."""
        return self.wire.requests

    @property
    def left(self) -> int:
        """Replies of the list that were not asked for."""
        return self.wire.left
