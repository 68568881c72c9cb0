"""Thresholds that come from a file."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from memagent.errors import DataError, InvalidInput
from memagent.records import Granularity, Query
from memagent.retrievers import RFMem, make
from memagent.retrievers.calibration import Calibration, read_calibration
from memagent.testing.retriever_contract import TURNS
from memagent.testing.views import ArrayView, history, word_vector

FITTED = Calibration(
    encoder="words",
    granularity="turn",
    theta_high=0.55,
    theta_low=0.21,
    tau=0.19,
    alpha=0.7,
    sharpness=20.0,
    probe=10,
    probe_floor=None,
    entropy_reduction="mean",
    method="labelled",
    data={"name": "locomo"},
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "thresholds.json"
    path.write_text(FITTED.as_json(), encoding="utf-8")
    return path


def written(path: Path, **changes: Any) -> str:
    """The file with fields changed; those that are set to ``...`` are left out."""
    record = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    path.write_text(json.dumps({k: v for k, v in record.items() if v is not ...}), encoding="utf-8")
    return str(path)


def test_what_is_written_is_read(file: Path) -> None:
    assert read_calibration(str(file)) == FITTED
    whole = replace(FITTED, probe=None, sharpness=30.0, entropy_reduction="sum", measured={"fitted": 0.5})
    file.write_text(whole.as_json(), encoding="utf-8")
    assert read_calibration(str(file)) == whole


def test_thresholds_come_from_the_file_unless_they_are_given(file: Path) -> None:
    loaded = RFMem(calibration=str(file))
    assert (loaded.theta_high, loaded.theta_low, loaded.tau, loaded.alpha) == (0.55, 0.21, 0.19, 0.7)
    assert loaded.calibrated == FITTED
    assert asdict(loaded)["calibrated"]["data"] == {"name": "locomo"}
    some = make("rf-mem", calibration=str(file), alpha="0.3", theta_low=0)
    assert isinstance(some, RFMem)
    assert (some.theta_high, some.theta_low, some.tau, some.alpha) == (0.55, 0, 0.19, 0.3)
    assert hash(loaded) != hash(some)
    assert replace(loaded, path="recollection").tau == 0.19


def test_the_file_is_for_one_encoder_and_one_granularity(file: Path) -> None:
    loaded = RFMem(calibration=str(file))
    units, query = history(TURNS), Query(text="birds", vector=word_vector("birds"))
    assert len(loaded.retrieve(query, ArrayView(units), 3).hits) == 3
    with pytest.raises(InvalidInput, match="another encoder"):
        loaded.retrieve(query, ArrayView(units, encoder="letters"), 3)
    with pytest.raises(InvalidInput, match="'turn', not 'session'"):
        loaded.retrieve(replace(query, granularity=Granularity.SESSION), ArrayView(units), 3)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"entropy_reduction": "sum"}, "entropy_reduction=mean"),
        ({"probe": 20}, "probe=10"),
        ({"sharpness": 30}, "20"),
        ({"probe_floor": 0.0}, "None"),
    ],
)
def test_a_probe_of_another_kind_is_refused(file: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        RFMem(calibration=str(file), **settings)


def test_a_missing_file_is_refused_with_what_makes_one(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(InvalidInput, match="memagent calibrate"):
            RFMem(calibration=str(path))
    with pytest.raises(InvalidInput, match="cannot be read"):
        make("rf-mem", calibration="a\0b")


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", "null", '{"kind": "rf-mem calibration"}', "[" * 100_000])
def test_a_file_of_another_kind_is_refused(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"thresholds\.json"):
        read_calibration(str(file))
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_calibration(str(file))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 2}, "schema 2, not 1"),
        ({"tau": ...}, "has no tau"),
        ({"encoder": ...}, "has no encoder"),
        ({"encoder": ""}, "the encoder ''"),
        ({"theta_high": "0.6"}, "theta_high '0.6'"),
        ({"theta_high": 3}, "theta_high 3"),
        ({"theta_low": True}, "theta_low True"),
        ({"theta_low": 0.9}, "theta_low above its theta_high"),
        ({"alpha": 1.5}, "alpha 1.5"),
        ({"tau": float("nan")}, "tau nan"),
        ({"probe": 0}, "probe 0"),
        ({"probe_floor": 3}, "probe_floor 3"),
        ({"sharpness": -1}, "sharpness -1"),
        ({"entropy_reduction": "max"}, "entropy_reduction 'max'"),
        ({"measured": []}, r"measured \[\]"),
    ],
)
def test_a_damaged_file_is_refused_with_the_field(file: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        RFMem(calibration=written(file, **changes))
