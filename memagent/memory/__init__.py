"""The memory layer's face: :class:`Memory` and its asynchronous twin :class:`AsyncMemory`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from memagent.memory.synchronous import Memory

if TYPE_CHECKING:
    from memagent.memory.asynchronous import AsyncMemory

__all__ = ["AsyncMemory", "Memory"]


def __getattr__(name: str) -> Any:
    """Load the asynchronous face when it is asked for: its event loops take long to import."""
    if name != "AsyncMemory":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from memagent.memory.asynchronous import AsyncMemory

    return AsyncMemory
