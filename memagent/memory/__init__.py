"""The memory layer's face: :class:`Memory` and its asynchronous twin :class:`AsyncMemory`."""

from memagent.memory.asynchronous import AsyncMemory
from memagent.memory.synchronous import Memory

__all__ = ["AsyncMemory", "Memory"]
