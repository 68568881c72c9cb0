"""Language models: ask any LangChain chat model, start and reach vLLM servers, structured answers, meters, caches.

Importing this package loads no model library: names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent.lazily import lazily

if TYPE_CHECKING:
    from memagent.llm.cache import ReplyCache
    from memagent.llm.chat_models import chat_model
    from memagent.llm.flow import Steps, adrive, asked, asked_at_once, drive
    from memagent.llm.meter import Budget, Meter, Prices, Totals
    from memagent.llm.model import Model, ModelLike, as_model
    from memagent.llm.reply import Reply, TokenLogprob, Usage
    from memagent.llm.retry import Backoff
    from memagent.llm.server import Server, ServerMetrics, connect
    from memagent.llm.structured import read_answer
    from memagent.llm.vllm import VLLMServer
    from memagent.llm.wire import Capabilities
    from memagent.prompts.prompt import Prompt

_HOME = {
    "Backoff": "memagent.llm.retry",
    "Budget": "memagent.llm.meter",
    "Capabilities": "memagent.llm.wire",
    "Meter": "memagent.llm.meter",
    "Model": "memagent.llm.model",
    "ModelLike": "memagent.llm.model",
    "Prices": "memagent.llm.meter",
    "Prompt": "memagent.prompts.prompt",
    "Reply": "memagent.llm.reply",
    "ReplyCache": "memagent.llm.cache",
    "Server": "memagent.llm.server",
    "ServerMetrics": "memagent.llm.server",
    "Steps": "memagent.llm.flow",
    "TokenLogprob": "memagent.llm.reply",
    "Totals": "memagent.llm.meter",
    "Usage": "memagent.llm.reply",
    "VLLMServer": "memagent.llm.vllm",
    "adrive": "memagent.llm.flow",
    "as_model": "memagent.llm.model",
    "asked": "memagent.llm.flow",
    "asked_at_once": "memagent.llm.flow",
    "chat_model": "memagent.llm.chat_models",
    "connect": "memagent.llm.server",
    "drive": "memagent.llm.flow",
    "read_answer": "memagent.llm.structured",
}

__all__ = [
    "Backoff",
    "Budget",
    "Capabilities",
    "Meter",
    "Model",
    "ModelLike",
    "Prices",
    "Prompt",
    "Reply",
    "ReplyCache",
    "Server",
    "ServerMetrics",
    "Steps",
    "TokenLogprob",
    "Totals",
    "Usage",
    "VLLMServer",
    "adrive",
    "as_model",
    "asked",
    "asked_at_once",
    "chat_model",
    "connect",
    "drive",
    "read_answer",
]

__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
