"""Doubles and contracts for code that uses or extends memagent; imported by tests only.

The contracts import pytest, so each name is loaded when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent.lazily import lazily

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

__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
