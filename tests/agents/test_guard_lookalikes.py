"""The bundled tables of the guard: every lookalike is seen through, and names are no public words."""

from __future__ import annotations

from importlib.resources import files

import pytest
from guard_examples import task

from memagent.agents.lsrp.guard import ProfileGuard, public_words

GUARD = ProfileGuard()
ROWS = [
    line.split(" ", 1)
    for line in (files("memagent") / "data" / "guard" / "lookalikes.txt").read_text(encoding="utf-8").splitlines()
    if line[0].isalpha()
]


@pytest.mark.parametrize(("letter", "others"), ROWS, ids=[letter for letter, _ in ROWS])
def test_a_name_with_a_lookalike_in_it_is_found(letter: str, others: str) -> None:
    name = f"Zqu{letter}vorim"
    for other in others:
        checked = GUARD.check(task(f"For Zqu{other}vorim today", {"surname": name}, history=()))
        assert checked.text == "For [NAME_1] today", hex(ord(other))


@pytest.mark.parametrize("capital", "Ｉ𝐈𝗜ℐⅠ𝙸")
def test_a_capital_i_in_another_style_is_an_i_though_it_looks_like_an_l(capital: str) -> None:
    private = task(f"For {capital}da, UI/UX designer. U{capital}/UX designer.", {"n": "Ida", "job": "UI/UX designer"})
    assert GUARD.check(private).text == "For [PROFILE_1], [PROFILE_2]. [PROFILE_3]."


@pytest.mark.parametrize("written", "M\u041c\u039cＭ𝐌Ⓜ")
def test_a_value_of_one_letter_is_found_in_other_scripts(written: str) -> None:
    assert GUARD.check(task(f"Blood group {written}.", {"group": "M"}, history=())).text == "Blood group [PROFILE_1]."


@pytest.mark.parametrize("written", ["83-\n857", "Av-\r\non", "hi-\n  gh"])
def test_a_fact_is_found_that_a_hyphen_carries_to_the_next_line(written: str) -> None:
    private = task(f"So {written}!", {"income": "high", "river": "Avon", "count": "83857"}, history=())
    assert GUARD.check(private).text.startswith("So [")


@pytest.mark.parametrize("written", ["ᗩᑎᑎᗩ", "ⲀⲚⲚⲀ", "₳₦₦₳", "Koval€nko", "₭ØV₳ⱠɆ₦₭Ø"])
def test_a_name_in_syllabics_coptic_letters_and_signs_of_money_is_found(written: str) -> None:
    assert written not in ProfileGuard().check(task(f"A card for {written} today")).text


def test_a_sum_of_money_is_no_word() -> None:
    text = "Thank them for €50, £3,000, ¥1000000 and 20 ₽."
    assert ProfileGuard().check(task(text)).text == text


def test_public_words_are_common_ones_and_no_names_of_people_and_places() -> None:
    words = public_words()
    assert {"teacher", "write", "upcoming", "nicht", "rose"} <= words
    assert not {"anna", "kovalenko", "paris", "london", "norwegian"} & words
    assert all(word == word.casefold() for word in words)
