from __future__ import annotations

import base64
import io
import json
import logging
import os
import resource
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from poster_examples import film, picture, site

from memagent.agents.ab.agent import pictures
from memagent.agents.ab.agent.captions import Captions
from memagent.agents.ab.agent.pictures import shrunk
from memagent.agents.ab.agent.poster_files import Limits, PosterFiles
from memagent.agents.ab.agent.posters import SIDE, PosterSource, visuals_for
from memagent.errors import (
    BudgetExceeded,
    DataError,
    InvalidInput,
    ModelDenied,
    ModelError,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    Stopped,
)
from memagent.llm import Budget, Capabilities
from memagent.prompts.ab_visual import PosterCaption
from memagent.testing import ScriptedModel

PNG = picture()
JPEG = picture(kind="JPEG")
CHANGES = st.tuples(st.integers(0, 3000), st.integers(0, 255))


def seen(data: bytes) -> Image.Image:
    found = Image.open(io.BytesIO(data))
    found.load()
    return found


@pytest.mark.parametrize(
    "data",
    [
        PNG,
        JPEG,
        picture(kind="WEBP"),
        picture(kind="GIF"),
        picture("red", mode="P", kind="GIF"),
        picture(kind="JPEG", mode="CMYK"),
        picture("white", mode="L"),
        picture("white", mode="1"),
    ],
)
def test_a_poster_becomes_a_small_jpeg_that_keeps_its_shape(data: bytes) -> None:
    made = seen(shrunk(data, side=100))
    assert (made.format, made.mode, made.size) == ("JPEG", "RGB", (67, 100))
    assert shrunk(data, side=100) == shrunk(data, side=100)


def test_a_small_poster_is_not_enlarged_and_what_is_transparent_is_white() -> None:
    made = seen(shrunk(picture("#00000000", size=(8, 8), mode="RGBA"), side=100))
    assert (made.size, made.getpixel((4, 4))) == ((8, 8), (255, 255, 255))


def test_a_picture_with_too_many_pixels_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100_000)
    with pytest.raises(DataError, match="400 x 600"):
        shrunk(PNG, side=100)


@settings(max_examples=60)
@given(
    st.sampled_from([PNG, JPEG]), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 255)), max_size=8), st.data()
)
def test_damaged_bytes_are_a_picture_or_refused(
    data: bytes, changes: list[tuple[int, int]], more: st.DataObject
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    cut = more.draw(st.integers(0, len(damaged)))
    with suppress(DataError):
        assert seen(shrunk(bytes(damaged[:cut]), side=32)).format == "JPEG"


def test_a_poster_from_a_path_is_a_data_url_small_for_the_list_and_larger_for_the_page(tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(picture(size=(1000, 1500)))
    posters = PosterSource(PosterFiles(base=tmp_path))
    small, large = (posters.image(film(1, "red.png"), large=large) for large in (False, True))
    assert small is not None
    assert large is not None
    head, _, body = small.partition(",")
    assert head == "data:image/jpeg;base64"
    assert seen(base64.b64decode(body)).size == (224, SIDE)
    assert seen(base64.b64decode(large.partition(",")[2])).size == (448, 672)
    assert posters.facts() == {"shown": 1, "no poster": 0, "reasons": {}}


@pytest.mark.parametrize(
    ("poster", "why"),
    [
        ("missing.png", "no such file"),
        ("text.png", "no picture"),
        ("torn.png", "no picture"),
        ("empty.png", "no picture"),
        ("large.png", "more than 50,000 bytes"),
        ("pipe", "no such file"),
        (".", "no such file"),
        ("a\0b", "no such file"),
        ("x" * 5000, "cannot be read"),
        ("http://127.0.0.1:9/x.png", "not fetched"),
    ],
)
def test_a_missing_or_broken_poster_is_none_logged_once_and_counted(
    poster: str, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, data in {"text": b"no", "torn": PNG[:300], "empty": b"", "large": b"x" * 60_000}.items():
        (tmp_path / f"{name}.png").write_bytes(data)
    os.mkfifo(tmp_path / "pipe")
    posters = PosterSource(PosterFiles(base=tmp_path, limits=Limits(max_bytes=50_000)))
    with caplog.at_level(logging.WARNING, "memagent"):
        assert [posters.image(film(1, poster)) for _ in range(3)] == [None] * 3
        assert posters.caption(film(1, poster)) is None
    assert len(caplog.records) == 1
    assert "no poster for item 'i1'" in caplog.text
    assert why in posters.missing[poster]
    assert posters.facts()["no poster"] == 1


def test_a_catalogue_cannot_show_pictures_outside_of_the_folder_of_posters(tmp_path: Path) -> None:
    (tmp_path / "posters").mkdir()
    for place in (tmp_path, tmp_path / "posters"):
        (place / "red.png").write_bytes(PNG)
    inside = PosterFiles(base=tmp_path / "posters")
    assert inside.read("red.png") == inside.read("../posters/red.png") == inside.read(str(tmp_path / "posters/red.png"))
    for poster in ("../red.png", str(tmp_path / "red.png"), "../../red.png"):
        with pytest.raises(DataError, match="outside of the folder"):
            inside.read(poster)
    assert PosterFiles().read(str(tmp_path / "red.png")) == inside.read("red.png")


def test_an_item_without_a_poster_is_no_fault() -> None:
    posters = PosterSource()
    assert posters.image(film(1)) is None
    assert posters.image(film(2, "")) is None
    assert posters.facts()["no poster"] == 0


@pytest.mark.model
def test_an_address_is_fetched_once_and_kept_on_disk(tmp_path: Path) -> None:
    with site() as web:
        url = f"{web.url}/red.png"
        files = PosterFiles(cache=tmp_path / "posters", download=True)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(files.read, [url] * 8))
        assert len(set(found)) == 1
        assert files.read(f"{web.url}/moved") == found[0]
        assert web.asked["/red.png"] == 2  # the second by its redirect
    # The server is gone, and downloads are off.
    assert PosterFiles(cache=tmp_path / "posters").read(url) == found[0]


@pytest.mark.model
@pytest.mark.parametrize(
    ("path", "why", "again"),
    [
        ("/none", "404", False),
        ("/gone", "410", False),
        ("/text", "no picture", False),
        ("/big", "more than 100,000 bytes", False),
        ("/away", "302", False),
        ("/busy", "503", True),
        ("/slow", "no answer|not complete", True),
        ("/torn", "no answer|not complete", True),
    ],
)
def test_an_address_without_a_picture_is_remembered_and_one_that_failed_is_tried_again(
    path: str, why: str, again: bool, tmp_path: Path
) -> None:
    with site() as web:
        web.pages["/slow"] = web.pages["/busy"] = PNG
        for _ in range(2):
            limits = Limits(max_bytes=100_000, timeout=0.3 if path == "/slow" else 30)
            files = PosterFiles(cache=tmp_path, download=True, limits=limits)
            with pytest.raises(DataError, match=why):
                files.read(web.url + path)
        assert web.asked[path] == (2 if again else 1)


@pytest.mark.model
@pytest.mark.parametrize("url", ["http://", "http://[", "http://127.0.0.1:bad/", "http://127.0.0.1:9/a b\n"])
def test_an_address_that_is_none_is_no_poster(url: str) -> None:
    assert PosterSource(PosterFiles(download=True)).image(film(1, url)) is None


def test_settings_of_posters_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for bad in (
        lambda: Limits(max_bytes=0),
        lambda: Limits(timeout=float("nan")),
        lambda: PosterFiles(side=0),
        lambda: PosterFiles(cache=tmp_path / "file"),
    ):
        with pytest.raises(InvalidInput):
            bad()


@pytest.mark.parametrize(
    ("vision", "captions", "expected"),
    [(True, False, "image"), (False, True, "caption"), (None, True, "caption"), (False, False, "none")],
)
def test_posters_are_shown_as_the_model_can_take_them(vision: bool | None, captions: bool, expected: str) -> None:
    assert visuals_for("auto", Capabilities(vision=vision), captions=captions) == expected
    assert visuals_for("none", Capabilities(vision=vision)) == "none"


def test_pictures_for_a_model_that_does_not_see_are_an_error_that_says_so() -> None:
    with pytest.raises(InvalidInput, match="does not see"):
        visuals_for("image", Capabilities(vision=False))
    assert visuals_for("image", Capabilities(vision=None)) == "image"
    with pytest.raises(InvalidInput, match="no captions"):
        visuals_for("caption", Capabilities(vision=True))


def source(folder: Path, captions: Captions) -> PosterSource:
    (folder / "red.png").write_bytes(PNG)
    return PosterSource(PosterFiles(base=folder), captioner=captions)


def test_a_caption_is_written_once_per_item_and_kept(tmp_path: Path) -> None:
    model = ScriptedModel([PosterCaption(caption=" All \n red. "), PosterCaption(caption="Red again.")])
    posters = source(tmp_path, Captions(model, path=tmp_path / "captions.jsonl"))
    assert [posters.caption(film(1, "red.png")) for _ in range(3)] == ["All red."] * 3
    assert posters.caption(film(2, "red.png")) == "Red again."
    assert posters.caption(film(3)) is None
    assert [prompt.label for prompt in model.prompts] == ["ab-poster-caption/1"] * 2
    assert model.prompts[0].images == (posters.image(film(1, "red.png"), large=True),)
    later = source(tmp_path, Captions(path=tmp_path / "captions.jsonl"))
    assert [later.caption(film(n, "red.png")) for n in (1, 2, 3)] == ["All red.", "Red again.", None]
    assert later.caption(film(1, "gone.png")) == "All red."


def test_a_caption_by_hand_is_used_and_one_of_another_picture_is_written_anew(tmp_path: Path) -> None:
    rows = [{"item": "i1", "caption": "By hand."}, {"item": "i2", "picture": "00", "caption": "Of another picture."}]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, rows)))
    model = ScriptedModel([PosterCaption(caption="New.")])
    posters = source(tmp_path, Captions(model, path=tmp_path / "c.jsonl"))
    assert posters.caption(film(1, "red.png")) == "By hand."
    assert posters.caption(film(2, "red.png")) != "Of another picture."
    assert len((tmp_path / "c.jsonl").read_text().splitlines()) == 3
    assert Captions(path=tmp_path / "c.jsonl").facts()["captions"] == 3


def test_a_file_of_captions_that_was_cut_off_is_mended_and_another_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"item": "i1", "caption": "One."}\n{"item": "i2", "capt')
    posters = source(tmp_path, Captions(ScriptedModel([PosterCaption(caption="Two.")]), path=path))
    assert [posters.caption(film(n, "red.png")) for n in (1, 2)] == ["One.", "Two."]
    assert [json.loads(line)["caption"] for line in path.read_text().splitlines()] == ["One.", "Two."]
    path.write_text('{"item": "i1"}\n{"item": "i2", "caption": "Two."}\n')
    with pytest.raises(DataError, match=r"c\.jsonl, line 1"):
        Captions(path=path)


def test_a_line_that_was_cut_off_is_taken_away_once_though_two_runs_have_seen_it(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"item": "i1", "capt')
    runs = [Captions(ScriptedModel([PosterCaption(caption=text)]), path=path) for text in ("One.", "Two.")]
    for number, captions in enumerate(runs, start=1):
        source(tmp_path, captions).caption(film(number, "red.png"))
    assert [json.loads(line)["caption"] for line in path.read_text().splitlines()] == ["One.", "Two."]


def test_a_caption_for_which_there_is_no_room_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    captions = Captions(ScriptedModel([PosterCaption(caption=text) for text in ("One.", "Two.", "Six.")]), path=path)
    posters = source(tmp_path, captions)
    posters.caption(film(1, "red.png"))
    kept = path.read_bytes()
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) + 20, before[1][1]))
    try:
        with pytest.raises(DataError, match="cannot be written"):
            posters.caption(film(2, "red.png"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[1])
        signal.signal(signal.SIGXFSZ, before[0])
    assert path.read_bytes() == kept
    posters.caption(film(3, "red.png"))
    assert [json.loads(line)["caption"] for line in path.read_text().splitlines()] == ["One.", "Six."]


@pytest.mark.parametrize(("error", "asked"), [(ModelRefused("no"), 1), (ModelUnavailable("away"), 2)])
def test_a_caption_that_does_not_come_is_counted_and_the_item_shown_without(
    error: ModelError, asked: int, tmp_path: Path
) -> None:
    model = ScriptedModel(lambda prompt: error if "poster" in prompt.name else "yes", retries=0)
    captions = Captions(model)
    posters = source(tmp_path, captions)
    assert [posters.caption(film(1, "red.png")) for _ in range(2)] == [None, None]
    assert len([request for request in model.requests if request.prompt.images]) == asked
    assert captions.facts() == {"captions": 0, "failures": {type(error).__name__: asked}}


def test_a_captioner_that_has_ceased_to_answer_stops_the_run(tmp_path: Path) -> None:
    dead = ScriptedModel(lambda _: ModelTimeout("no answer"), retries=0)
    with pytest.raises(Stopped, match="does not answer any more"):
        source(tmp_path, Captions(dead)).caption(film(1, "red.png"))


def test_a_caption_that_cannot_be_written_ends_the_run_with_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    captions = Captions(ScriptedModel([PosterCaption(caption="One.")]), path=path)
    path.mkdir()
    with pytest.raises(DataError, match=r"c\.jsonl cannot be written"):
        source(tmp_path, captions).caption(film(1, "red.png"))


def test_captions_that_cannot_be_paid_for_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(BudgetExceeded):
        source(tmp_path, Captions(ScriptedModel([], budget=Budget(calls=0)))).caption(film(1, "red.png"))
    with pytest.raises(ModelDenied):
        source(tmp_path, Captions(ScriptedModel([ModelDenied("key")]))).caption(film(1, "red.png"))


def test_a_caption_asks_a_model_that_does_not_see_for_nothing(tmp_path: Path) -> None:
    model = ScriptedModel([])
    model.wire.capabilities = Capabilities(json_schema=True, vision=False)
    assert source(tmp_path, Captions(model)).caption(film(1, "red.png")) is None
    assert model.requests == []
