"""Doubles and contracts for code that uses or extends memagent; imported by tests only.

The contracts import pytest, so each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memagent.testing.encoder_contract import EncoderContract
    from memagent.testing.encoders import HashingEncoder
    from memagent.testing.faulty_vfs import FaultyVFS
    from memagent.testing.langgraph_store_contract import LangGraphStoreContract
    from memagent.testing.models import FakeClock, ScriptedModel
    from memagent.testing.store_contract import MemoryStoreContract

_HOME = {
    "EncoderContract": "memagent.testing.encoder_contract",
    "FakeClock": "memagent.testing.models",
    "FaultyVFS": "memagent.testing.faulty_vfs",
    "HashingEncoder": "memagent.testing.encoders",
    "LangGraphStoreContract": "memagent.testing.langgraph_store_contract",
    "MemoryStoreContract": "memagent.testing.store_contract",
    "ScriptedModel": "memagent.testing.models",
}

__all__ = [
    "EncoderContract",
    "FakeClock",
    "FaultyVFS",
    "HashingEncoder",
    "LangGraphStoreContract",
    "MemoryStoreContract",
    "ScriptedModel",
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
