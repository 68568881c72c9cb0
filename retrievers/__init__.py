"""Retrievers: each chooses evidence from one user's memory, and says why.

Public names are loaded at first use, so that listing retrievers imports none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from memagent.lazily import lazily
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

__getattr__, __dir__ = lazily(__name__, _HOME, __all__)
