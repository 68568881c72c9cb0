"""Retrievers: each chooses evidence from one user's memory, and says why.

Public names are loaded at first use, so that listing retrievers imports none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from memagent.retrievers.registry import make, names, parameters, parse_param, register

if TYPE_CHECKING:
    from memagent.retrievers.adaptive import Adaptive
    from memagent.retrievers.bm25 import Bm25
    from memagent.retrievers.dense import Dense
    from memagent.retrievers.hybrid import Hybrid
    from memagent.retrievers.llm_filter import LLMFilter
    from memagent.retrievers.memgas import MemGAS
    from memagent.retrievers.port import Retriever
    from memagent.retrievers.rf_mem import RFMem

_HOME = {
    "Adaptive": "memagent.retrievers.adaptive",
    "Bm25": "memagent.retrievers.bm25",
    "Dense": "memagent.retrievers.dense",
    "Hybrid": "memagent.retrievers.hybrid",
    "LLMFilter": "memagent.retrievers.llm_filter",
    "MemGAS": "memagent.retrievers.memgas",
    "RFMem": "memagent.retrievers.rf_mem",
    "Retriever": "memagent.retrievers.port",
}

__all__ = [
    "Adaptive",
    "Bm25",
    "Dense",
    "Hybrid",
    "LLMFilter",
    "MemGAS",
    "RFMem",
    "Retriever",
    "make",
    "names",
    "parameters",
    "parse_param",
    "register",
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
