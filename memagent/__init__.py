"""memagent: a personal memory of each user for LLM applications.

Importing this package reads, writes and logs nothing, and imports no heavy library: public names are
loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent._version import __version__
from memagent.lazily import lazily

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

__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
