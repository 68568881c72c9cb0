"""From a name to a LangChain chat model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memagent.errors import InvalidInput, MissingExtra
from memagent.llm.failures import failure_of
from memagent.llm.wire import Capabilities

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from memagent.llm.cache import ReplyCache

EMBEDDED = "embedded"


def chat_model(name: str, **options: Any) -> BaseChatModel:
    """A LangChain chat model by name.

    ``embedded``: a small model in this process, to try things out (its answers are poor). A URL: the model that an
    OpenAI-compatible server offers there. Anything else is a name for LangChain's ``init_chat_model``, such as
    ``openai:gpt-5-mini`` or ``anthropic:claude-haiku-4-5``; OpenAI's models need no further package. ``options`` go to
    the chat model.
    """
    return find_chat_model(name, **options)[0]


def find_chat_model(
    name: str, *, cache: ReplyCache | None = None, **options: Any
) -> tuple[BaseChatModel, Capabilities | None]:
    """As :func:`chat_model`, with what the model can do where that was asked (None: nobody was asked).

    ``cache`` remembers what a server has said to that.
    """
    if name == EMBEDDED:
        from memagent.llm.embedded import EmbeddedChat

        able = Capabilities(json_schema=False, logprobs=False, lora=False, vision=False, at_once=1)
        return EmbeddedChat(**options), able
    if name.startswith(("http://", "https://")):
        from memagent.llm.server import connect

        key = options.pop("api_key", None)
        secret = key.get_secret_value() if hasattr(key, "get_secret_value") else key
        server = connect(name, api_key=secret, cache=cache)
        return server.chat_model(**options), server.capabilities
    provider, separator, model = name.partition(":")
    if not separator or not provider or not model:
        raise InvalidInput(
            f"{name!r} names no chat model", hint="use provider:model, the URL of a server, or 'embedded'"
        )
    try:
        if provider == "openai":
            from langchain_openai import ChatOpenAI

            return ChatOpenAI(**{"model": model, "max_retries": 0, **options}), None
        return _from_langchain(name, options), None
    except Exception as error:  # of the provider's client: most want a key at once
        failure = failure_of(error)
        if failure is None:
            raise
        raise failure.error from error


def _from_langchain(name: str, options: dict[str, Any]) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "langchain":
            raise
        raise MissingExtra(
            f"{name} needs langchain and the package of its provider", hint='pip install "memagent[providers]"'
        ) from None
    try:
        found: BaseChatModel = init_chat_model(name, **options)
    except ImportError as error:  # it names the provider's package
        raise MissingExtra(str(error), hint="install that package") from error
    except ValueError as error:
        raise InvalidInput(
            str(error).partition("\n")[0], hint="use provider:model, the URL of a server, or 'embedded'"
        ) from error
    return found
