from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from memagent.agents.ab.ratings import split
from memagent.agents.ab.synthetic import synthetic
from memagent.cli import app
from memagent.errors import DataError, InvalidInput
from memagent.evals.ab.augmenting import augment, pairs_to_test
from memagent.evals.ab.augmenting_config import Augmented
from memagent.evals.ab.config import read_config
from memagent.evals.ab.running import prepare

CONFIG = """
data: {kind: synthetic, size: 30}
arms: [popularity]
users: 12
augment:
  models: [{kind: fm, parameters: {epochs: 1, factors: 4}}]
  reference: item-knn
  rank_limit: 15
  seeds: [0, 1]
  negatives: [rated, unrated]
"""


def write(folder: Path, text: str = CONFIG) -> Path:
    path = folder / "augment.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_models_with_and_without_simulated_rows_from_a_file_to_a_table_and_again_without_work(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["eval", "ab-augment", "--config", str(write(tmp_path)), "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    result = json.loads((out / "augmentation.json").read_text(encoding="utf-8"))
    lines = {(row["negatives"], row["added"]): row for row in result["rows"]}
    assert len(lines) == 2 * 8
    clicks, filtered = lines["rated", "clicks"], lines["rated", "clicks, filtered"]
    assert 0 < filtered["rows"] < clicks["rows"] == lines["rated", "clicks, random"]["rows"]
    assert all(len(row["auc"]) == 2 and min(row["auc"]) > 0 for row in result["rows"])
    change = next(c for c in result["comparisons"] if (c["negatives"], c["added"]) == ("rated", "clicks"))
    by_hand = np.mean(clicks["auc"]) - np.mean(lines["rated", "nothing"]["auc"])
    assert change["over_seeds"]["mean"] == pytest.approx(by_hand)
    assert change["over_users"]["mean"] == pytest.approx(by_hand)
    assert 0 < result["kept"]["clicks"] < 1
    assert 0 < result["of_validation"]["clicks"] < 1
    assert "validation rows" in (out / "augmentation.md").read_text(encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    assert CliRunner().invoke(app, [*command, "--markdown"]).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()} == before
    assert json.loads((out / "augmentation.json").read_text(encoding="utf-8")) == result


def test_what_a_model_is_tested_on_is_liked_and_something_else() -> None:
    data = synthetic(users=20, items=100)
    parts = split(data.ratings)
    rated = pairs_to_test(data, parts, negatives="rated", liked=4)
    assert (rated.labels == (parts.test.ratings >= 4)).all()
    unrated = pairs_to_test(data, parts, negatives="unrated", liked=4)
    half = len(unrated.labels) // 2
    assert half == rated.labels.sum()
    everything = set(zip(data.ratings.users.tolist(), data.ratings.items.tolist(), strict=True))
    drawn = list(zip(unrated.users[half:].tolist(), unrated.items[half:].tolist(), strict=True))
    assert not everything & set(drawn)
    assert (unrated.users[half:] == unrated.users[:half]).all()


def test_only_models_with_scores_of_single_rows_can_be_augmented(tmp_path: Path) -> None:
    settings = read_config(
        write(tmp_path, CONFIG.replace("kind: fm, parameters: {epochs: 1, factors: 4}", "kind: svd")), Augmented
    )
    prepared = prepare(settings, base=tmp_path, cache=None, say=lambda _: None)
    with pytest.raises(InvalidInput, match="svd gives no scores"):
        augment(settings, prepared, tmp_path, say=lambda _: None)


@pytest.mark.parametrize("wrong", ["seeds: []", "seeds: [-1]", "rank_limit: 0", "negatives: [hated]", "models: []"])
def test_an_augmentation_that_makes_no_sense_names_the_field(tmp_path: Path, wrong: str) -> None:
    text = f"data: {{kind: synthetic}}\narms: [popularity]\naugment: {{{wrong}}}"
    with pytest.raises(DataError, match=f"augment.{wrong.partition(':')[0]}"):
        read_config(write(tmp_path, text), Augmented)
