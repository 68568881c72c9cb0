"""HTTP clients for OpenAI-compatible models whose connections are not kept from one call to the next.

A connection belongs to the event loop in which it was opened, and langchain-openai keeps one pool for all loops: the
second ``asyncio.run`` of a program would meet connections of the first, and fail. Opening one takes milliseconds,
an answer seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def clients(*, local: bool) -> dict[str, Any]:
    """``http_client`` and ``http_async_client`` for ``ChatOpenAI``.

    ``local``: the server is on this machine, and a proxy of the environment is not for it.
    """
    import openai

    return {
        "http_client": openai.DefaultHttpxClient(limits=_unkept(), trust_env=not local),
        "http_async_client": openai.DefaultAsyncHttpxClient(limits=_unkept(), trust_env=not local),
    }


def for_any_loop(chat: BaseChatModel) -> BaseChatModel:
    """A copy of an OpenAI-compatible model that may be used in one event loop after the other."""
    import openai

    root: Any = getattr(chat, "root_async_client", None)
    if root is None or getattr(chat, "http_async_client", None) is not None or getattr(chat, "openai_proxy", None):
        return chat  # with a client or a proxy of its own it stays as it was made
    fresh = root.copy(http_client=openai.DefaultAsyncHttpxClient(limits=_unkept()))
    return chat.model_copy(update={"root_async_client": fresh, "async_client": fresh.chat.completions})


def _unkept() -> Any:
    import openai

    kept = openai.DEFAULT_CONNECTION_LIMITS  # of httpx or httpx2, as openai's version has it
    return type(kept)(max_connections=kept.max_connections, max_keepalive_connections=0)
