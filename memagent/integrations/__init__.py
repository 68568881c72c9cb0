"""memagent inside other frameworks: LangGraph, LangMem, LangChain, MCP, mem0.

Importing this package loads none of them: names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent.lazily import lazily

if TYPE_CHECKING:
    from memagent.integrations.chat_history import MemagentChatMessageHistory
    from memagent.integrations.importers import acopy_langgraph_store, aimport_mem0, copy_langgraph_store, import_mem0
    from memagent.integrations.langchain import MemagentRetriever
    from memagent.integrations.langgraph import MemagentStore
    from memagent.integrations.middleware import MemoryMiddleware
    from memagent.integrations.nodes import recall_node, remember_node
    from memagent.integrations.recalling import with_memories

_HOME = {
    "MemagentChatMessageHistory": "memagent.integrations.chat_history",
    "MemagentRetriever": "memagent.integrations.langchain",
    "MemagentStore": "memagent.integrations.langgraph",
    "MemoryMiddleware": "memagent.integrations.middleware",
    "acopy_langgraph_store": "memagent.integrations.importers",
    "aimport_mem0": "memagent.integrations.importers",
    "copy_langgraph_store": "memagent.integrations.importers",
    "import_mem0": "memagent.integrations.importers",
    "recall_node": "memagent.integrations.nodes",
    "remember_node": "memagent.integrations.nodes",
    "with_memories": "memagent.integrations.recalling",
}

__all__ = [
    "MemagentChatMessageHistory",
    "MemagentRetriever",
    "MemagentStore",
    "MemoryMiddleware",
    "acopy_langgraph_store",
    "aimport_mem0",
    "copy_langgraph_store",
    "import_mem0",
    "recall_node",
    "remember_node",
    "with_memories",
]

__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
