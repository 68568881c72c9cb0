from __future__ import annotations

import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from eval_examples import finished_run
from hypothesis import given
from hypothesis import strategies as st

from memagent.errors import InvalidInput
from memagent.evals.rows import QuestionRow, open_log, settings_key, write_text

ROWS = finished_run("dense", "bm25").rows
LONG = [replace(ROWS[0], question_id=f"q{number}", ranked=("x" * 300,)) for number in range(10)]


@given(
    texts=st.tuples(st.text(), st.text(), st.text()),
    units=st.lists(st.text(), max_size=4),
    value=st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_row_survives_writing_and_reading(texts: tuple[str, str, str], units: list[str], value: float) -> None:
    row = QuestionRow(
        retriever=texts[0],
        question_id=texts[1],
        user_id=texts[2],
        type="t",
        gold=tuple(units),
        ranked=tuple(units[::-1]),
        metrics={"mrr": value},
        search_ms=value,
    )
    line = row.as_json()
    assert "\n" not in line
    assert QuestionRow.of_json(line) == row


def test_a_log_of_the_same_settings_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "rows.partial"
    with open_log(path, "key", QuestionRow) as log:
        log.append(ROWS[0])
        log.append(ROWS[1])
    with open_log(path, "key", QuestionRow) as log:
        assert log.rows == list(ROWS[:2])
        assert (ROWS[0].question_id, ROWS[0].retriever) in log
        assert (ROWS[2].question_id, ROWS[2].retriever) not in log
        log.append(ROWS[2])
    with open_log(path, "key", QuestionRow) as log:
        assert log.rows == list(ROWS[:3])


def test_a_log_of_other_settings_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "rows.partial"
    with open_log(path, "key", QuestionRow) as log:
        log.append(ROWS[0])
    with open_log(path, "other", QuestionRow) as log:
        assert log.rows == []


@pytest.mark.parametrize("cut", [1, 10, 400])
def test_a_line_that_was_cut_off_is_dropped_and_the_rest_is_kept(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "rows.partial"
    with open_log(path, "key", QuestionRow) as log:
        log.append(ROWS[0])
        log.append(ROWS[1])
    content = path.read_bytes()
    path.write_bytes(content[: -1 - cut])
    with open_log(path, "key", QuestionRow) as log:
        assert log.rows == [ROWS[0]]
        log.append(ROWS[1])
    assert path.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}\n{}\n"])
def test_a_file_that_is_no_log_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.partial"
    path.write_bytes(content)
    with open_log(path, "key", QuestionRow) as log:
        assert log.rows == []


def test_without_a_file_rows_are_kept_in_memory() -> None:
    with open_log(None, "key", QuestionRow) as log:
        log.append(ROWS[0])
        assert log.rows == [ROWS[0]]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidInput, match=r"nowhere/rows\.partial cannot be written"),
        open_log(tmp_path / "nowhere" / "rows.partial", "key", QuestionRow),
    ):
        pass


def test_text_replaces_a_file_as_a_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_text(path, "old")
    write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_text(tmp_path / "folder", "text")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder", "out.json"]


def test_the_key_depends_on_every_setting_but_not_on_their_order() -> None:
    assert settings_key({"a": 1, "b": [2]}) == settings_key({"b": [2], "a": 1})
    assert settings_key({"a": 1}) != settings_key({"a": 2})


def test_two_runs_do_not_write_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.partial"
    with open_log(path, "key", QuestionRow) as log:
        log.append(ROWS[0])
        with pytest.raises(InvalidInput, match="another run is writing"), open_log(path, "other", QuestionRow):
            pass
        log.append(ROWS[1])
    with open_log(path, "key", QuestionRow) as log:
        assert log.rows == list(ROWS[:2])


def test_a_full_disk_is_named_and_what_was_whole_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.partial"
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        with open_log(path, "key", QuestionRow) as log:
            resource.setrlimit(resource.RLIMIT_FSIZE, (3 * len(LONG[0].as_json()), limits[1]))
            for row in LONG:
                log.append(row)

    try:
        with pytest.raises(InvalidInput, match="cannot be written"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    with open_log(path, "key", QuestionRow) as log:
        assert 0 < len(log.rows) < len(LONG)
        log.append(ROWS[0])
    with open_log(path, "key", QuestionRow) as log:
        assert log.rows[-1] == ROWS[0]
