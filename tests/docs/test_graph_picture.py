"""The pictures of the agents' graphs show the graphs as they are."""

from __future__ import annotations

import runpy
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "agents"


def test_the_pictures_are_what_their_script_draws() -> None:
    pictures = runpy.run_path(str(FOLDER / "draw_graphs.py"))["PICTURES"]
    for name, picture in pictures.items():
        assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == picture.drawn(), "draw them anew, see the script"


def test_the_picture_of_device_and_cloud_is_what_its_script_draws() -> None:
    drawn = runpy.run_path(str(FOLDER / "draw_lsrp.py"))["drawn"]
    assert (FOLDER / "lsrp.svg").read_text(encoding="utf-8") == drawn(), "draw it anew, see the script"
