"""The picture of the agent's graph shows the graph as it is."""

from __future__ import annotations

import runpy
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "agents"


def test_the_picture_is_what_its_script_draws() -> None:
    drawn = runpy.run_path(str(FOLDER / "draw_reason_rag.py"))["drawn"]
    assert (FOLDER / "reason_rag.svg").read_text(encoding="utf-8") == drawn(), "draw it anew, see the script"
