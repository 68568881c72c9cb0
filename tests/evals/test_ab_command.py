from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memagent.cli import app
from memagent.errors import DataError, InvalidInput, UnknownName
from memagent.evals.ab import augment_command, command, validate_command
from memagent.evals.ab.config import read_config
from memagent.evals.ab.running import load, prepare

CONFIG = """
title: Knn <against> popularity
data: {kind: synthetic, size: 120}
arms:
  - popularity
  - {kind: item-knn, name: knn, parameters: {neighbours: 30}}
users: 50
calibrate: {arm: knn, users: 30, seeds: [1], targets: {1: 2.0, 2: 2.2, 3: 2.4}}
position_check: true
"""


def write(folder: Path, text: str = CONFIG) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    return path


class Titles(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._inside = tag in ("h1", "h2")

    def handle_data(self, data: str) -> None:
        if self._inside and data.strip():
            self.found.append(data.strip())


def test_an_experiment_from_a_file_to_its_report_and_again_without_work(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["eval", "ab", "--config", str(write(tmp_path)), "--out", str(out)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "knn does" in done.output.replace("\n", " ") or "No difference" in done.output.replace("\n", " ")
    result = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert [arm["name"] for arm in result["arms"]] == ["popularity", "knn"]
    assert result["users"] == 50
    assert {row["metric"] for row in result["differences"]} >= {
        "ctr",
        "cvr",
        "ar",
        "depth",
        "satisfaction",
        "retention",
    }
    assert len(result["position"]) == 2
    assert set(result["extra"]) == {"calibration", "kendall_tau", "places", "reversed_verdicts"}
    assert [effect["arm"] for effect in result["extra"]["places"]] == ["popularity", "knn"]
    assert result["extra"]["calibration"]["on"] == "users who are not in the experiment"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Knn &lt;against&gt; popularity" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", "")  # fmt: skip
    titles = Titles()
    titles.feed(page)
    assert "What this cannot tell" in titles.found
    assert "| knn |" in (out / "report.md").read_text(encoding="utf-8")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert CliRunner().invoke(app, [*command, "--markdown"]).exit_code == 0
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    user = json.loads((out / "run" / "visits.jsonl").read_text(encoding="utf-8").splitlines()[0])["user"]
    told = CliRunner().invoke(app, [*command, "--replay", user])
    assert told.exit_code == 0
    assert f"{user} visits knn" in told.output
    assert CliRunner().invoke(app, [*command, "--replay", "nobody"]).exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "holds no settings"),
        ("{", "cannot be read"),
        ('data: {kind: synthetic}\narms: [popularity]\ntitle: "\\ud800"', "lone surrogate"),
        ("data: &a {kind: *a}", "nested without end"),
        ("arms: [popularity]", "data: Field required"),
        ("data: {kind: synthetic}\narms: []", "arms"),
        ("data: {kind: synthetic}\narms: [popularity]\nprimary: fun", "'fun' is no metric"),
        ("data: {kind: synthetic}\narms: [popularity]\nusers: 0", "users"),
        ("data: {kind: synthetic}\narms: [popularity]\nlayuot: {}", "layuot"),
    ],
)
def test_a_file_that_cannot_be_used_names_the_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_config(write(tmp_path, text))


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        ("arms: [nothing]", UnknownName, "no arm 'nothing'"),
        ("arms: [popularity]\npolicy: {habits: {luck: 1}}", UnknownName, "no habit 'luck'"),
        ("arms: [popularity]\npolicy: {habits: {factors: -3}}", InvalidInput, "habit factors is -3"),
        ("arms: [popularity]\npolicy: {habits: {threshold: .nan}}", InvalidInput, "habit threshold is nan"),
        ("arms: [popularity]\npolicy: {habits: {factors: .inf}}", InvalidInput, "habit factors is inf"),
        ("arms: [popularity]\npolicy: {habits: {factors: 2.5}}", InvalidInput, "habit factors is 2.5"),
        ("arms: [popularity]\ncalibrate: {arm: knn}", UnknownName, "'knn'"),
        ("arms: [popularity, popularity]", InvalidInput, "takes part twice"),
        ("arms: [popularity]\nlayout: {page_size: 0}", InvalidInput, "layout"),
    ],
)
def test_settings_that_make_no_experiment_are_refused(
    tmp_path: Path, more: str, kind: type[Exception], said: str
) -> None:
    config = read_config(write(tmp_path, f"data: {{kind: synthetic, size: 20}}\nusers: 5\n{more}"))
    with pytest.raises(kind, match=said):
        prepare(config, base=tmp_path, cache=None, say=lambda _: None)


def test_ids_that_yaml_reads_as_numbers_are_ids(tmp_path: Path) -> None:
    text = "data: {kind: synthetic}\narms: [popularity]\nusers: [1, u2, 03, true]"
    with pytest.raises(DataError, match="users"):
        read_config(write(tmp_path, text))
    assert read_config(write(tmp_path, text.replace(", true", ""))).users == ["1", "u2", "3"]


def test_users_can_be_named_and_strangers_have_no_history(tmp_path: Path) -> None:
    text = "data: {kind: synthetic, size: 20}\narms: [popularity]\nusers: [u3, stranger]"
    prepared = prepare(read_config(write(tmp_path, text)), base=tmp_path, cache=None, say=lambda _: None)
    assert [user.cold for user in prepared.experiment.users] == [False, True]


@pytest.mark.parametrize("data", ["{kind: tables}", "{kind: ml-1m}"])
def test_a_data_set_must_say_where_it_is(tmp_path: Path, data: str) -> None:
    config = read_config(write(tmp_path, f"data: {data}\narms: [popularity]"))
    with pytest.raises(InvalidInput, match="need"):
        load(config.data, tmp_path)


@pytest.mark.parametrize("module", [command, validate_command, augment_command])
def test_the_example_in_the_help_is_shown_whole(module: Any) -> None:
    name = module.EXAMPLE.split()[3]
    shown = CliRunner().invoke(app, ["eval", name, "--help"]).stdout
    assert "".join(module.EXAMPLE.replace("\\", "").split()) in "".join(shown.split())


def test_pages_show_the_mean_ratings_of_the_training_part(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, "data: {kind: synthetic, size: 40}\narms: [popularity]\nusers: 5"))
    prepared = prepare(config, base=tmp_path, cache=None, say=lambda _: None)
    shown = prepared.experiment.catalogue
    assert sum(item.votes for item in shown.items) == len(prepared.parts.train)
    assert shown.fingerprint == prepared.dataset.catalogue_by(prepared.parts.train).fingerprint
