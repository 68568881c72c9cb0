"""What LangChain's chat models have no common name for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def with_options(chat: BaseChatModel, options: Mapping[str, Any]) -> tuple[BaseChatModel, dict[str, Any]]:
    """The model, and the arguments of a call, that stand for ``options`` (``max_tokens``, ``temperature``, ``stop``).

    Most take these names. Gemini's model calls the first ``max_output_tokens`` and passes over the other name;
    Ollama's takes neither it nor a temperature as an argument, and reads its own fields at every call.
    """
    fields = type(chat).model_fields
    left = dict(options)
    if "num_predict" in fields:
        own = {"num_predict": left.pop("max_tokens")}
        if "temperature" in left:
            own["temperature"] = left.pop("temperature")
        return chat.model_copy(update=own), left
    if "max_output_tokens" in fields and "max_tokens" not in fields:
        left["max_output_tokens"] = left.pop("max_tokens")
    return chat, left
