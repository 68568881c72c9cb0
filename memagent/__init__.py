"""memagent: a personal memory of each user for LLM applications.

Importing this package reads, writes and logs nothing, and imports no heavy library: public names are
loaded when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memagent._version import __version__

if TYPE_CHECKING:
    from memagent.encoders import load_encoder
    from memagent.errors import MemagentError
    from memagent.memory import AsyncMemory, Memory
    from memagent.memory.queueing import Inferring
    from memagent.records import Granularity, Message, Session

_HOME = {
    "AsyncMemory": "memagent.memory",
    "Granularity": "memagent.records",
    "Inferring": "memagent.memory.queueing",
    "MemagentError": "memagent.errors",
    "Memory": "memagent.memory",
    "Message": "memagent.records",
    "Session": "memagent.records",
    "load_encoder": "memagent.encoders",
}

__all__ = [
    "AsyncMemory",
    "Granularity",
    "Inferring",
    "MemagentError",
    "Memory",
    "Message",
    "Session",
    "__version__",
    "load_encoder",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home module at first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
