"""``eval ab`` with posters, captions and a model that ranks, behind servers that note what they are sent."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from fake_server import Fake, serving
from PIL import Image
from typer.testing import CliRunner

from memagent.cli import app

pytestmark = pytest.mark.model

CONFIG = """
data: {{kind: tables, items: items.csv, ratings: ratings.csv}}
arms:
  - popularity
  - {{kind: llm-ranker, name: ranked, parameters: {{model: "{ranker}", candidates: 4}}}}
users: 3
layout: {{page_size: 3, max_pages: 1, max_steps: 6}}
policy: {{kind: agent, model: "{model}", recalled: 0, concurrency: 2, {more}}}
"""


def text_of(turn: dict[str, Any]) -> str:
    content = turn["content"]
    return content if isinstance(content, str) else str(content[0]["text"])


def pictures_of(body: dict[str, Any]) -> list[str]:
    content = body["messages"][1]["content"]
    return [] if isinstance(content, str) else [part["image_url"]["url"] for part in content[1:]]


def reply(body: dict[str, Any]) -> str:
    """Leaves at once; ranks backwards; says that everything is red."""
    user = text_of(body["messages"][1]) if len(body["messages"]) > 1 else ""
    if "<candidates>" in user:
        numbers = re.findall(r"^(\d+)\. ", user, re.MULTILINE)
        said: dict[str, Any] = {"order": [int(number) for number in reversed(numbers)][1:]}
    elif "<outcome>" in user:
        said = {"reason": "fine", "satisfaction": 6, "returns": False}
    elif user.startswith("<title>"):
        said = {"caption": "All red."}
    else:
        said = {"reason": "enough", "interest": 2, "action": "exit"}
    return f"<answer>{json.dumps(said)}</answer>"


def run(folder: Path, model: Fake, ranker: Fake, more: str, *, colour: str = "red") -> Any:
    made = io.BytesIO()
    Image.new("RGB", (40, 60), colour).save(made, "PNG")
    (folder / "red.png").write_bytes(made.getvalue())
    (folder / "broken.png").write_bytes(made.getvalue()[:90])
    posters = ["red.png", "broken.png", "gone.png", "", "red.png", "red.png", "red.png", "red.png"]
    items = [f"i{n},Film {n},Drama,{poster}" for n, poster in enumerate(posters)]
    (folder / "items.csv").write_text("\n".join(["id,title,genres,poster", *items]))
    rows = [f"u{u},i{(u + n) % 8},{1 + (u * n) % 5}" for u in range(4) for n in range(5)]
    (folder / "ratings.csv").write_text("\n".join(["user,item,rating", *rows]))
    path = folder / "experiment.yaml"
    path.write_text(CONFIG.format(model=model.url, ranker=ranker.url, more=more))
    command = ["eval", "ab", "--config", str(path), "--out", str(folder / "out"), "--markdown"]
    return CliRunner().invoke(app, command)


def asked(fake: Fake, word: str) -> list[dict[str, Any]]:
    """What was asked, without what found out what the server can do."""
    return [one for one in fake.requests if len(one["messages"]) > 1 and word in text_of(one["messages"][1])]


def test_a_vision_model_sees_the_posters_and_a_ranker_is_asked_once_for_each_list(tmp_path: Path) -> None:
    with (
        serving(Fake(reply=reply, guides=False, vision=True)) as fake,
        serving(Fake(reply=reply, guides=False)) as ranker,
    ):
        done = run(tmp_path, fake, ranker, "visuals: auto")
        assert done.exit_code == 0, done.output
        first = json.loads((tmp_path / "out" / "report.json").read_text())
        pages = asked(fake, 'kind="list"')
        before = len(ranker.requests)
        assert run(tmp_path, fake, ranker, "visuals: auto").exit_code == 0
        assert len(asked(fake, 'kind="list"')) == len(pages)
        assert len(ranker.requests) - before <= 3  # what finds out what the server can do
        other = run(tmp_path, fake, ranker, "visuals: auto", colour="blue")
        assert other.exit_code == 2
        assert "with other posters (pictures)" in " ".join(other.output.split())
    for page in pages:
        text = text_of(page["messages"][1])
        assert len(pictures_of(page)) == text.count(' picture="')
        assert all(url.startswith("data:image/jpeg;base64,") for url in pictures_of(page))
    assert any(pictures_of(page) for page in pages)
    lists = asked(ranker, "<candidates>")
    assert len(lists) == len({str(one["messages"]) for one in lists}) <= 2 * 3  # on the site, and offline
    assert first["extra"]["rankers"]["ranked"]["calls"] == len(lists)
    assert first["extra"]["agent"]["posters"]["no poster"] == 1
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["extra"]["rankers"] == first["extra"]["rankers"]  # of both runs, and the second asked nothing
    assert [arm["name"] for arm in report["arms"]] == ["popularity", "ranked"]
    assert report["arms"][1]["faults"]["reranked_missing"] >= 3
    assert any("left out items in 3 of 3 visits" in text for text in report["warnings"])
    assert "were ranked by a language model" in done.output.replace("\n", " ")


def test_a_model_that_only_reads_is_given_captions_that_another_one_has_written(tmp_path: Path) -> None:
    with (
        serving(Fake(reply=reply, guides=False)) as reads,
        serving(Fake(reply=reply, guides=False, vision=True)) as sees,
    ):
        done = run(tmp_path, reads, reads, f'visuals: auto, captioner: "{sees.url}"')
        assert done.exit_code == 0, done.output
        pages = asked(reads, 'kind="list"')
        captions = asked(sees, "<title>")
    assert any("poster: All red." in text_of(page["messages"][1]) for page in pages)
    assert not any(pictures_of(page) for page in asked(reads, ""))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["extra"]["agent"]["calls"] == len(asked(reads, "<person>")) - len(asked(reads, "<candidates>")) + len(
        captions
    )
    assert set(report["facts"]["posters"]) == {"captions", "pictures"}
    titles = [text_of(one["messages"][1]) for one in captions]
    assert len(titles) == len(set(titles)) > 0
    assert all(len(pictures_of(one)) == 1 for one in captions)


def test_pictures_for_a_model_that_only_reads_are_refused_before_anything_runs(tmp_path: Path) -> None:
    with serving(Fake(reply=reply, guides=False)) as reads:
        refused = run(tmp_path, reads, reads, "visuals: caption, captions: nowhere.jsonl")
        assert (refused.exit_code, "no file of captions" in refused.output) == (2, True)
        refused = run(tmp_path, reads, reads, "visuals: image")
    assert refused.exit_code != 0
    assert "does not see pictures" in refused.output.replace("\n", " ")
    assert not (tmp_path / "out" / "run").exists()
