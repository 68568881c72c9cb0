"""The small file in which thresholds fitted to one encoder are kept; ``memagent calibrate`` writes it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from memagent._version import __version__
from memagent.errors import DataError, InvalidInput

SCHEMA = 1
_KIND = "rf-mem calibration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Thresholds of :class:`~memagent.retrievers.rf_mem.RFMem`, and what they hold for.

    ``encoder`` is the fingerprint of the encoder whose cosines were measured and ``granularity`` the units; ``tau`` is
    on the scale of ``entropy_reduction``, ``sharpness``, ``probe`` (None: as many units as asked for) and
    ``probe_floor`` (None: every cosine counts). ``method`` is ``labelled`` or ``unlabelled``, ``data`` says what was
    measured and ``measured`` what came out.
    """

    encoder: str
    granularity: str
    theta_high: float
    theta_low: float
    tau: float
    alpha: float
    sharpness: float
    probe: int | None
    probe_floor: float | None
    entropy_reduction: str
    method: str
    data: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)
    version: str = __version__

    def as_json(self) -> str:
        """The text of the file."""
        return json.dumps({"kind": _KIND, "schema": SCHEMA, **asdict(self)}, indent=1, allow_nan=False) + "\n"


def read_calibration(path: str) -> Calibration:
    """The calibration in a file; raises InvalidInput if there is none to read and DataError for anything else."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"the calibration {path} cannot be read: {reason}", hint="`memagent calibrate rf-mem` writes one"
        ) from None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        raise _damaged(path, "is not JSON") from None
    if not isinstance(record, dict) or record.get("kind") != _KIND:
        raise _damaged(path, f"is not a {_KIND}")
    if record.get("schema") != SCHEMA:
        raise _damaged(path, f"has the schema {record.get('schema')!r}, not {SCHEMA}")
    return _checked(path, record)


def _checked(path: str, record: Mapping[str, Any]) -> Calibration:
    values = {}
    for name in (each.name for each in fields(Calibration)):
        if name not in record:
            raise _damaged(path, f"has no {name}")
        if not _FITS[name](record[name]):
            raise _damaged(path, f"has the {name} {record[name]!r}")
        values[name] = record[name]
    if values["theta_low"] > values["theta_high"]:
        raise _damaged(path, "has a theta_low above its theta_high")
    return Calibration(**values)


def _damaged(path: str, what: str) -> DataError:
    return DataError(f"the file {path} {what}", hint="make it again with `memagent calibrate rf-mem`")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _facts(value: Any) -> bool:
    return isinstance(value, dict)


_FITS: dict[str, Callable[[Any], bool]] = {
    "encoder": _text,
    "granularity": _text,
    "theta_high": lambda value: _number(value) and -2 <= value <= 2,
    "theta_low": lambda value: _number(value) and -2 <= value <= 2,
    "tau": lambda value: _number(value) and value >= -1,
    "alpha": lambda value: _number(value) and 0 <= value <= 1,
    "sharpness": lambda value: _number(value) and value >= 0,
    "probe": lambda value: value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1),
    "probe_floor": lambda value: value is None or (_number(value) and -2 <= value <= 2),
    "entropy_reduction": lambda value: value in ("mean", "sum"),
    "method": _text,
    "data": _facts,
    "measured": _facts,
    "version": _text,
}
