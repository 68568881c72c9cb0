"""How a prompt is asked: cache, budget, retries, and one second try after a malformed reply.

Generators without input and output: they yield :mod:`memagent.llm.effects` and are sent the results, so that the
synchronous and the asynchronous model do the same.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, cast

from memagent.errors import MalformedReply, ModelDenied, ModelError, ModelRefused
from memagent.llm.effects import Effect, Keep, LookUp, Send, Sleep
from memagent.llm.meter import Meter, Prices, Reservation
from memagent.llm.reply import Raw, Reply, Usage
from memagent.llm.request import PICTURE_TOKENS, Request, first_request, second_request
from memagent.llm.retry import Backoff, CallFailed, Failure
from memagent.llm.structured import clean, read
from memagent.llm.thoughts import without_thoughts
from memagent.llm.wire import Clock
from memagent.prompts.prompt import Prompt

T = TypeVar("T")

_BYTES_PER_TOKEN = 3  # of a JSON schema, which some servers put into the prompt
Asking: TypeAlias = Generator[Effect, Any, T]


@dataclass(frozen=True, slots=True)
class _Got:
    """A reply, and whether it came from the cache."""

    raw: Raw
    cached: bool


class Asker:
    """The logic of one model's calls, and what it remembers between them."""

    def __init__(
        self,
        *,
        identity: str,
        json_schema: bool | None,
        vision: bool | None,
        meter: Meter,
        prices: Prices | None,
        backoff: Backoff,
        retries: int,
        clock: Clock,
        cached: bool,
        thinking: int,
    ) -> None:
        self.meter = meter
        self.json_schema = json_schema
        self._vision = vision
        self._identity = identity
        self._prices = prices
        self._backoff = backoff
        self._retries = retries
        self.clock = clock
        self._cached = cached
        self._thinking = thinking
        self._closed_until = 0.0

    def ask(self, prompt: Prompt[T]) -> Asking[Reply[T]]:
        """The answer to one prompt."""
        guided = prompt.answer is not None and self.json_schema is not False
        if guided and self.json_schema is None and (yield from self._refused_before(prompt)):
            self.json_schema = guided = False
        request = self.first(prompt, guided=guided)
        try:
            got = yield from self._one(request)
        except ModelRefused as refusal:
            if request.schema is None or self.json_schema or isinstance(refusal, ModelDenied):
                raise
            # Not known whether this server takes a schema: if it answers without one, it does not.
            request = self.first(prompt, guided=False)
            got = yield from self._one(request)
            self.json_schema = False
        try:
            return self._read(request, [got])
        except MalformedReply as problem:
            self.meter.count("malformed", problem.reason)
            again = yield from self._second(request, got, problem)
        try:
            return self._read(request, [got, again])
        except MalformedReply as problem:
            self.meter.count("malformed", problem.reason)
            self.meter.count("failed", type(problem).__name__)
            raise MalformedReply(
                f"{prompt.label}: no usable answer at the second try: {problem.message}",
                hint="a larger model, or more max_tokens, may do better",
                reason=problem.reason,
                text=problem.text,
            ) from None

    def _refused_before(self, prompt: Prompt[Any]) -> Asking[bool]:
        """Whether the cache tells that the server has refused a schema: it is not asked again to find that out."""
        if not self._cached:
            return False
        for guided in (True, False):
            if (yield LookUp(self.key(self.first(prompt, guided=guided)))) is not None:
                return not guided
        return False

    def first(self, prompt: Prompt[Any], *, guided: bool) -> Request:
        """The call that asks a prompt for the first time; raises ModelRefused for pictures that it cannot see."""
        if prompt.images and self._vision is False:
            raise ModelRefused(
                f"{prompt.label} shows {len(prompt.images)} pictures, and this model sees none; nothing was sent",
                hint="take a vision model, or leave the pictures out",
            )
        return first_request(prompt, guided=guided, thinking=self._thinking)

    def key(self, request: Request) -> bytes:
        """The key of a request's reply in the cache."""
        return request.key(self._identity)

    def reserve(self, request: Request) -> Reservation:
        """Set aside what a request may take; raises BudgetExceeded where that is more than is left."""
        schema = len(json.dumps(request.schema)) // _BYTES_PER_TOKEN if request.schema else 0
        besides = PICTURE_TOKENS * len(request.prompt.images) + schema
        plain = not request.prompt.images
        return self.meter.reserve(request.text, besides + request.max_tokens, self._prices, plain=plain)

    def _second(self, request: Request, got: _Got, problem: MalformedReply) -> Asking[_Got]:
        try:
            return (yield from self._one(second_request(request, got.raw, problem)))
        except ModelRefused:  # with the first reply in it the prompt is too long for the model
            raise problem from None

    def _read(self, request: Request, got: list[_Got]) -> Reply[Any]:
        raw, prompt = got[-1].raw, request.prompt
        usage = sum((one.raw.usage for one in got), Usage())
        if raw.finish == "filter":
            self.meter.count("failed", ModelRefused.__name__)
            raise ModelRefused(f"{prompt.label}: the model declined to answer: {clean(raw.text[:200])}")
        cut_off = raw.finish == "length"
        repairs: tuple[str, ...] = ()
        if prompt.answer is None:
            value: Any = without_thoughts(clean(raw.text)).strip()
        else:
            tag = None if request.schema is not None else prompt.tag
            found = read(raw.text, prompt.answer, tag, truncated=cut_off)
            value, repairs = found.value, found.repairs
        for name in repairs:
            self.meter.count("repaired", name)
        return Reply(
            value=value,
            text=clean(raw.text),
            usage=usage,
            cached=all(one.cached for one in got),
            attempts=len(got),
            logprobs=raw.logprobs,
            truncated=cut_off and prompt.answer is None,
            repairs=repairs,
        )

    def _one(self, request: Request) -> Asking[_Got]:
        """One request: from the cache, or sent within the budget and kept."""
        key = self.key(request)
        if self._cached:
            raw = cast("Raw | None", (yield LookUp(key)))
            if raw is not None:
                self.meter.count_cached(raw.usage)
                return _Got(raw, cached=True)
        reservation = self.reserve(request)
        try:
            raw, seconds = yield from self._sent(request)
        except BaseException:
            reservation.release()
            raise
        reservation.spend(raw.usage, label=request.prompt.label, seconds=seconds)
        if self._cached:
            yield Keep(key, raw)
        return _Got(raw, cached=False)

    def _sent(self, request: Request) -> Asking[tuple[Raw, float]]:
        """One request, made until it is answered or there is no point in it; and the seconds that the answer took."""
        repetition = 0
        while True:
            if closed := self.closed():
                yield Sleep(closed)
            began = self.clock.now()
            try:
                raw = cast("Raw", (yield Send(request)))
            except CallFailed as failed:
                wait = self.wait_after(failed.failure, repetition)
                if wait is None:
                    raise failed.failure.error from failed.__cause__
            else:
                return raw, self.clock.now() - began
            yield Sleep(wait)
            repetition += 1

    def closed(self) -> float:
        """Seconds for which the server wants to be left alone."""
        return max(0.0, self._closed_until - self.clock.now())

    def wait_after(self, failure: Failure, repetition: int) -> float | None:
        """Seconds before a failed call is made again; None if it is given up."""
        error: ModelError = failure.error
        wait = None
        if error.retryable and repetition < self._retries:
            wait = self._backoff.wait(repetition, failure.retry_after)
        if wait is None:
            self.meter.count("failed", type(error).__name__)
            return None
        self.meter.count("retried", failure.kind)
        if failure.retry_after is not None:  # what the server says to one call holds for the others too
            self._closed_until = max(self._closed_until, self.clock.now() + wait)
        return wait
