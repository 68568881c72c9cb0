"""Citations and the mark of an unknown answer are taken out of a text however it is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memagent.answering.streaming import MarkReader


def read(pieces: list[str]) -> tuple[str, list[str], bool]:
    marks = MarkReader()
    shown = "".join([*(marks.feed(piece) for piece in pieces), marks.close()])
    return shown, marks.labels, marks.known


@pytest.mark.parametrize(
    ("text", "shown", "labels", "known"),
    [
        ("In Porto [m3].", "In Porto.", ["m3"], True),
        ("In Porto.[m1,m2; m3]", "In Porto.", ["m1", "m2", "m3"], True),
        ("A list [1] and [m] and [m1 or m2].", "A list [1] and [m] and [m1 or m2].", [], True),
        ("[m1] first", " first", ["m1"], True),
        ("[unknown] Nothing was said.", "Nothing was said.", [], False),
        ("  [UNKNOWN]\nNothing.", "Nothing.", [], False),
        ("[unknown]", "", [], False),
        ("[unknown][unknown] Nothing.", "Nothing.", [], False),
        ("[unknow", "[unknow", [], True),
        ("It is [unknown].", "It is [unknown].", [], True),
        ("one\n[m1]\ntwo", "one\n\ntwo", ["m1"], True),
        ("ends here [m1", "ends here [m1", [], True),
        ("[\n[m2]", "[", ["m2"], True),
        ("so \n\n [m1] \n", "so", ["m1"], True),
        ("", "", [], True),
    ],
)
def test_a_text_is_read_the_same_in_one_piece_and_letter_by_letter(
    text: str, shown: str, labels: list[str], known: bool
) -> None:
    assert read([text]) == (shown, labels, known)
    assert read(list(text)) == (shown, labels, known)


PIECES = st.lists(st.sampled_from(["[", "]", "m1", "m", "1", ",", " ", "word", "\n", "[unknown]", "[m2]", "[m1, m2]"]))


@given(PIECES, st.data())
def test_the_pieces_never_matter(parts: list[str], data: st.DataObject) -> None:
    text = "".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(pieces) == read(list(text))


def test_text_is_not_held_back_longer_than_needed() -> None:
    marks = MarkReader()
    assert marks.feed("In Porto, ") == "In Porto,"
    assert marks.feed("since May [m") == " since May"
    assert marks.feed("2]. And") == ". And"
    assert marks.close() == ""
