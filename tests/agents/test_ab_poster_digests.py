"""A run whose visitors see posters is resumed with the same pictures and captions only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ab_agent_examples import experiment, fond_of, memory, policy
from ab_examples import CATALOGUE
from poster_examples import colours, picture

from memagent.agents.ab.agent.captions import Captions
from memagent.agents.ab.agent.image_vectors import PosterVectors
from memagent.agents.ab.agent.poster_files import PosterFiles
from memagent.agents.ab.agent.posters import PosterSource
from memagent.agents.ab.agent.visual_memory import VisualMemory
from memagent.agents.ab.catalogue import Catalogue, Item
from memagent.agents.ab.experiment import Experiment
from memagent.agents.ab.sandbox import Layout
from memagent.errors import InvalidInput
from memagent.prompts.ab_visual import PosterCaption
from memagent.testing import ScriptedModel

ITEMS = [
    Item(id=item.id, title=item.title, genres=item.genres, poster=f"{n % 3}.png")
    for n, item in enumerate(CATALOGUE.items)
]
SEEN = Catalogue(ITEMS)
Change = Callable[[Path], object]


def trial(folder: Path, visuals: Any, *, captioner: Any = None, remembered: bool = False, **files: Any) -> Experiment:
    source = PosterSource(PosterFiles(base=folder, **files), captioner=captioner)
    kept: dict[str, Any] = {"memory": VisualMemory(memory(), PosterVectors(source, colours))} if remembered else {}
    by = policy(ScriptedModel(fond_of("War")), visuals=visuals, posters=source, **kept)
    return replace(experiment(by, users=1, layout=Layout(max_pages=1)), catalogue=SEEN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, colour in enumerate(("red", "green")):  # the third is missing
        (tmp_path / f"{number}.png").write_bytes(picture(colour, size=(20, 30)))
    return tmp_path


def captions(folder: Path, *rows: dict[str, str], model: ScriptedModel | None = None) -> Captions:
    path = folder / "captions.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return Captions(model, path=path)


CHANGES: dict[str, Change] = {
    "changed": lambda folder: (folder / "1.png").write_bytes(picture("blue", size=(20, 30))),
    "gone": lambda folder: (folder / "0.png").unlink(),
    "there at last": lambda folder: (folder / "2.png").write_bytes(picture("blue", size=(20, 30))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_a_run_is_not_resumed_with_other_pictures(change: Change, folder: Path) -> None:
    trial(folder, "image").run(folder / "run")
    trial(folder, "image").run(folder / "run")
    (folder / "no poster of an item.png").touch()
    assert trial(folder, "image").fingerprint == json.loads((folder / "run/experiment.json").read_text())["fingerprint"]
    change(folder)
    with pytest.raises(InvalidInput, match=r"another experiment: with other posters \(pictures\) \(name"):
        trial(folder, "image").run(folder / "run")


def test_pictures_count_where_memories_are_recalled_by_them_and_nowhere_else(folder: Path) -> None:
    unseen, remembered = trial(folder, "none"), trial(folder, "none", remembered=True)
    assert "posters" not in unseen.facts()
    assert set(remembered.facts()["posters"]) == {"remembered"}
    assert set(trial(folder, "image", remembered=True).facts()["posters"]) == {"pictures"}
    CHANGES["changed"](folder)
    assert trial(folder, "none").fingerprint == unseen.fingerprint
    assert trial(folder, "none", remembered=True).fingerprint != remembered.fingerprint


def test_captions_by_hand_are_told_apart_whatever_the_pictures(folder: Path) -> None:
    row = {"item": ITEMS[0].id, "caption": "A ship."}
    before = trial(folder, "caption", captioner=captions(folder, row))
    assert set(before.facts()["posters"]) == {"captions"}
    CHANGES["changed"](folder)
    other = captions(folder, row, {"item": "of another catalogue", "caption": "A cat."})
    assert trial(folder, "caption", captioner=other).fingerprint == before.fingerprint
    other = captions(folder, {**row, "caption": "A train."})
    assert trial(folder, "caption", captioner=other).fingerprint != before.fingerprint


def test_captions_that_a_model_adds_while_it_runs_leave_the_experiment_what_it_is(folder: Path) -> None:
    def writer() -> ScriptedModel:
        return ScriptedModel(lambda prompt: PosterCaption(caption=f"Seen {prompt.user}"))

    row = {"item": ITEMS[0].id, "caption": "A ship."}
    captioner = captions(folder, row, model=writer())
    begun = trial(folder, "caption", captioner=captioner)
    begun.run(folder / "run")
    assert len((folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()) > 1
    trial(folder, "caption", captioner=Captions(writer(), path=folder / "captions.jsonl")).run(folder / "run")
    without = trial(folder, "caption", captioner=Captions(path=folder / "captions.jsonl"))
    by_hand = trial(folder, "caption", captioner=captions(folder, {**row, "caption": "A train."}, model=writer()))
    CHANGES["changed"](folder)
    anew = trial(folder, "caption", captioner=captions(folder, row, model=writer()))
    assert len({one.fingerprint for one in (begun, without, by_hand, anew)}) == 4


def test_of_addresses_only_themselves_and_whether_they_are_fetched_is_known(tmp_path: Path) -> None:
    films = [Item(id="1", title="Heat", poster="http://127.0.0.1:9/heat.png")]
    silent, fetching = (PosterSource(PosterFiles(download=on)).digests(films, "image") for on in (False, True))
    assert silent != fetching  # and nothing was asked
    elsewhere = [Item(id="1", title="Heat", poster="http://127.0.0.1:9/other.png")]
    assert PosterSource(PosterFiles(download=True)).digests(elsewhere, "image") != fetching


class Own:
    def caption(self, item: Item, picture: str | None) -> str | None:
        return None


def test_a_captioner_of_ones_own_is_told_by_its_class(folder: Path) -> None:
    assert trial(folder, "caption", captioner=Own()).facts()["posters"]["captions"] == "Own"
