from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from memagent.errors import InvalidInput
from memagent.files import as_path, directory_to_use, file_to_write, identity_of, replacing

UNUSABLE: tuple[Any, ...] = (
    None,
    3,
    b"bytes",
    ["list"],
    "",
    "nul\0inside",
    "~nobody-has-this-name/x",
    "\ud800",
    "x" * 5000,
    "deep/" * 2000,
)


@pytest.mark.parametrize("value", UNUSABLE)
@pytest.mark.parametrize("kind", [as_path, file_to_write, directory_to_use])
def test_what_cannot_be_a_path_is_refused_by_name(value: Any, kind: Any) -> None:
    with pytest.raises(InvalidInput, match="the thing") as caught:
        kind(value, "the thing")
    assert caught.value.hint


def test_texts_and_paths_are_paths_and_a_tilde_is_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert as_path("a/b", "it") == as_path(Path("a/b"), "it") == Path("a/b")
    assert as_path("~/x", "it") == tmp_path / "x"
    assert as_path(os.fsdecode(b"caf\xe9"), "it") == Path("caf\udce9")  # a name from the disk that is no UTF-8


def test_a_place_that_is_taken_by_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    assert file_to_write(tmp_path / "file", "it") == tmp_path / "file"
    assert directory_to_use(tmp_path / "missing", "it") == tmp_path / "missing"
    for taken in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(InvalidInput, match=r"directory|regular"):
            file_to_write(taken, "it")
    with pytest.raises(InvalidInput, match="is a file"):
        directory_to_use(tmp_path / "file", "it")


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("before")
    with replacing(target) as partial:
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
        partial.write_text("after")
        assert target.read_text() == "before"
    assert target.read_text() == "after"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_two_who_write_one_file_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)  # as long as a name may be
    with replacing(target) as one, replacing(target) as other:
        one.write_text("one")
        other.write_text("other")
    assert target.read_text() == "one"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(IsADirectoryError), replacing(target) as partial:
        partial.write_text("half")
    target.rmdir()
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "nowhere" / "target"):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []
    assert identity_of(target) is None
