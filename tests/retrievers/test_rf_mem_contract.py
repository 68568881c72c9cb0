from __future__ import annotations

from typing import Any

import pytest

from memagent.retrievers import make
from memagent.retrievers.port import Retriever
from memagent.testing.retriever_contract import RetrieverContract

SETTINGS: dict[str, dict[str, Any]] = {
    "gated": {},
    "familiarity": {"path": "familiarity"},
    "recollection": {"path": "recollection"},
    "longmemeval": {"path": "recollection", "theta_low": 0, "alpha": 0.7, "tau": 0.1, "rounds": 50},
    "personamem": {"path": "recollection", "beam": 3, "fanout": 2},
    "code": {"path": "recollection", "branch_score": "code", "mmr_lambda": 0.9, "when_empty": "continue"},
    "codes-gate": {"gate_test": "below", "probe_floor": 0.0},
    "algorithm-3": {"path": "recollection", "duplicates": "after", "centroid": "mean"},
    "full-exploration": {"path": "recollection", "early_stop": False, "final_order": "rerank", "budget": "below-k"},
    "summed-entropy": {"entropy_reduction": "sum", "tau": 1.5, "probe": None},
}


class TestRFMem(RetrieverContract):
    """Its lists depend on k, so that a longer one need not begin with the shorter one."""

    @pytest.fixture(params=SETTINGS.values(), ids=list(SETTINGS))
    def retriever(self, request: pytest.FixtureRequest) -> Retriever:
        return make("rf-mem", **request.param)
