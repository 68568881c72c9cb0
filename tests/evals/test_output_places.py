from __future__ import annotations

from pathlib import Path

import pytest

from memagent.errors import InvalidInput
from memagent.evals.measuring import check_places


def test_two_outputs_in_one_place_are_refused_however_it_is_named(tmp_path: Path) -> None:
    place = tmp_path / "result.json"
    (tmp_path / "link.json").symlink_to(place)
    (tmp_path / "circle.json").symlink_to(tmp_path / "circle.json")
    check_places(place, None, tmp_path / "rows.jsonl", tmp_path / "circle.json")
    for other in (place, tmp_path / "link.json", tmp_path / ".." / tmp_path.name / "result.json"):
        with pytest.raises(InvalidInput, match="two outputs"):
            check_places(place, other)
    for wrong in (tmp_path, tmp_path / "missing" / "result.json"):
        with pytest.raises(InvalidInput, match="not a place"):
            check_places(wrong)
