"""Placeholders: whatever text and profile, what is taken out comes back, and only that."""

from __future__ import annotations

import pytest
from guard_examples import task
from hypothesis import given, settings
from hypothesis import strategies as st

from memagent.agents.lsrp.guard import ProfileGuard, left_over
from memagent.agents.lsrp.ports import Checked, Verdict, Written

GUARD = ProfileGuard()
PASSING = ProfileGuard(policy="pass")
CHECKED = Checked(
    verdict=Verdict.REDACTED, text="", placeholders={"[NAME_1]": "Anna", "[NAME_12]": "Bo", "[NUMBER_1]": "31"}
)

pieces = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "[NAME_1]",
            "NAME_1",
            "name 1",
            "[",
            "]",
            "_1",
            "Anna",
            "31",
            "[WORD_2]",
            "\\",
            "K",
            "ſ",
            "Name",
            "\u200b",
            "１",
        ]
    ),
)
texts = st.lists(pieces, max_size=8).map("".join)
profiles = st.dictionaries(st.sampled_from(["name", "age", "city", "note"]), texts, max_size=4)


@settings(max_examples=100, deadline=None)
@given(text=texts, profile=profiles, history=texts)
def test_what_is_taken_out_comes_back_whatever_the_text_and_the_profile(
    text: str, profile: dict[str, str], history: str
) -> None:
    given_task = task(text, profile, history=(Written(title="", text=history),))
    for guard in (GUARD, PASSING):
        checked = guard.check(given_task)
        assert guard.restored(checked.text, checked) == text
    assert PASSING.check(given_task).text == text


@pytest.mark.parametrize(
    ("written", "restored"),
    [
        ("Dear [NAME_1],", "Dear Anna,"),
        ("Dear [Name_1]!", "Dear Anna!"),
        ("[ NAME_1 ] and [name 1] and [NAME-1]", "Anna and Anna and Anna"),
        ("(NAME_1) {NAME_1} <NAME_1> 【NAME_1】", "Anna Anna Anna Anna"),
        ("NAME_1's dog, **[NAME_1]**", "Anna's dog, **Anna**"),
        ("[NAME\\_1], name_1", "Anna, Anna"),
        ("[NAME_1]'s and [NAME_1]s", "Anna's and Annas"),
        ("[NAME_12] is [NUMBER_1]", "Bo is 31"),
        ("[NAME_2], [NAME_123], SURNAME_1, NAME_10, name 1", "[NAME_2], [NAME_123], SURNAME_1, NAME_10, name 1"),
        ("[[NAME_1]]", "[Anna]"),
    ],
)
def test_a_placeholder_is_known_again_when_a_model_has_changed_it_a_little(written: str, restored: str) -> None:
    assert GUARD.restored(written, CHECKED) == restored


def test_a_restored_text_is_not_looked_through_again() -> None:
    checked = Checked(verdict=Verdict.REDACTED, text="", placeholders={"[A_1]": "[B_1]", "[B_1]": "[A_1]"})
    assert GUARD.restored("[A_1][B_1]", checked) == "[B_1][A_1]"


def test_placeholders_that_are_left_over_are_counted() -> None:
    assert left_over("Dear [NAME_1] and [name_12], [PLACE_3]", CHECKED.placeholders) == 2
    assert left_over("Dear [NAME_1] and [PLACE_3]") == 2
    assert left_over("Dear Anna, see [1] and [a_1]") == 0


@pytest.mark.parametrize("value", ["NAME", "word", "1", "[NAME_1]", "[WORD_1] [NUMBER_1]", "redacted"])
def test_a_placeholder_is_never_a_private_fact_itself(value: str) -> None:
    text = f"Write to Xaver about {value}."
    checked = GUARD.check(task(text, {"name": "Xaver", "note": value}, history=()))
    assert value.casefold() not in checked.text.casefold().replace("_", " ").split()
    assert GUARD.restored(checked.text, checked) == text
    again = GUARD.check(task(checked.text, {"note": value}, history=()))
    assert again.text == checked.text


def test_the_same_piece_has_the_same_placeholder_and_another_spelling_another() -> None:
    checked = GUARD.check(task("Anna, Anna and ANNA"))
    assert checked.text == "[NAME_1], [NAME_1] and [NAME_2]"
    assert dict(checked.placeholders) == {"[NAME_1]": "Anna", "[NAME_2]": "ANNA"}


def test_a_placeholder_of_the_text_itself_is_left_alone() -> None:
    text = "Fill in [NAME_1] and name-2, then sign as Anna."
    checked = GUARD.check(task(text))
    assert "[NAME_1]" in checked.text
    assert "[NAME_3]" in checked.text
    assert GUARD.restored(checked.text, checked) == text
