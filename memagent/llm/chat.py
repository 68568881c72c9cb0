"""Any LangChain chat model as a :class:`~memagent.llm.wire.Wire`."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, ModelRefused, ModelUnavailable
from memagent.llm.clients import for_any_loop
from memagent.llm.failures import failure_of
from memagent.llm.identity import identity_of
from memagent.llm.providers import with_options
from memagent.llm.reply import Raw, TokenLogprob, Usage
from memagent.llm.request import estimated
from memagent.llm.retry import CallFailed, Failure
from memagent.llm.wire import Capabilities

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

    from memagent.llm.request import Request

_CUT_OFF = {"length", "max_tokens", "model_length", "max_output_tokens"}
_FILTERED = {"content_filter", "refusal", "safety", "recitation", "prohibited_content", "blocklist"}
_ENDED = {"stop", "end_turn", "stop_sequence", "eos", "tool_calls", "tool_use", "completed"}
_NO_TEMPERATURE = re.compile(
    r"unsupported.{0,80}\btemperature\b|\btemperature\b.{0,80}(?:support|only|deprecated|not (?:be )?allowed)",
    re.IGNORECASE,
)


class ChatWire:
    """Sends requests through a LangChain chat model.

    OpenAI-compatible models (``BaseChatOpenAI`` of langchain-openai) are asked for JSON schemas, log probabilities and
    a time limit in OpenAI's terms; others get the tags, and keep their own time limit in synchronous calls. A model
    that refuses a temperature, as many that reason do, is sent none from then on.
    """

    def __init__(self, chat: BaseChatModel, capabilities: Capabilities | None = None) -> None:
        from langchain_core.language_models import BaseChatModel as Base

        if not isinstance(chat, Base):
            raise InvalidInput(
                f"a {type(chat).__name__} is no chat model",
                hint="pass a LangChain chat model, the URL of a server, or a name such as 'openai:gpt-5-mini'",
            )
        self.chat = chat
        self._openai = any(kind.__name__ == "BaseChatOpenAI" for kind in type(chat).__mro__)
        self._completes = self._openai and _completes(chat)
        self._seeds = self._completes or chat._llm_type == "memagent-embedded"
        self._capabilities = capabilities or Capabilities(json_schema=None if self._openai else False)
        if self._openai:
            _load_httpx()
        self._identity = identity_of(chat)
        self._for_loops = for_any_loop(chat) if self._openai else chat

    @property
    def identity(self) -> str:
        """The model's class, name and settings, as JSON."""
        return self._identity

    @property
    def capabilities(self) -> Capabilities:
        """What was found out about it."""
        return self._capabilities

    def send(self, request: Request, timeout: float | None) -> Raw:
        """The model's reply."""
        options = self._options(request, timeout)
        with self._failures(options):
            chat, arguments = with_options(self.chat, options)
            return _raw(chat.invoke(_messages(request), **arguments), request)

    async def asend(self, request: Request, timeout: float | None) -> Raw:
        """The model's reply."""
        import asyncio

        options = self._options(request, timeout)
        with self._failures(options):
            chat, arguments = with_options(self._for_loops, options)
            async with asyncio.timeout(timeout):
                message = await chat.ainvoke(_messages(request), **arguments)
            return _raw(message, request)

    def stream(self, request: Request, timeout: float | None) -> Generator[str | Raw, None, None]:
        """The model's reply as it comes; the time limit is for each piece."""
        whole: Any = None
        options = self._options(request, timeout, streaming=True)
        with self._failures(options):
            chat, arguments = with_options(self.chat, options)
            for chunk in chat.stream(_messages(request), **arguments):
                whole = chunk if whole is None else whole + chunk
                if chunk.text:
                    yield str(chunk.text)
            yield self._raw_of_stream(whole, request)

    async def astream(self, request: Request, timeout: float | None) -> AsyncGenerator[str | Raw, None]:
        """The model's reply as it comes; the time limit is for each piece."""
        whole: Any = None
        options = self._options(request, timeout, streaming=True)
        with self._failures(options):
            chat, arguments = with_options(self._for_loops, options)
            async for chunk in chat.astream(_messages(request), **arguments):
                whole = chunk if whole is None else whole + chunk
                if chunk.text:
                    yield str(chunk.text)
            yield self._raw_of_stream(whole, request)

    def _raw_of_stream(self, whole: Any, request: Request) -> Raw:
        if self._openai and (whole is None or not _reason(whole.response_metadata)):
            # OpenAI's protocol says why it ends; a connection that was only closed looks like an end.
            broken = ModelUnavailable("the stream broke off before its end", hint="see whether the server still runs")
            raise CallFailed(Failure(error=broken, kind="connection"))
        return Raw(text="", usage=estimated(request, "")) if whole is None else _raw(whole, request)

    def _options(self, request: Request, timeout: float | None, *, streaming: bool = False) -> dict[str, Any]:
        prompt = request.prompt
        options: dict[str, Any] = {"max_tokens": request.max_tokens}
        if self._capabilities.temperature:
            options["temperature"] = prompt.temperature
        if prompt.stop:
            options["stop"] = list(prompt.stop)
        if prompt.seed is not None and self._seeds:
            options["seed"] = prompt.seed
        if not self._openai:
            return options
        if timeout is not None:
            options["timeout"] = timeout
        if streaming and self._completes:
            options["stream_usage"] = True
        if prompt.top_p is not None:
            options["top_p"] = prompt.top_p
        if prompt.logprobs is not None and self._completes:
            options |= {"logprobs": True, "top_logprobs": prompt.logprobs}
        if body := self._in_the_body(request):
            options["extra_body"] = {**(getattr(self.chat, "extra_body", None) or {}), **body}
        return options

    def _in_the_body(self, request: Request) -> dict[str, Any]:
        """What the client has no argument for, or reads otherwise than is wanted."""
        body: dict[str, Any] = {}
        if request.schema is not None:  # given as an argument, the client would raise on a reply that is cut off
            body["response_format"] = response_format(request.prompt.name, request.schema)
        if request.prompt.top_k is not None and getattr(self.chat, "openai_api_base", None):
            body["top_k"] = request.prompt.top_k  # OpenAI itself refuses it
        return body

    @contextmanager
    def _failures(self, options: Mapping[str, Any]) -> Iterator[None]:
        """Errors of the model and its server leave as :class:`CallFailed`; others pass. ``options``: what was sent."""
        try:
            yield
        except CallFailed:
            raise
        except Exception as error:
            failure = failure_of(error)
            if failure is None and self._openai and isinstance(error, KeyError | TypeError | ValueError):
                # langchain-openai raises these for replies that are no chat completions, error pages for example.
                unusable = f"the server's reply is no chat completion: {type(error).__name__} {str(error)[:300]}"
                failure = Failure(error=ModelUnavailable(unusable), kind="server error")
            if failure is None:
                raise
            raise CallFailed(self._adapted(failure, options)) from error

    def _adapted(self, failure: Failure, options: Mapping[str, Any]) -> Failure:
        """The failure; where it is the temperature that is refused, one after which the call is made without it."""
        error = failure.error
        if "temperature" not in options or not isinstance(error, ModelRefused):
            return failure
        if not _NO_TEMPERATURE.search(error.message):
            return failure
        self._capabilities = replace(self._capabilities, temperature=False)
        passing = ModelUnavailable(error.message, hint="ask again: no temperature is sent any more")
        return Failure(error=passing, kind="temperature", retry_after=0.0)


def _load_httpx() -> None:
    """Load httpx whole: openai looks at it in each call, and fails where another thread has it half loaded."""
    if find_spec("httpx") is not None:
        import_module("httpx")


def response_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's ``response_format`` that holds an answer to a JSON schema."""
    safe = "".join(mark if mark.isascii() and (mark.isalnum() or mark in "_-") else "_" for mark in name)[:64]
    return {"type": "json_schema", "json_schema": {"name": safe or "answer", "schema": dict(schema)}}


def _completes(chat: Any) -> bool:
    """Whether an OpenAI-compatible model is sent chat completions: the Responses API takes other options."""
    other = getattr(chat, "_use_responses_api", None)
    return not (callable(other) and other(getattr(chat, "_default_params", {})))


def _messages(request: Request) -> list[BaseMessage]:
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    made: list[BaseMessage] = []
    images = request.prompt.images
    for role, text in request.turns:
        if role == "system":
            made.append(SystemMessage(text))
        elif role == "assistant":
            made.append(AIMessage(text))
        elif images:
            pictures = [{"type": "image_url", "image_url": {"url": url}} for url in images]
            made.append(HumanMessage([{"type": "text", "text": text}, *pictures]))
            images = ()
        else:
            made.append(HumanMessage(text))
    return made


def _raw(message: AIMessage, request: Request) -> Raw:
    details = message.response_metadata or {}
    text = str(message.text)
    finish = "filter" if message.additional_kwargs.get("refusal") else _finish(details)
    return Raw(text=text, finish=finish, usage=_usage(message, request, text), logprobs=_logprobs(details))


def _reason(details: Mapping[str, Any] | None) -> str:
    """Why the reply ended, in the provider's word; "" if it does not say."""
    details = details or {}
    told = [details.get(key) for key in ("finish_reason", "stop_reason", "done_reason")]
    if details.get("status") in ("completed", "incomplete"):  # the Responses API
        told += [(details.get("incomplete_details") or {}).get("reason"), details["status"]]
    return next((str(reason).lower() for reason in told if reason), "")


def _finish(details: Mapping[str, Any]) -> str:
    reason = _reason(details)
    for finish, words in (("length", _CUT_OFF), ("filter", _FILTERED), ("stop", _ENDED)):
        if reason in words:
            return finish
    return "unknown"


def _usage(message: AIMessage, request: Request, text: str) -> Usage:
    found = message.usage_metadata
    if not found:
        return estimated(request, text)
    details: Mapping[str, Any] = found.get("input_token_details") or {}
    cached = details.get("cache_read") or 0
    return Usage(input=found["input_tokens"], output=found["output_tokens"], cached=int(cached))


def _logprobs(details: Mapping[str, Any]) -> tuple[TokenLogprob, ...] | None:
    found = (details.get("logprobs") or {}).get("content")
    if found is None:
        return None
    return tuple(
        TokenLogprob(
            token=one["token"],
            logprob=float(one["logprob"]),
            top=tuple((other["token"], float(other["logprob"])) for other in one.get("top_logprobs") or ()),
        )
        for one in found
    )
