"""Where the development data sets are. They are not part of the project: tests that need them are skipped without."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def shared_path(*parts: str) -> Path:
    """The path of a development data file or folder; skips the calling test when it is not there."""
    given = os.environ.get("MEMAGENT_SHARED_DATA")
    root = Path(given) if given else Path(__file__).resolve().parents[2] / "shared" / "data"
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no development data: {'/'.join(parts)} is not in ../shared/data (or MEMAGENT_SHARED_DATA)")
    return path
