"""RF-Mem's published settings: those of the paper, and those of its released scripts and code."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from memagent.errors import UnknownName
from memagent.retrievers.checks import check_count

Setting: TypeAlias = Literal["longmemeval", "personamem", "personabench"]
"""A benchmark of the paper."""


def paper_settings(setting: str, k: int) -> dict[str, Any]:
    """Appendix B of arXiv 2603.09250v1, for lists of ``k``; raises UnknownName."""
    check_count("k", k)
    by_setting: dict[str, dict[str, Any]] = {
        "longmemeval": {"theta_low": 0.0, "beam": 4, "fanout": 1},
        "personamem": {"theta_low": 0.3, "beam": 3, "fanout": 2},
        "personabench": {
            "theta_low": 0.0,
            "sharpness": 30.0,
            "probe": None,
            "beam": 3,
            "fanout": 1 if k <= 5 else 2,
        },
    }
    return {"theta_high": 0.6, **_of(setting, by_setting)}


def released_settings(setting: str, path: str) -> dict[str, Any]:
    """What the released scripts run (commit d6a2cb3), with the code's values where they leave one out.

    PersonaBench's program is given thresholds and ignores them; these are the ones it uses. LongMemEval's runs
    recollection alone with another alpha and ``mmr_lambda`` than behind the gate. Raises UnknownName.
    """
    alone = path == "recollection"
    by_setting: dict[str, dict[str, Any]] = {
        "longmemeval": {
            "theta_high": 0.60,
            "theta_low": 0.00,
            "tau": 0.10,
            "alpha": 0.8 if alone else 0.7,
            "beam": 4,
            "fanout": 1,
            "rounds": 50,
            "floor": 0.0,
            "probe_floor": 0.0,
            "mmr_lambda": 0.99 if alone else 1.0,
            "when_empty": "continue",
        },
        "personamem": {
            "theta_high": 0.60,
            "theta_low": 0.30,
            "tau": 0.20,
            "alpha": 0.8,
            "beam": 3,
            "fanout": 2,
            "rounds": 10,
            "floor": 0.3,
            "probe_floor": 0.0,
            "mmr_lambda": 0.95,
            "when_empty": "continue",
        },
        "personabench": {
            "theta_high": 0.5,
            "theta_low": 0.2,
            "tau": 0.20,
            "alpha": 0.8,
            "sharpness": 30.0,
            "probe": None,
            "beam": 4,
            "fanout": 1,
            "rounds": 10,
            "floor": 0.0,
            "mmr_lambda": 0.9,
            "when_empty": "stop",
        },
    }
    return {"gate_test": "below", "branch_score": "code", **_of(setting, by_setting)}


def _of(setting: str, by_setting: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if setting not in by_setting:
        raise UnknownName(f"no published setting {setting!r}", hint=f"use one of {', '.join(map(repr, by_setting))}")
    return by_setting[setting]
