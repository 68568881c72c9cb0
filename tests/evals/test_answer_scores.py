"""EM and F1 of short answers beside a second implementation, written from the description and not from ours."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from memagent.overlap import answer_exact, answer_f1

MARKS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def words(text: str) -> list[str]:
    """Lower case, ASCII punctuation dropped (not replaced), split, whole words a, an, the dropped.

    A word ends at white space and wherever a letter, digit or underscore meets anything else: "the\u2019s" holds the
    article. What is left of such a word stands apart.
    """
    bare = "".join(letter for letter in text.lower() if letter not in MARKS)
    pieces: list[str] = []
    for letter in bare:
        wordy = letter.isalnum() or unicodedata.category(letter) == "Nd"
        if pieces and pieces[-1] and (pieces[-1][-1].isalnum() == wordy) and not letter.isspace():
            pieces[-1] += letter
        else:
            pieces.append(letter)
    return "".join(" " if piece in ("a", "an", "the") else piece for piece in pieces).split()


def em(answer: str, golds: Sequence[str]) -> int:
    return int(any(words(answer) == words(gold) for gold in golds))


def f1(answer: str, golds: Sequence[str]) -> float:
    """The best over the golds; multiset overlap by crossing off; yes, no and noanswer as a whole."""
    best = 0.0
    for gold in golds:
        said, wanted = words(answer), words(gold)
        whole = [" ".join(said), " ".join(wanted)]
        if whole[0] != whole[1] and {"yes", "no", "noanswer"} & set(whole):
            continue
        left, common = list(wanted), 0
        for word in said:
            if word in left:
                left.remove(word)
                common += 1
        if common:
            precision, recall = common / len(said), common / len(wanted)
            best = max(best, 2 * precision * recall / (precision + recall))
        elif not said and not wanted:
            best = 1.0  # SQuAD 2; HotpotQA's script gives 0 where its EM gives 1
    return best


_JUMBLE = [
    "the",
    "The",
    "a",
    "An",
    "yes",
    "no",
    "No",
    "noanswer",
    "Rowling",
    "J. K.",
    "3.5",
    "U.S.",
    "an-swer",
    "cat's",
]
_JUMBLE += ["Än", "日本", "the\u2019s", "__", "½", "\t", "\u00a0", "\u2003", ","]
_WORDS = st.sampled_from(_JUMBLE)
_TEXTS = st.lists(_WORDS, max_size=6).map(" ".join) | st.lists(_WORDS, max_size=4).map("".join)


@given(_TEXTS, st.lists(_TEXTS, max_size=3))
@example("The U.S.", ["US"])
@example("yes it is", ["yes"])
@example("no", ["yes", "No."])
@example("a", ["the"])
@example("", [])
def test_they_agree_on_jumbled_answers(answer: str, golds: list[str]) -> None:
    assert answer_exact(answer, golds) == em(answer, golds)
    assert answer_f1(answer, golds) == pytest.approx(f1(answer, golds), abs=1e-12)


@pytest.mark.parametrize(
    ("answer", "golds", "exact", "overlap"),
    [
        ("J.K. Rowling", ["J. K. Rowling"], 0, 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
        ("3.5", ["35"], 1, 1.0),
        ("the Beatles", ["Beatles", "The Beatles"], 1, 1.0),
        ("Norland in the north", ["Norland"], 0, 2 / 4),
        ("no", ["no way"], 0, 0.0),
        ("Yes!", ["yes"], 1, 1.0),
        ("theatre", ["atre"], 0, 0.0),
    ],
)
def test_known_answers(answer: str, golds: list[str], exact: int, overlap: float) -> None:
    assert (answer_exact(answer, golds), em(answer, golds)) == (exact, exact)
    assert answer_f1(answer, golds) == pytest.approx(overlap)
    assert f1(answer, golds) == pytest.approx(overlap)
