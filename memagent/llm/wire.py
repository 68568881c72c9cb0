"""The port between :class:`~memagent.llm.model.Model` and whatever makes a chat model answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from memagent.llm.reply import Raw
from memagent.llm.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a model and its server can do; None: not known.

    ``json_schema``: hold an answer to a JSON schema (not known: it is tried, and given up when refused).
    ``temperature``: whether it may be set at all. ``max_model_len``: tokens of prompt and answer together. ``at_once``:
    calls that it answers at once (not known: as many as are made).
    """

    json_schema: bool | None = None
    logprobs: bool | None = None
    lora: bool | None = None
    vision: bool | None = None
    temperature: bool = True
    max_model_len: int | None = None
    at_once: int | None = None


@runtime_checkable
class Wire(Protocol):
    """Carries one request at a time; several threads may use it at once.

    What fails is raised as :class:`~memagent.llm.retry.CallFailed`. A stream yields pieces of text as they come and at
    last the whole reply.
    """

    @property
    def identity(self) -> str:
        """Names the model and its own settings; part of the key of a cached reply."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""

    def send(self, request: Request, timeout: float | None) -> Raw:
        """The reply; ``timeout`` in seconds."""

    async def asend(self, request: Request, timeout: float | None) -> Raw:
        """The reply; ``timeout`` in seconds."""

    def stream(self, request: Request, timeout: float | None) -> Generator[str | Raw, None, None]:
        """The reply as it comes, then as a whole."""

    def astream(self, request: Request, timeout: float | None) -> AsyncGenerator[str | Raw, None]:
        """The reply as it comes, then as a whole."""


class Clock:
    """Time, and waiting; tests replace it."""

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait in this thread."""
        time.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        """Wait in this task."""
        await asyncio.sleep(seconds)
