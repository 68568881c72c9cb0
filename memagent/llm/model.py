"""The model that memory, agents and evaluations ask."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from memagent.errors import InvalidInput, ModelError
from memagent.llm.asking import Asker, Asking
from memagent.llm.batch import Batch, first_error
from memagent.llm.cache import ReplyCache
from memagent.llm.effects import Effect, Keep, LookUp, Send, Sleep
from memagent.llm.meter import Budget, Meter, Prices
from memagent.llm.reply import Raw, Reply
from memagent.llm.retry import Backoff, CallFailed
from memagent.llm.streaming import Streaming
from memagent.llm.wire import Capabilities, Clock, Wire

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.language_models import BaseChatModel

    from memagent.prompts.prompt import Prompt

ModelLike: TypeAlias = "Model | BaseChatModel | Wire | str"
"""What is taken for a model; see :class:`Model`."""

T = TypeVar("T")


class Model:
    """A chat model with a meter, a budget, a reply cache, retries and bounded concurrency.

    ``chat``: a LangChain chat model; the URL of an OpenAI-compatible server; ``"embedded"``; or a name for LangChain's
    ``init_chat_model`` such as ``openai:gpt-5-mini``. Nothing is loaded or connected before the first call.

    ``capabilities``: what the model can do, if you know better than what is found out. ``cache``: a
    :class:`ReplyCache` or its path. ``budget`` bounds this object's calls; ``meter`` shares one count and budget with
    other models. ``prices`` are needed for costs. ``concurrency``: the most calls at once, in :meth:`ask_many` and from
    several threads or tasks. ``retries``: repetitions of a call that failed for a reason that may pass (no connection,
    timeout, too many requests, server error), after waits as ``backoff`` says. ``timeout``: seconds for one call; in
    synchronous calls it reaches OpenAI-compatible models only, others keep their own. ``thinking_tokens``: for a model
    that reasons before it answers, the tokens that it may use for this beside those that each prompt allows its answer.

    One object may serve several threads and event loops.
    """

    def __init__(
        self,
        chat: BaseChatModel | Wire | str,
        *,
        capabilities: Capabilities | None = None,
        cache: ReplyCache | str | Path | None = None,
        budget: Budget | None = None,
        meter: Meter | None = None,
        prices: Prices | None = None,
        concurrency: int = 16,
        retries: int = 3,
        timeout: float | None = 120.0,
        thinking_tokens: int = 0,
        backoff: Backoff | None = None,
        clock: Clock | None = None,
    ) -> None:
        if concurrency < 1 or min(retries, thinking_tokens) < 0 or (timeout is not None and not timeout > 0):
            raise InvalidInput(
                f"concurrency {concurrency}, retries {retries}, thinking_tokens {thinking_tokens}, timeout {timeout}",
                hint="concurrency is 1 or more, retries and thinking_tokens 0 or more, timeout above 0 or None",
            )
        if budget is not None and meter is not None:
            raise InvalidInput("both a budget and a meter were given", hint="a meter has a budget of its own")
        self._chat = chat
        self._given = capabilities
        self._cache = cache if isinstance(cache, ReplyCache) or cache is None else ReplyCache(cache)
        self._meter = meter or Meter(budget)
        self._prices = prices
        self._concurrency = concurrency
        self._retries = retries
        self._timeout = timeout
        self._thinking = thinking_tokens
        self._backoff = backoff or Backoff()
        self._clock = clock or Clock()
        self._bound = concurrency  # a model may answer fewer at once, which is known when it is connected
        self._slots = threading.BoundedSemaphore(concurrency)
        self._loop_slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore]
        self._loop_slots = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()
        self._ready: tuple[Wire, Asker] | None = None

    @property
    def meter(self) -> Meter:
        """What was used so far: ``model.meter.totals()``."""
        return self._meter

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do; connects to it."""
        return self._connected()[0].capabilities

    @property
    def identity(self) -> str:
        """Names the model and its settings, as the keys of the reply cache do; connects to it."""
        named = self._connected()[0].identity
        return f"{named}, {self._thinking} tokens for thoughts" if self._thinking else named

    @property
    def window(self) -> int | None:
        """Tokens of a prompt and its answer together, without room for thoughts; None if not known; connects to it."""
        whole = self.capabilities.max_model_len
        return None if whole is None else max(0, whole - self._thinking)

    def ask(self, prompt: Prompt[T]) -> Reply[T]:
        """The answer to one prompt.

        Raises :class:`~memagent.errors.MalformedReply` when the second reply cannot be used either,
        :class:`~memagent.errors.BudgetExceeded` before a call that could exceed the budget, and
        :class:`~memagent.errors.ModelUnavailable`, :class:`~memagent.errors.ModelTimeout` or
        :class:`~memagent.errors.ModelRefused` for what the server says.
        """
        return self._drive(self._connected()[1].ask(prompt))

    async def aask(self, prompt: Prompt[T]) -> Reply[T]:
        """As :meth:`ask`, for an event loop."""
        _, asker = await self._aconnected()
        return await self._adrive(asker.ask(prompt))

    def ask_many(self, prompts: Sequence[Prompt[T]]) -> list[Reply[T]]:
        """The answers to all prompts, in their order, asked at once in threads.

        After an error no further call is begun, those under way are finished (and kept in the cache), and the error of
        the first prompt that has one is raised.
        """
        return first_error(self._many(prompts, stop=True))

    async def aask_many(self, prompts: Sequence[Prompt[T]]) -> list[Reply[T]]:
        """As :meth:`ask_many`, for an event loop."""
        return first_error(await self._amany(prompts, stop=True))

    def outcomes(self, prompts: Sequence[Prompt[T]]) -> list[Reply[T] | ModelError]:
        """As :meth:`ask_many`, but an error takes the place of its answer and the others go on."""
        return self._many(prompts, stop=False)

    async def aoutcomes(self, prompts: Sequence[Prompt[T]]) -> list[Reply[T] | ModelError]:
        """As :meth:`outcomes`, for an event loop."""
        return await self._amany(prompts, stop=False)

    def stream(self, prompt: Prompt[str], *, told: Callable[[Reply[str]], None] | None = None) -> Iterator[str]:
        """A plain text as it is written. A call that fails is made again only while nothing of it was received.

        ``told`` is called with the whole reply after the last piece. Until then the stream is one of the calls that
        ``concurrency`` bounds: where that is 1, as for the embedded model, another call waits for its end, and one made
        between two of its pieces would wait for ever.
        """
        wire, asker = self._connected()
        streaming = Streaming(asker, prompt)
        if self._cache and (found := self._cache.get(streaming.key)):
            yield streaming.from_cache(found)
        else:
            yield from self._streamed(wire, streaming)
        reply = streaming.reply()
        if told:
            told(reply)

    def _streamed(self, wire: Wire, streaming: Streaming) -> Iterator[str]:
        with streaming:
            while streaming.raw is None:
                if closed := streaming.closed():
                    self._clock.sleep(closed)
                try:
                    with self._slots, closing(wire.stream(streaming.request, self._timeout)) as pieces:
                        for piece in pieces:
                            if text := streaming.take(piece):
                                yield text
                except CallFailed as failed:
                    self._clock.sleep(streaming.wait_after(failed))
        if self._cache:
            self._cache.put(streaming.key, streaming.whole())

    async def astream(
        self, prompt: Prompt[str], *, told: Callable[[Reply[str]], None] | None = None
    ) -> AsyncGenerator[str, None]:
        """As :meth:`stream`, for an event loop."""
        wire, asker = await self._aconnected()
        streaming = Streaming(asker, prompt)
        if self._cache and (found := await asyncio.to_thread(self._cache.get, streaming.key)):
            yield streaming.from_cache(found)
        else:
            async with aclosing(self._astreamed(wire, streaming)) as texts:
                async for text in texts:
                    yield text
        reply = streaming.reply()
        if told:
            told(reply)

    async def _astreamed(self, wire: Wire, streaming: Streaming) -> AsyncGenerator[str, None]:
        with streaming:
            while streaming.raw is None:
                if closed := streaming.closed():
                    await self._clock.asleep(closed)
                try:
                    async with (
                        self._slots_of_loop(),
                        aclosing(wire.astream(streaming.request, self._timeout)) as pieces,
                    ):
                        async for piece in pieces:
                            if text := streaming.take(piece):
                                yield text
                except CallFailed as failed:
                    await self._clock.asleep(streaming.wait_after(failed))
        if self._cache:
            await asyncio.to_thread(self._cache.put, streaming.key, streaming.whole())

    def close(self) -> None:
        """Close the reply cache; a later call opens it again."""
        if self._cache:
            self._cache.close()

    def _connected(self) -> tuple[Wire, Asker]:
        with self._lock:
            ready = self._ready
            if ready is None:
                wire = _wire(self._chat, self._given, self._cache)
                asker = Asker(
                    identity=wire.identity,
                    json_schema=wire.capabilities.json_schema,
                    vision=wire.capabilities.vision,
                    meter=self._meter,
                    prices=self._prices,
                    backoff=self._backoff,
                    retries=self._retries,
                    clock=self._clock,
                    cached=self._cache is not None,
                    thinking=self._thinking,
                )
                self._bound = min(self._concurrency, wire.capabilities.at_once or self._concurrency)
                self._slots = threading.BoundedSemaphore(self._bound)
                self._ready = ready = wire, asker
            return ready

    async def _aconnected(self) -> tuple[Wire, Asker]:
        # Connecting loads libraries, and may ask a server.
        if self._ready is not None:
            return self._ready
        return await asyncio.to_thread(self._connected)

    def _drive(self, asking: Asking[T]) -> T:
        try:
            effect = next(asking)
            while True:
                try:
                    result = self._perform(effect)
                except CallFailed as failed:
                    effect = asking.throw(failed)
                else:
                    effect = asking.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            asking.close()

    async def _adrive(self, asking: Asking[T]) -> T:
        try:
            effect = next(asking)
            while True:
                try:
                    result = await self._aperform(effect)
                except CallFailed as failed:
                    effect = asking.throw(failed)
                else:
                    effect = asking.send(result)
        except StopIteration as stop:
            value: T = stop.value
            return value
        finally:
            asking.close()

    def _perform(self, effect: Effect) -> Raw | None:
        match effect:
            case Send(request):
                with self._slots:
                    return self._connected()[0].send(request, self._timeout)
            case Sleep(seconds):
                self._clock.sleep(seconds)
            case LookUp(key) if self._cache:
                return self._cache.get(key)
            case Keep(key, raw) if self._cache:
                self._cache.put(key, raw)
        return None

    async def _aperform(self, effect: Effect) -> Raw | None:
        match effect:
            case Send(request):
                async with self._slots_of_loop():
                    return await self._connected()[0].asend(request, self._timeout)
            case Sleep(seconds):
                await self._clock.asleep(seconds)
            case LookUp(key) if self._cache:
                return await asyncio.to_thread(self._cache.get, key)
            case Keep(key, raw) if self._cache:
                await asyncio.to_thread(self._cache.put, key, raw)
        return None

    def _slots_of_loop(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        with self._lock:
            found = self._loop_slots.get(loop)
            if found is None:
                # A semaphore on which a task has waited holds its loop, which would never go.
                for ended in [other for other in self._loop_slots if other.is_closed()]:
                    del self._loop_slots[ended]
                found = self._loop_slots[loop] = asyncio.Semaphore(self._bound)
            return found

    def _many(self, prompts: Sequence[Prompt[T]], *, stop: bool) -> list[Reply[T] | ModelError]:
        return Batch[T](stop=stop).run(self.ask, prompts, threads=self._concurrency)

    async def _amany(self, prompts: Sequence[Prompt[T]], *, stop: bool) -> list[Reply[T] | ModelError]:
        return await Batch[T](stop=stop).arun(self.aask, prompts, tasks=self._concurrency)


def as_model(model: ModelLike) -> Model:
    """``model`` itself if it is a :class:`Model`; otherwise a new one around it (see there for what it may be)."""
    return model if isinstance(model, Model) else Model(model)


def _wire(chat: BaseChatModel | Wire | str, given: Capabilities | None, cache: ReplyCache | None) -> Wire:
    from memagent.llm.chat import ChatWire

    if isinstance(chat, str):
        from memagent.llm.chat_models import find_chat_model

        found, capabilities = find_chat_model(chat, cache=cache)
        return ChatWire(found, given or capabilities)
    if isinstance(chat, Wire):
        return chat
    return ChatWire(chat, given)
